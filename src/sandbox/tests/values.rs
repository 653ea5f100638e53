//! What scripts see of values, and what they can't do to those of others.

use super::*;
use crate::SharedValue;

fn on_event(body: &str) -> Result<Outcome, ScriptError> {
    let event = json!({
        "answered": false, "text": " 1 ",
        "from": { "id": "p1", "name": "Sam", "relations": ["partner", "friend"] },
    });
    on_shared(body, &SharedValue::new(event))
}

fn on_shared(body: &str, event: &SharedValue) -> Result<Outcome, ScriptError> {
    run_with(
        &format!("fn main(ev) {{ {body} }}"),
        &[event.into()],
        &mut Journal::default(),
    )
    .outcome
}

fn value_on_event(body: &str) -> Value {
    match on_event(body) {
        Ok(Outcome::Returned(value)) => value,
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn fields_of_an_event_read_naturally() {
    for body in [
        r#"ev.from.relations.contains("partner")"#,
        r#""partner" in ev.from.relations"#,
        "ev.answered == false && !ev.answered",
        r#"ev.text.trim() == "1""#,
        r#"`${ev.from.name}: urgent` == "Sam: urgent""#,
        "ev.missing == ()",
        "ev.missing?.deeper == ()",
        "ev.from.len() == 3 && ev.from.keys().len() == 3",
        r#"ev.from == #{ id: "p1", name: "Sam", relations: ["partner", "friend"] }"#,
        r#"ev.from.relations.map(|r| r.to_upper()).join("-") == "PARTNER-FRIEND""#,
    ] {
        assert_eq!(value_on_event(body), json!(true), "{body}");
    }
}

#[test]
fn a_field_of_a_missing_field_is_an_error_with_a_hint() {
    let error = on_event("let a = 1;\n  ev.missing.deeper").unwrap_err();
    assert_eq!(error.position.line, 2, "{error}");
    assert!(
        error.hint.as_deref().is_some_and(|hint| hint.contains("?.")),
        "{error}"
    );
    let error = on_event("ev.missing.trim()").unwrap_err();
    assert!(
        error.hint.as_deref().is_some_and(|hint| hint.contains("missing")),
        "{error:?}"
    );
}

#[test]
fn texts_have_the_functions_that_rules_need() {
    for body in [
        r#"" a ".trim() == "a""#,
        r#""a-b".split("-").len() == 2"#,
        r#""aXb".replace("X", "y") == "ayb" && "aXb".replace('X', 'y') == "ayb""#,
        r#""Abc".to_lower().starts_with("ab") && "abc".ends_with("c")"#,
        r#""hello".sub_string(1, 3) == "ell""#,
        r#"parse_int("42") == 42 && parse_float("1.5") == 1.5"#,
        r#"parse_json("{\"a\":[1,null]}").a[0] == 1"#,
        r#"#{ b: [1, ()], a: "x" }.to_json() == "{\"a\":\"x\",\"b\":[1,null]}""#,
        r#"[1, "a"].join(", ") == "1, a""#,
        r#""".is_empty() && ().is_empty() && ![1].is_empty()"#,
        r#""abc".index_of("c") == 2 && "abc".len() == 3"#,
    ] {
        assert_eq!(value_of(body), json!(true), "{body}");
    }
}

#[test]
fn no_script_can_change_what_the_next_one_sees() {
    let json = json!({ "n": 1, "list": [1, 2], "from": { "id": "p1", "tags": ["a"] } });
    let event = SharedValue::new(json.clone());
    for body in [
        "ev.n = 2",
        "ev.added = 2",
        "ev.from.added = 2",
        "ev[\"added\"] = 2",
        "ev.list[0] = 9",
        "ev.list.push(3)",
        "ev.list.clear()",
        "ev.from.tags.push(\"b\")",
        "ev.from.set(\"id\", 2)",
        "ev.from.remove(\"id\")",
        "ev.from.mixin(#{ id: 3 })",
        "ev += #{ z: 1 }",
        "ev = 3",
        "ev.clear()",
        "[1].map(|x| { ev.from.tags.push(\"c\"); ev.n = 5; })",
        "[1].map(|x| ev.clear())",
        "[1].map(|x| ev.added = x)",
        "for x in ev.list { x += 1; }",
        "let mine = ev; mine.from.tags.push(\"b\"); mine.n = 7; mine.list.clear();",
        "let tags = ev.from.tags; tags.push(\"b\");",
        "ev.list.sort(|a, b| b - a)",
        "ev.list.drain(|x| true)",
        "ev.from.tags[0] += \"x\"",
        "swallow(ev)",
    ] {
        let source = format!("fn swallow(e) {{ e.clear(); e.n = 1; }} fn main(ev) {{ {body} }}");
        let _either_way = run_with(&source, &[(&event).into()], &mut Journal::default()).outcome;
        assert_eq!(
            on_shared("ev", &event),
            Ok(Outcome::Returned(json.clone())),
            "{body}"
        );
    }
}

#[test]
fn a_copy_of_the_event_can_be_changed() {
    assert_eq!(
        value_on_event("let mine = ev; mine.from.id = 2; mine.from.relations.push(3); mine.from.id"),
        json!(2)
    );
    let error = on_event("ev.from.relations.push(1)").unwrap_err();
    assert!(
        error
            .hint
            .as_deref()
            .is_some_and(|hint| hint.contains("let mine = ev;")),
        "{error:?}"
    );
}

#[test]
fn numbers_keep_their_kind_and_a_function_can_not_leave() {
    assert_eq!(value_of("[1, 1.0, 'c', ()]"), json!([1, 1.0, "c", null]));
    assert_eq!(error_of("main").kind, crate::ErrorKind::Conversion);
    assert!(error_of("sms.send(main, 1)").message.contains("function"));
    assert_eq!(
        error_of("9223372036854775807 + 1").kind,
        crate::ErrorKind::Runtime
    );
}

#[test]
fn a_thrown_error_carries_its_place_even_from_a_helper() {
    let source = "fn helper() {\n  throw \"no\";\n}\nfn main() { helper() }";
    let error = run_with(source, &[], &mut Journal::default())
        .outcome
        .unwrap_err();
    assert_eq!(error.to_string(), "rule.rhai:2:3: no");
    assert_eq!(
        error.render(),
        "error: no\n  --> rule.rhai:2:3\n  |\n2 |   throw \"no\";\n  |   ^"
    );
}
