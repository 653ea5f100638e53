//! The linter finds what the compiler lets through.

use super::*;
use crate::LintReport;

fn lint(source: &str) -> LintReport {
    let engine = engine();
    engine.lint(&engine.compile("rule.rhai", source).unwrap())
}

fn the_error(source: &str) -> ScriptError {
    let mut report = lint(source);
    assert_eq!(report.errors.len(), 1, "{source}: {:#?}", report.errors);
    report.errors.remove(0)
}

fn reaches(source: &str, function: &str) -> Vec<String> {
    let engine = engine();
    let script = engine.compile("rule.rhai", source).unwrap();
    engine.reaches(&script, function).into_keys().collect()
}

#[test]
fn a_sound_rule_has_no_findings() {
    let report = lint(
        r#"
const RULE = #{ id: "x" };
const TEXT = "hi";
fn when(ev) { state("me.place") == "Work" && !ev.answered && ev.from.relations.contains("partner") }
fn then(ev, inputs) {
    sms.send(ev.from, inputs.text + TEXT);
    let reply = wait_for(#{ on: "x", "from.id": ev.from.id }, "30m");
    if reply != () && reply.text.trim() == "1" { phone.ring(`${ev.from.name}: urgent`) }
    let list = [3, 1, 2].filter(|n| n > limit()).map(|n| n * 2);
    for (x, i) in list { mail.send(x, i); }
    try { list.sort(); } catch(e) { mail.send(e.message); }
    let total = 0;
    total += list[0].max(2);
    switch total { 7 if total > 7 => helper(total), 1..3 => mail.send(list[0].to_string()), _ => () }
    list.map(|who| { sms.send(who, TEXT); sms.send(who, reply) });
    let how = helper;
    how.call(RULE.id);
    ev.list[0].deep["x"].trim().len() + ev?.a?.b
}
fn limit() { 1 }
fn helper(x) { x.y = 1; }
"#,
    );
    assert_eq!(report, LintReport::default());
}

#[test]
fn an_unknown_function_gets_the_nearest_name() {
    let error = the_error("fn main(ev) {\n  ev.text.trm()\n}");
    assert_eq!(error.to_string(), "rule.rhai:2:11: there is no function `trm`");
    assert_eq!(error.hint.as_deref(), Some("did you mean `trim`?"));
    assert_eq!(
        the_error("fn main() { sttae(1) }").hint.as_deref(),
        Some("did you mean `state`?")
    );
    assert_eq!(
        the_error("fn helper() { } fn main() { helpre() }")
            .hint
            .as_deref(),
        Some("did you mean `helper`?")
    );
    assert_eq!(
        the_error("fn main() { sms.sned(1, 2) }").hint.as_deref(),
        Some("did you mean `sms.send`?")
    );
    assert_eq!(
        the_error("fn main() { send(1, 2) }").hint.as_deref(),
        Some("did you mean `mail.send`?")
    );
    assert_eq!(
        the_error("fn main() { sleep(3) }").message,
        "there is no function `sleep`"
    );
    assert_eq!(
        the_error("fn main() { [1].map(|x| frob(x)) }").message,
        "there is no function `frob`"
    );
}

#[test]
fn a_wrong_number_of_arguments_is_found() {
    assert_eq!(
        the_error("fn main() { state() }").message,
        "`state` takes 1 argument, not 0"
    );
    assert_eq!(
        the_error("fn main() { sms.send(1) }").message,
        "`sms.send` takes 2 arguments, not 1"
    );
    assert_eq!(
        the_error("fn main() { mail.send(1, 2, 3, 4) }").message,
        "`mail.send` takes 1 to 3 arguments, not 4"
    );
    assert_eq!(
        the_error("fn main(x) { x.starts_with() }").message,
        "`starts_with` takes 1 arguments, not 0"
    );
    assert_eq!(
        the_error("fn h(a) { a } fn main() { h(1, 2) }").message,
        "`h(a)` takes 1 arguments, not 2"
    );
}

#[test]
fn an_undefined_variable_is_found() {
    let error = the_error("fn main(event) { evnt.id }");
    assert_eq!(error.message, "there is no variable `evnt` here");
    assert_eq!(error.hint.as_deref(), Some("did you mean `event`?"));
    assert_eq!(
        the_error("fn main() { if true { let a = 1; a; } a }").message,
        "there is no variable `a` here"
    );
    assert_eq!(
        the_error("fn main() { x = 1; }").message,
        "there is no variable `x` here"
    );
    assert_eq!(
        the_error("fn main() { [1].map(|x| x + y) }").message,
        "there is no variable `y` here"
    );
    assert_eq!(
        the_error("const A = 1; fn main() { global::A }")
            .hint
            .as_deref()
            .map(|h| h.contains("write `A`")),
        Some(true)
    );
    assert!(lint("const A = 1; fn main() { A }").is_ok());
}

#[test]
fn a_closure_that_uses_the_list_on_which_it_is_called_is_found() {
    let error = the_error("fn main(ev) { ev.list.filter(|x| x != ev.id) }");
    assert_eq!(error.message, "the closure uses `ev`, on which it is called");
    assert!(
        error_of("let l = [1]; l.filter(|x| l.len() > x)")
            .hint
            .is_some_and(|h| h.contains("copy"))
    );
    assert!(lint("fn main(ev) { let l = ev.list; l.filter(|x| x != ev.id) }").is_ok());
}

#[test]
fn a_variable_that_nothing_reads_is_a_warning() {
    let report = lint("fn main() { let unused = 1; let _quiet = 2; let used = 3; used }");
    assert!(report.is_ok());
    let warnings: Vec<_> = report.warnings.iter().map(|w| w.message.as_str()).collect();
    assert_eq!(warnings, ["nothing reads the variable `unused`"]);
}

#[test]
fn names_of_the_hub_can_not_be_hidden_or_passed_around() {
    assert_eq!(
        the_error("fn main() { let sms = 1; sms }").message,
        "`sms` is a name of the hub"
    );
    assert_eq!(
        the_error("fn state(x) { x }").message,
        "`state` is a function of the hub"
    );
    assert_eq!(
        the_error("fn main() { let s = sms; s }").message,
        "`sms` can't be used as a value"
    );
    assert_eq!(
        the_error("fn f(x) { x } fn main() { f(sms) }").message,
        "`sms` can't be used as a value"
    );
    assert_eq!(
        the_error("fn main() { sms.number }").message,
        "`sms` has functions only, no fields"
    );
}

#[test]
fn host_functions_are_found_through_helpers_closures_and_function_values() {
    let source = r#"
fn when(ev) { check(ev) }
fn check(ev) { state("a") == 1 || later(ev) }
fn later(ev) { ev.list.some(|x| sms.send(x, 1).queued) }
fn then(ev) { ev.list.map(ring); loop_a(1) }
fn ring(x) { phone.ring(x) }
fn loop_a(x) { loop_b(x) }
fn loop_b(x) { mail.send(x); loop_a(x) }
fn pure(ev) { ev.a + 1 }
fn methods(ev) { ev.ring() }
fn branches(ev) { switch ev.a { 1 => { if true { while true { state("x"); } } } _ => () } }
fn argument(ev) { ev.text.replace(state("a"), [#{ x: `${mail.send(1)}` }]) }
"#;
    assert_eq!(reaches(source, "when"), ["sms.send", "state"]);
    assert_eq!(reaches(source, "then"), ["mail.send", "phone.ring"]);
    assert_eq!(reaches(source, "pure"), Vec::<String>::new());
    assert_eq!(reaches(source, "branches"), ["state"]);
    assert_eq!(reaches(source, "argument"), ["mail.send", "state"]);
    assert_eq!(reaches(source, "absent"), Vec::<String>::new());
}
