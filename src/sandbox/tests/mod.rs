//! Stories about scripts, told with a small host: a journal of readings and a list of effects.

mod headers;
mod host;
mod limits;
mod lint;
mod values;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::{Arg, Budget, Engine, HostApi, Interrupt, Limits, Outcome, Run, ScriptError};

/// The context of a run in these tests.
#[derive(Debug, Default)]
struct Journal {
    readings: BTreeMap<String, Value>,
    effects: Vec<(String, Vec<Value>)>,
}

fn api() -> HostApi<Journal> {
    HostApi::<Journal>::new()
        .function("state", 1..=1, |call| {
            let key = call.text(0)?.to_owned();
            call.host
                .readings
                .get(&key)
                .cloned()
                .ok_or(Interrupt::Suspend(json!({ "read": key })))
        })
        .function("wait_for", 1..=2, |call| {
            Err(Interrupt::Suspend(json!({ "wait": call.args })))
        })
        .function("forbidden", 0..=0, |_| {
            Err(Interrupt::Stop("no grant for it".to_owned()))
        })
        .function("broken", 0..=0, |_| panic!("a handler with a bug"))
        .method("sms", "send", 2..=2, |call| {
            call.host.effects.push((call.name.to_owned(), call.args.to_vec()));
            Ok(json!({ "queued": true }))
        })
        .method("mail", "send", 1..=3, |call| {
            call.host.effects.push((call.name.to_owned(), call.args.to_vec()));
            Ok(Value::Null)
        })
        .method("phone", "ring", 1..=1, |_| {
            Err(Interrupt::Fail("the phone is off".to_owned()))
        })
}

fn engine() -> Engine<Journal> {
    Engine::new(api(), Limits::default())
}

fn budget() -> Budget {
    Budget {
        operations: 200_000,
        time: Duration::from_secs(20),
    }
}

fn run_with(source: &str, args: &[Arg], journal: &mut Journal) -> Run {
    let engine = engine();
    let script = engine.compile("rule.rhai", source).unwrap();
    engine.call(&script, "main", args, journal, &budget())
}

/// The value of `fn main() { body }`.
fn value_of(body: &str) -> Value {
    match outcome_of(body) {
        Ok(Outcome::Returned(value)) => value,
        other => panic!("{other:?}"),
    }
}

fn error_of(body: &str) -> ScriptError {
    outcome_of(body).unwrap_err()
}

fn outcome_of(body: &str) -> Result<Outcome, ScriptError> {
    run_with(&format!("fn main() {{ {body} }}"), &[], &mut Journal::default()).outcome
}

fn compile_error(source: &str) -> ScriptError {
    engine().compile("rule.rhai", source).unwrap_err()
}
