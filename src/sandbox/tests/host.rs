//! What the host offers, and how a run is interrupted.

use std::sync::Arc;

use super::*;
use crate::{ErrorKind, Position, SharedValue};

const PARTNER_AT_WORK: &str = r#"
fn when(ev) { state("me.place") == "Work" && !ev.answered }
fn main(ev) {
    sms.send(ev.from, TEXT);
    let reply = wait_for(#{ "from.id": ev.from.id }, "30m");
    phone.ring("urgent");
}
const TEXT = "At work";
"#;

#[test]
fn a_read_that_is_not_in_the_journal_suspends_and_the_second_run_answers() {
    let engine = engine();
    let script = engine.compile("rule.rhai", PARTNER_AT_WORK).unwrap();
    let event = SharedValue::new(json!({ "answered": false }));
    let mut journal = Journal::default();

    let first = engine.call(&script, "when", &[(&event).into()], &mut journal, &budget());
    let position = Position { line: 2, column: 15 };
    let payload = json!({ "read": "me.place" });
    assert_eq!(first.outcome, Ok(Outcome::Suspended { payload, position }));

    journal.readings.insert("me.place".to_owned(), json!("Work"));
    let second = engine.call(&script, "when", &[(&event).into()], &mut journal, &budget());
    assert_eq!(second.outcome, Ok(Outcome::Returned(json!(true))));

    let event = SharedValue::new(json!({ "answered": true }));
    let third = engine.call(&script, "when", &[(&event).into()], &mut journal, &budget());
    assert_eq!(third.outcome, Ok(Outcome::Returned(json!(false))));
}

#[test]
fn effects_before_a_wait_are_in_the_context_and_nothing_after_it_ran() {
    let mut journal = Journal::default();
    let event = Arg::Json(json!({ "from": { "id": "p1", "name": "Sam" } }));
    let run = run_with(PARTNER_AT_WORK, &[event], &mut journal);
    let Ok(Outcome::Suspended { payload, .. }) = run.outcome else {
        panic!("{run:?}")
    };
    assert_eq!(payload, json!({ "wait": [{ "from.id": "p1" }, "30m"] }));
    assert_eq!(
        journal.effects,
        [(
            "sms.send".to_owned(),
            vec![json!({ "id": "p1", "name": "Sam" }), json!("At work")]
        )]
    );
}

#[test]
fn a_suspension_can_not_be_caught_and_nothing_after_it_runs() {
    for body in [
        r#"try { wait_for(#{}) } catch { sms.send("x", "caught"); } sms.send("x", "after");"#,
        r#"try { helper() } catch(e) { sms.send("x", e); } sms.send("x", "after");"#,
        r#"let a = [1, 2]; try { a.map(|x| wait_for(x)) } catch { sms.send("x", "caught"); } sms.send("x", "after");"#,
        r#"let a = [2, 1]; a.sort(|x, y| wait_for(x)); sms.send("x", "after");"#,
        r#"let a = [2, 1]; a.filter(|x| helper()); sms.send("x", "after");"#,
        r#"let m = #{ a: 1 }; try { `${wait_for(m)}` } catch { sms.send("x", "caught"); }"#,
    ] {
        let mut journal = Journal::default();
        let source = format!(
            "fn helper() {{ try {{ wait_for(1) }} catch {{ sms.send(1, 2); }} }} fn main() {{ {body} }}"
        );
        let run = run_with(&source, &[], &mut journal);
        assert!(
            matches!(run.outcome, Ok(Outcome::Suspended { .. })),
            "{body}: {run:?}"
        );
        assert!(journal.effects.is_empty(), "{body}: {:?}", journal.effects);
    }
}

#[test]
fn a_failure_of_the_host_can_be_caught_and_else_carries_its_place() {
    assert_eq!(
        value_of(r#"try { phone.ring(1) } catch(e) { return e; }"#),
        json!("the phone is off")
    );
    let error = error_of("1 +\n phone.ring(1)");
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Runtime, "the phone is off")
    );
    assert_eq!(error.position.line, 2);
}

#[test]
fn a_stop_can_not_be_caught() {
    let error = error_of("try { forbidden() } catch { } 1");
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Stopped, "no grant for it")
    );
}

#[test]
fn a_handler_that_panics_fails_the_run_and_the_context_survives() {
    let mut journal = Journal::default();
    let run = run_with(r#"fn main() { sms.send(1, 2); broken() }"#, &[], &mut journal);
    assert_eq!(run.outcome.unwrap_err().kind, ErrorKind::Internal);
    assert_eq!(journal.effects.len(), 1);
    assert_eq!(value_of("1 + 1"), json!(2));
}

#[test]
fn name_spaces_and_constants_are_seen_in_functions_and_closures() {
    let source = r#"
const TO = ["a", "b"];
fn tell(text) { TO.map(|to| sms.send(to, text)); mail.send(TO[0]); }
fn greet(n) { sms.send(n, TO.len()) }
fn main() { tell("hi"); let how = greet; how.call("c") }"#;
    let mut journal = Journal::default();
    let run = run_with(source, &[], &mut journal);
    assert_eq!(run.outcome, Ok(Outcome::Returned(json!({ "queued": true }))));
    let to: Vec<&Value> = journal.effects.iter().map(|(_, args)| &args[0]).collect();
    assert_eq!(to, [&json!("a"), &json!("b"), &json!("a"), &json!("c")]);
    assert_eq!(journal.effects[2].0, "mail.send");
}

#[test]
fn a_method_called_with_the_wrong_number_of_arguments_or_on_the_wrong_name_space_fails() {
    assert!(
        error_of(r#"sms.send("x", 1, 2)"#)
            .message
            .contains("`sms.send` takes 2 arguments, not 3")
    );
    assert!(
        error_of("sms.ring(1)")
            .message
            .contains("`sms` has no function `ring`")
    );
}

#[test]
fn a_function_that_the_script_lacks_is_named_with_the_nearest_one() {
    let engine = engine();
    let script = engine.compile("rule.rhai", "fn when(ev) { true }").unwrap();
    let mut journal = Journal::default();
    let error = engine
        .call(&script, "test_it", &[], &mut journal, &budget())
        .outcome
        .unwrap_err();
    assert_eq!(
        (error.kind, error.hint.as_deref()),
        (ErrorKind::NoSuchFunction, None)
    );
    let error = engine
        .call(&script, "whne", &[], &mut journal, &budget())
        .outcome
        .unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("did you mean `when`?"));
    let error = engine
        .call(&script, "when", &[], &mut journal, &budget())
        .outcome
        .unwrap_err();
    assert!(
        error.message.contains("takes 1 arguments; the hub gives it 0"),
        "{error}"
    );
}

#[test]
fn two_threads_share_an_engine_a_script_and_an_event() {
    let engine = engine();
    let source = r#"fn main(ev) {
        let hits = 0;
        for i in 0..50 { if ev.from.relations.contains("partner") && ev.n == 7 { hits += 1; } }
        let from = ev.from;
        let names = from.relations.filter(|r| r != ev.from.id);
        hits + names.len()
    }"#;
    let script = Arc::new(engine.compile("rule.rhai", source).unwrap());
    let event = SharedValue::new(json!({ "n": 7, "from": { "id": "x", "relations": ["partner", "x"] } }));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let run = engine.call(
                        &script,
                        "main",
                        &[(&event).into()],
                        &mut Journal::default(),
                        &budget(),
                    );
                    assert_eq!(run.outcome, Ok(Outcome::Returned(json!(51))));
                }
            });
        }
    });
}
