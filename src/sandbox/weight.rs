//! Weighs a function's variables now and then.
//!
//! The interpreter checks the size of what functions return, not of what `m[key] = value` builds up; nothing
//! adds up the variables, or looks how deep they nest, and dropping or comparing a value takes stack for each
//! level (900 levels did no harm, 1,900 ended a thread of 2 MB). So at every 16th access to a variable all variables in
//! sight are weighed together. In between, at most 16 values within the limits can come to them, and as many
//! levels as 16 expressions have.

use rhai::{Dynamic, EvalAltResult, Position, Scope};

use crate::limits::Limits;
use crate::run_state;

/// How deep a variable may nest.
const DEPTH_MAX: usize = 64;

/// All variables of one function together may be this many times as large as a single value.
const ALL_TO_ONE: usize = 4;

pub(crate) fn sample(scope: &Scope<'_>, limits: &Limits) -> Result<(), Box<EvalAltResult>> {
    if !run_state::is_time_to_weigh() {
        return Ok(());
    }
    let elements_of_one = limits.array_elements.saturating_add(limits.map_entries);
    let mut left = Left {
        elements: elements_of_one.saturating_mul(ALL_TO_ONE),
        bytes: limits.string_bytes.saturating_mul(ALL_TO_ONE),
    };
    // Constants are the host's arguments, which do not grow.
    let variables = scope.iter_raw().filter(|(_, constant, _)| !constant);
    for (name, _, value) in variables {
        let before = left.elements;
        let fits = left.take(value, DEPTH_MAX).is_some() && before - left.elements <= elements_of_one;
        if !fits {
            let what = format!("the variable `{name}`");
            return Err(EvalAltResult::ErrorDataTooLarge(what, Position::NONE).into());
        }
    }
    Ok(())
}

/// What may still be found.
struct Left {
    elements: usize,
    bytes: usize,
}

impl Left {
    /// None once there is too much.
    fn take(&mut self, value: &Dynamic, depth: usize) -> Option<()> {
        // Locked means that a method of it is at work; it is weighed the next time.
        if value.is_shared() && value.is_locked() {
            return Some(());
        }
        if let Ok(text) = value.as_immutable_string_ref() {
            self.bytes = self.bytes.checked_sub(text.len())?;
        } else if let Ok(items) = value.as_array_ref() {
            self.elements = self.elements.checked_sub(items.len())?;
            let deeper = depth.checked_sub(1)?;
            items.iter().try_for_each(|item| self.take(item, deeper))?;
        } else if let Ok(fields) = value.as_map_ref() {
            self.elements = self.elements.checked_sub(fields.len())?;
            let deeper = depth.checked_sub(1)?;
            fields.values().try_for_each(|item| self.take(item, deeper))?;
        }
        Some(())
    }
}
