use chrono::{DateTime, Utc};
use sandbox::SharedValue;
use serde_json::{Map, Value, json};

use crate::engine::evaluate::{Entered, Fault, RUN_TIME_MAX, enter};
use crate::engine::host::{Entry, Host, Kind};
use crate::engine::rule::Rule;

fn now() -> DateTime<Utc> {
    "2026-01-05T09:00:00Z".parse().unwrap()
}

fn rule(functions: &str) -> Rule {
    let source = format!(
        "const RULE = #{{ id: \"a\", on: \"communication.CallStarted\", grants: [\"sms.send\", \"log.write\"] }};\n{functions}"
    );
    Rule::compile("a", &source, &Map::new()).unwrap()
}

/// Enters a function until it ends, answering each read from `answer`.
fn run(
    rule: &Rule,
    function: &str,
    host: &mut Host,
    answer: impl Fn(&str, &Value) -> Value,
) -> (Result<Value, Fault>, Vec<Entry>, usize) {
    let event =
        SharedValue::new(json!({ "from": { "address": "+15550100", "name": "Sam" }, "answered": false }));
    host.begin_function(function == "then");
    let mut entries = 0;
    loop {
        entries += 1;
        match enter(rule, function, &rule.args(function, &event), host) {
            Entered::Returned(value) => return (Ok(value), host.take_entries(), entries),
            Entered::Failed(fault) => return (Err(fault), host.take_entries(), entries),
            Entered::Asks(read) => {
                let value = answer(read.name(), read.args());
                if let Err(reason) = host.learn(read, value) {
                    return (
                        Err(Fault {
                            reason,
                            mismatch: false,
                        }),
                        host.take_entries(),
                        entries,
                    );
                }
            }
        }
    }
}

fn fresh() -> Host {
    let mut host = Host::new(now());
    host.begin_rule();
    host
}

fn at_work(name: &str, args: &Value) -> Value {
    if (name, args) == ("state", &json!(["me.place"])) {
        json!("Work")
    } else {
        Value::Null
    }
}

#[test]
fn a_read_suspends_and_its_value_is_in_the_journal() {
    let rule = rule("fn when(ev) { state(\"me.place\") == \"Work\" && !ev.answered }\nfn then(ev) {}");
    let (ended, journal, entered) = run(&rule, "when", &mut fresh(), at_work);
    assert_eq!((ended, entered), (Ok(json!(true)), 2));
    let [read] = journal.as_slice() else {
        panic!("one entry: {journal:?}")
    };
    assert_eq!(
        (read.kind, read.name.as_str(), read.line),
        (Kind::Read, "state", 2)
    );
    assert_eq!((&read.args, &read.value), (&json!(["me.place"]), &json!("Work")));
}

#[test]
fn an_effect_before_a_read_is_recorded_once() {
    let rule = rule(
        "fn then(ev) { sms.send(ev.from, \"Hello\"); if state(\"me.place\") == \"Work\" { log.write(\"told\") } }",
    );
    let (ended, journal, entered) = run(&rule, "then", &mut fresh(), at_work);
    assert!(ended.is_ok());
    assert_eq!(entered, 2);
    let steps: Vec<_> = journal
        .iter()
        .map(|entry| (entry.kind, entry.name.as_str()))
        .collect();
    assert_eq!(
        steps,
        [
            (Kind::Effect, "sms.send"),
            (Kind::Read, "state"),
            (Kind::Effect, "log.write")
        ]
    );
}

#[test]
fn what_one_rule_asked_is_answered_to_the_next_at_once() {
    let rule = rule("fn when(ev) { state(\"me.place\") == \"Work\" }\nfn then(ev) {}");
    let mut host = fresh();
    assert_eq!(run(&rule, "when", &mut host, at_work).2, 2);
    host.begin_rule();
    let (ended, journal, entered) = run(&rule, "when", &mut host, |_, _| panic!("asked again"));
    assert_eq!((ended, entered), (Ok(json!(true)), 1));
    assert_eq!(journal.len(), 1);
}

#[test]
fn chance_and_time_are_the_same_when_the_script_is_entered_again() {
    let rule = rule(
        "fn then(ev) { let a = random(); let b = random(6); let c = now(); state(\"x\"); log.write(`${a} ${b} ${c.text}`) }",
    );
    let (ended, journal, entered) = run(&rule, "then", &mut fresh(), at_work);
    assert!(ended.is_ok(), "{ended:?}");
    assert_eq!(entered, 2);
    let (a, b) = (&journal[0].value, &journal[1].value);
    let text = journal[4].args[0].as_str().unwrap();
    assert_eq!(text, format!("{a} {b} 2026-01-05T09:00:00Z"));
    assert!(b.as_u64().unwrap() < 6 && a.as_f64().unwrap() < 1.0);
}

