//! Headers are read, not run.

use serde::Deserialize;

use super::*;
use crate::{ErrorKind, Position};

const RULE: &str = r#"//! Text my partner back.
//! When at work.
const RULE = #{
    id: "partner-at-work",
    where: #{ "from.relations": "partner" },
    max: -5, share: -0.5, on: true, off: (), note: `plain`,
    grants: ["sms.send", "phone.ring"],
};
fn when(ev) { true }
fn then(ev, inputs) { }
"#;

#[test]
fn a_header_is_read_without_running_code_and_keeps_the_place_of_each_value() {
    let script = engine().compile("rule.rhai", RULE).unwrap();
    let header = script.header("RULE").unwrap();
    let value = json!({
        "id": "partner-at-work", "where": { "from.relations": "partner" },
        "max": -5, "share": -0.5, "on": true, "off": null, "note": "plain",
        "grants": ["sms.send", "phone.ring"],
    });
    assert_eq!(header.value, value);
    assert_eq!(header.place("/grants/1"), Position { line: 7, column: 26 });
    assert_eq!(
        header.place("/where/from.relations"),
        Position { line: 5, column: 15 }
    );
    assert_eq!(header.place("/where/unknown").line, 5);
    assert_eq!(
        header.error(&script, "/max", "must be positive").to_string(),
        "rule.rhai:6:5: must be positive"
    );
    assert_eq!(script.doc(), "Text my partner back.\nWhen at work.");
    let functions: Vec<_> = script
        .functions()
        .iter()
        .map(|f| (f.name.as_str(), f.params.len()))
        .collect();
    assert_eq!(functions, [("then", 2), ("when", 1)]);
}

#[test]
fn a_computed_header_is_refused_with_line_and_column() {
    for (value, what) in [
        ("1 + 1", "the operator `+`"),
        ("state(\"me.place\")", "a call of `state`"),
        ("OTHER", "the name `OTHER`"),
        ("`a ${1}`", "a text with"),
        ("if true { 1 } else { 2 }", "an expression"),
    ] {
        let error = compile_error(&format!("const OTHER = 1;\nconst RULE = #{{ id:\n   {value} }};"));
        assert_eq!(error.kind, ErrorKind::Header, "{error}");
        assert_eq!(error.position.line, 3, "{error}");
        assert!(
            error.message.contains("the header must be literal values"),
            "{error}"
        );
        assert!(error.message.contains(what), "{error}");
    }
}

#[test]
fn a_missing_header_is_named() {
    let script = engine().compile("rule.rhai", "fn main() { }").unwrap();
    assert!(script.header("RULE").unwrap_err().message.contains("const RULE"));
}

#[test]
fn statements_outside_of_functions_are_refused() {
    for source in ["let x = 1;", "fn f() { }\nstate(1);", "loop { }", "if true { }"] {
        let error = compile_error(source);
        assert_eq!(error.kind, ErrorKind::Syntax, "{source}");
        assert!(error.position.is_known(), "{source}");
    }
}

#[test]
fn a_header_that_its_type_refuses_is_pointed_at() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Rule {
        #[expect(dead_code, reason = "only the refusal is of interest")]
        id: String,
    }
    let script = engine()
        .compile("rule.rhai", "const RULE = #{ id: \"a\",\n  grunts: [] };")
        .unwrap();
    let error = script.header("RULE").unwrap().parse::<Rule>(&script).unwrap_err();
    assert_eq!(error.position, Position { line: 2, column: 3 });
    assert!(error.message.contains("grunts"), "{error}");
}

#[test]
fn a_reserved_word_is_explained() {
    for source in [
        "fn f() { let thread = 1; }",
        "fn f(ev) { match + 1 }",
        "fn f(ev) { default }",
        "fn f(match) { 1 }",
    ] {
        let error = compile_error(source);
        assert!(
            error
                .hint
                .as_deref()
                .is_some_and(|h| h.contains("keeps the word")),
            "{source}: {error:?}"
        );
        assert_eq!(error.position.line, 1);
    }
    let error = compile_error("fn f(x) { x == null }");
    assert!(
        error.hint.as_deref().is_some_and(|h| h.contains("`()`")),
        "{error:?}"
    );
}

#[test]
fn a_syntax_error_shows_the_line_and_a_caret() {
    let error = compile_error("fn main() {\n    let x = ;\n}");
    assert!(
        error.render().contains("2 |     let x = ;\n  |             ^"),
        "{}",
        error.render()
    );
}
