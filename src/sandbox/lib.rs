//! Rhai with limits and without clock, disk or network; rules and plugins stand on it.
//!
//! In: a script's text, JSON values, the functions that a host offers. Out: JSON values, suspensions, errors
//! with file, line and column. It knows nothing of events, jobs, rules or plugins.
//! Invariant: only this crate names the interpreter, and whatever a script does ends within its [`Limits`] and
//! [`Budget`] as a value or as a [`ScriptError`].
//! Begin with [`HostApi`], then [`Engine::call`] and [`Engine::lint`].
//!
//! A read that the journal lacks suspends the run; the caller reads, and calls again:
//! ```
//! use sandbox::{Budget, Engine, HostApi, Interrupt, Limits, Outcome, SharedValue};
//! use serde_json::{Value, json};
//!
//! #[derive(Default)]
//! struct Journal(std::collections::BTreeMap<String, Value>);
//!
//! let api = HostApi::<Journal>::new().function("state", 1..=1, |call| {
//!     let key = call.text(0)?.to_owned();
//!     call.host.0.get(&key).cloned().ok_or(Interrupt::Suspend(json!({ "read": key })))
//! });
//! let engine = Engine::new(api, Limits::default());
//! let script = engine.compile("at-work.rhai", r#"fn when(ev) { state("me.place") == ev.place }"#)?;
//! assert!(engine.lint(&script).is_ok());
//!
//! let event = SharedValue::new(json!({ "place": "Work" }));
//! let (mut journal, budget) = (Journal::default(), Budget::default());
//! let first = engine.call(&script, "when", &[(&event).into()], &mut journal, &budget);
//! assert!(matches!(first.outcome?, Outcome::Suspended { payload, .. } if payload["read"] == "me.place"));
//!
//! journal.0.insert("me.place".to_owned(), json!("Work"));
//! let second = engine.call(&script, "when", &[(&event).into()], &mut journal, &budget);
//! assert_eq!(second.outcome?, Outcome::Returned(json!(true)));
//! # Ok::<(), sandbox::ScriptError>(())
//! ```

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
