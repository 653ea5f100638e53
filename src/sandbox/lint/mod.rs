//! Finds before a run what the compiler lets through: unknown functions and variables, wrong numbers of
//! arguments, names that hide the host's; and tells which host functions a function can reach.
//!
//! Invariant: reachability errs on the side of too much. It can, because name spaces can't be passed around
//! (an error here), functions can't be named by computed strings (`Fn` is off) and a run's own check is the
//! caller's.
//! Begin with [`Engine::lint`] and [`Engine::reaches`].

mod known;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use known::Known;

use crate::engine::Engine;
use crate::error::{Position, ScriptError};
use crate::script::Script;

/// What the linter found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LintReport {
    /// Would fail when run, or can't be checked. In order of place.
    pub errors: Vec<ScriptError>,
    /// Odd, yet it runs: a variable that nothing reads.
    pub warnings: Vec<ScriptError>,
}

impl LintReport {
    /// Whether nothing stands against running the script.
    pub fn is_ok(&self) -> bool {
        self.errors.is_empty()
    }
}

/// A function by name and number of parameters.
type FunctionId = (String, usize);

/// What a function's body leads to.
#[derive(Debug, Default)]
struct Links {
    host: BTreeMap<String, Position>,
    functions: BTreeSet<FunctionId>,
}

impl<H> Engine<H> {
    /// Checks every function of `script`.
    pub fn lint(&self, script: &Script) -> LintReport {
        let mut report = LintReport::default();
        for (id, definition) in &script.definitions {
            walk::function(self.known(), script, id, definition, &mut report);
        }
        for list in [&mut report.errors, &mut report.warnings] {
            list.sort_by(|a, b| (a.position, &a.message).cmp(&(b.position, &b.message)));
            list.dedup();
        }
        report
    }

    /// Full names of the host functions that `function` can reach, itself or through other functions of the
    /// script and closures, each with the place of a first call.
    pub fn reaches(&self, script: &Script, function: &str) -> BTreeMap<String, Position> {
        let mut ignored = LintReport::default();
        let links: BTreeMap<FunctionId, Links> = script
            .definitions
            .iter()
            .map(|(id, f)| {
                (
                    id.clone(),
                    walk::function(self.known(), script, id, f, &mut ignored),
                )
            })
            .collect();
        let mut waiting: Vec<&FunctionId> = links.keys().filter(|(name, _)| name == function).collect();
        let mut seen: BTreeSet<&FunctionId> = BTreeSet::new();
        let mut reached: BTreeMap<String, Position> = BTreeMap::new();
        while let Some(id) = waiting.pop() {
            let Some((id, found)) = links.get_key_value(id) else {
                continue;
            };
            if !seen.insert(id) {
                continue;
            }
            for (name, at) in &found.host {
                let first = reached.entry(name.clone()).or_insert(*at);
                *first = (*first).min(*at);
            }
            waiting.extend(&found.functions);
        }
        reached
    }
}

/// Whether the interpreter made this name up for a closure.
pub(crate) fn is_closure(name: &str) -> bool {
    name.starts_with("anon$")
}
