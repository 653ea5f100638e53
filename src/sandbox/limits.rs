//! How much a script may use: [`Limits`] hold for every script of an engine, a [`Budget`] for one call.
//!
//! Why each exists: without a size limit, doubling a string in a loop reached 18 GB before the operations ran
//! out; without wall time, few operations on large arrays can take minutes; without a depth limit, recursion
//! overflows the thread's stack, which no handler can catch.

use std::time::Duration;

/// Bounds of every script that an engine compiles or runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest source, in bytes.
    pub source_bytes: usize,
    /// Longest string, in bytes; also the sum of all strings inside one array or map.
    pub string_bytes: usize,
    /// Most elements of an array, counting those of the arrays inside it. All variables of a function together
    /// may hold four times `array_elements` and `map_entries`, and are weighed now and then.
    pub array_elements: usize,
    /// Most entries of a map, counting those of the maps inside it.
    pub map_entries: usize,
    /// Most variables alive at once.
    pub variables: usize,
    /// Most functions in one script, closures included.
    pub functions: usize,
    /// Deepest nesting of script function calls.
    pub call_depth: usize,
    /// Deepest nesting of an expression in the source.
    pub expression_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            source_bytes: 64 * 1024,
            string_bytes: 256 * 1024,
            array_elements: 2_000,
            map_entries: 2_000,
            variables: 256,
            functions: 128,
            call_depth: 16,
            expression_depth: 64,
        }
    }
}

impl Limits {
    pub(crate) fn apply(&self, engine: &mut rhai::Engine) {
        engine
            .set_max_string_size(self.string_bytes)
            .set_max_array_size(self.array_elements)
            .set_max_map_size(self.map_entries)
            .set_max_variables(self.variables)
            .set_max_functions(self.functions)
            .set_max_call_levels(self.call_depth)
            .set_max_expr_depths(self.expression_depth, self.expression_depth)
            .set_max_modules(0);
    }
}

/// What one call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Most operations, roughly one for each expression that is evaluated.
    pub operations: u64,
    /// Longest time by the wall, looked at every 256 operations. Time that host functions take counts too.
    pub time: Duration,
}

impl Default for Budget {
    /// 200,000 operations (about 20 ms of plain arithmetic) and one second.
    fn default() -> Self {
        Self {
            operations: 200_000,
            time: Duration::from_secs(1),
        }
    }
}
