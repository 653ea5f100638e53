//! Rhai with limits and without clock, disk or network; rules and plugins stand on it.
//!
//! In: a script's text, JSON values, the functions that a host offers. Out: JSON values, suspensions, errors
//! with file, line and column. It knows nothing of events, jobs, rules or plugins.
//! Invariant: only this crate names the interpreter, and whatever a script does ends within its [`Limits`] and
//! [`Budget`] as a value or as a [`ScriptError`].
//! Begin with [`HostApi`], then [`Engine::call`] and [`Engine::lint`].

mod closures;
mod engine;
mod error;
mod fault;
mod header;
mod host;
mod limits;
mod lint;
mod offer;
mod run_state;
mod script;
mod text;
mod value;
mod weight;

#[cfg(test)]
mod tests;

pub use engine::{Engine, Outcome, Run};
pub use error::{ErrorKind, Position, ScriptError};
pub use header::Header;
pub use host::{Arity, Call, HostApi, HostResult, Interrupt};
pub use limits::{Budget, Limits};
pub use lint::LintReport;
pub use script::{Function, Script};
pub use value::{Arg, SharedValue};