#[test]
fn a_script_that_does_something_else_the_second_time_is_stopped() {
    let first = rule("fn then(ev) { log.write(\"x\"); state(\"x\") }");
    let changed = rule("fn then(ev) { log.write(\"y\"); state(\"x\") }");
    let mut host = fresh();
    let event = SharedValue::new(json!({}));
    host.begin_function(true);
    let Entered::Asks(read) = enter(&first, "then", &first.args("then", &event), &mut host) else {
        panic!("a read")
    };
    host.learn(read, Value::Null).unwrap();
    let entered = enter(&changed, "then", &changed.args("then", &event), &mut host);
    let Entered::Failed(fault) = entered else {
        panic!("a mismatch: {entered:?}")
    };
    assert!(fault.mismatch);
    assert!(fault.reason.contains("step 1"), "{}", fault.reason);
}

#[test]
fn an_action_in_when_stops_the_run_even_if_no_linter_saw_it() {
    let rule = rule("fn when(ev) { try { log.write(\"x\"); } catch { } true }\nfn then(ev) {}");
    let (ended, journal, _) = run(&rule, "when", &mut fresh(), at_work);
    assert!(ended.unwrap_err().reason.contains("`when` may only read"));
    assert_eq!(journal, []);
}

#[test]
fn an_action_with_a_bad_recipient_fails_with_its_place() {
    let rule = rule("fn then(ev) {\n    sms.send(\"0155\", \"Hello\")\n}");
    let (ended, journal, _) = run(&rule, "then", &mut fresh(), at_work);
    let reason = ended.unwrap_err().reason;
    assert!(
        reason.starts_with("a.rhai:3:") && reason.contains("recipient"),
        "{reason}"
    );
    assert_eq!(journal, []);
}

#[test]
fn a_run_that_takes_too_many_steps_or_too_much_room_is_stopped() {
    let many = rule("fn then(ev) { for i in 0..1000 { log.write(`line ${i}`) } }");
    let (ended, journal, _) = run(&many, "then", &mut fresh(), at_work);
    assert!(ended.unwrap_err().reason.contains("more than 200 steps"));
    assert_eq!(journal.len(), 200);
    let large = rule("fn then(ev) { state(\"a\"); }");
    let (ended, ..) = run(&large, "then", &mut fresh(), |_, _| json!("x".repeat(70_000)));
    assert!(ended.unwrap_err().reason.contains("larger than 64 KB"));
}

#[test]
fn an_endless_loop_ends() {
    let rule = rule("fn then(ev) { let i = 0; loop { i += 1; } }");
    assert!(run(&rule, "then", &mut fresh(), at_work).0.is_err());
}

#[test]
fn inputs_reach_the_script() {
    let source = "const RULE = #{ id: \"a\", on: \"communication.CallStarted\", inputs: #{ text: #{ type: \"string\", initial: \"Hi\" } } };\nfn then(ev, inputs) { inputs.text }";
    let set = json!({ "text": "Soon" });
    let rule = Rule::compile("a", source, set.as_object().unwrap()).unwrap();
    assert_eq!(run(&rule, "then", &mut fresh(), at_work).0, Ok(json!("Soon")));
}

#[test]
fn a_run_has_one_budget_of_time_over_all_its_entries() {
    let rule = rule("fn when(ev) { true }\nfn then(ev) {}");
    let body = SharedValue::new(json!({}));
    let mut host = Host::new(now());
    host.begin_rule();
    host.use_time(RUN_TIME_MAX);
    match enter(&rule, "when", &rule.args("when", &body), &mut host) {
        Entered::Failed(fault) => assert_eq!(fault.reason, "the run took more than 250 ms"),
        other => panic!("{other:?}"),
    }
    host.begin_function(true);
    assert!(
        matches!(
            enter(&rule, "then", &rule.args("then", &body), &mut host),
            Entered::Failed(_)
        ),
        "`then` has what `when` left"
    );
    host.begin_rule();
    assert!(
        matches!(
            enter(&rule, "when", &rule.args("when", &body), &mut host),
            Entered::Returned(_)
        ),
        "the next rule has its own"
    );
}
