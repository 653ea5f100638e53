use super::*;

const HEADER: &str = r#"const RULE = #{ id: "a", on: "communication.CallStarted", grants: ["sms.send"] };
"#;

fn errors(source: &str) -> Vec<String> {
    check(source, "a.rhai")
        .into_iter()
        .filter(Diagnostic::is_error)
        .map(|d| format!("{d} ({})", d.hint.clone().unwrap_or_default()))
        .collect()
}

fn with_body(body: &str) -> Vec<String> {
    errors(&format!("{HEADER}{body}"))
}

#[track_caller]
fn assert_one(found: &[String], parts: &[&str]) {
    assert_eq!(found.len(), 1, "{found:#?}");
    for part in parts {
        assert!(found[0].contains(part), "{part:?} is not in {:?}", found[0]);
    }
}

#[test]
fn the_shipped_recipes_have_nothing_to_find() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/recipes");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(
            check(&std::fs::read_to_string(&path).unwrap(), "recipe"),
            [],
            "{}",
            path.display()
        );
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn a_rule_without_the_grant_is_refused() {
    let source = HEADER.replace("\"sms.send\"", "");
    let found = errors(&format!("{source}fn then(ev) {{ sms.send(ev.from, \"Hello\") }}"));
    assert_one(
        &found,
        &["a.rhai:2:", "no grant for `sms.send`", "grants: [\"sms.send\"]"],
    );
}

#[test]
fn a_grant_that_only_a_helper_uses_is_needed_all_the_same() {
    let source = HEADER.replace("\"sms.send\"", "");
    let found = errors(&format!(
        "{source}fn tell(who) {{ sms.send(who, \"Hello\") }}\nfn then(ev) {{ tell(ev.from) }}"
    ));
    assert_one(&found, &["a.rhai:2:", "no grant for `sms.send`"]);
}

#[test]
fn a_grant_that_nothing_uses_is_a_warning() {
    let found = check(&format!("{HEADER}fn then(ev) {{ }}"), "a.rhai");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].severity, found[0].line), (Severity::Warning, 1));
    assert!(
        found[0].message.contains("sms.send") && found[0].column > 60,
        "{:?}",
        found[0]
    );
}

#[test]
fn an_action_in_when_is_refused() {
    let found = with_body(
        "fn when(ev) { sms.send(ev.from, \"Hello\"); true }\nfn then(ev) { sms.send(ev.from, \"Hello\") }",
    );
    assert_one(
        &found,
        &["a.rhai:2:", "`when` may only read", "move it into `then`"],
    );
}

#[test]
fn waits_are_refused_by_name() {
    for (wait, name) in [
        ("wait_for(#{ on: \"x\" }, \"30m\")", "wait_for"),
        ("sleep(\"5m\")", "sleep"),
        ("approve(\"really?\")", "approve"),
        ("wait(\"5m\")", "wait"),
    ] {
        let found = with_body(&format!(
            "fn then(ev) {{\n    sms.send(ev.from, \"Hello\");\n    {wait};\n}}"
        ));
        assert_one(
            &found,
            &[
                "a.rhai:4:5:",
                &format!("`{name}` is not available"),
                "a rule of its own",
            ],
        );
    }
}

#[test]
fn an_unknown_function_is_refused_with_the_nearest_one() {
    let found = with_body("fn then(ev) { sms.sent(ev.from, \"Hello\"); sms.send(ev.from, \"Hello\") }");
    assert_one(&found, &["a.rhai:2:", "sent", "sms.send"]);
    let found = with_body(
        "fn when(ev) { sttate(\"me.place\") == \"Work\" }\nfn then(ev) { sms.send(ev.from, \"Hello\") }",
    );
    assert_one(&found, &["a.rhai:2:15", "sttate", "`state`"]);
}

#[test]
fn a_wrong_number_of_arguments_is_refused() {
    assert_one(
        &with_body("fn then(ev) { sms.send(ev.from) }"),
        &["a.rhai:2:", "sms.send"],
    );
    assert_one(
        &with_body("fn then() { sms.send(\"+15550100\", \"Hello\") }"),
        &["`then` takes 0 arguments", "fn then(ev, inputs)"],
    );
}

#[test]
fn an_unknown_header_key_is_refused_with_the_nearest_one() {
    let found = errors(
        "const RULE = #{\n    id: \"a\",\n    on: \"communication.CallStarted\",\n    grant: [],\n};\nfn then(ev) {}",
    );
    assert_one(
        &found,
        &["a.rhai:4:5:", "`grant` is no key", "did you mean `grants`?"],
    );
}

#[test]
fn keys_of_later_versions_are_refused_by_name() {
    for key in ["debounce", "throttle", "catch_up"] {
        let found = errors(&format!(
            "const RULE = #{{ id: \"a\", on: \"communication.CallStarted\",\n  {key}: \"5m\" }};\nfn then(ev) {{}}"
        ));
        assert_one(&found, &["a.rhai:2:3:", &format!("`{key}` is not available")]);
    }
}

#[test]
fn an_unknown_event_is_refused_with_the_nearest_one() {
    for (name, near) in [
        ("communication.CallStarted2", "communication.CallStarted"),
        ("CallStarted", "communication.CallStarted"),
    ] {
        let found = errors(&format!(
            "const RULE = #{{ id: \"a\",\n  on: \"{name}\" }};\nfn then(ev) {{}}"
        ));
        assert_one(&found, &["a.rhai:2:3:", "there is no event", near]);
    }
}

#[test]
fn every_mistake_of_a_header_is_told_at_once_with_its_place() {
    let found = errors(
        "const RULE = #{\n  id: \"Not An Id\",\n  on: 7,\n  where: #{ \"from.relations\": [\"partner\"] },\n  mode: \"singel\",\n  key: \"a..b\",\n  limit: \"often\",\n  grants: [\"sms.snd\"],\n  inputs: #{ text: #{ type: \"text\" } },\n  max_age: \"soon\",\n  backfill: \"no\",\n};\nfn then(ev) {}",
    );
    let lines: Vec<&str> = found.iter().filter_map(|line| line.split(':').nth(1)).collect();
    assert_eq!(
        lines,
        ["2", "3", "4", "5", "6", "7", "8", "9", "10", "11"],
        "{found:#?}"
    );
    assert!(found[3].contains("did you mean \"single\"?"));
    assert!(found[6].contains("did you mean \"sms.send\"?"));
}

#[test]
fn a_header_that_is_computed_or_missing_is_refused() {
    assert_one(
        &errors("const RULE = #{ id: \"a\" + \"b\", on: \"communication.CallStarted\" };\nfn then(ev) {}"),
        &["a.rhai:1:"],
    );
    assert_one(&errors("fn then(ev) {}"), &["RULE", "begin with const RULE"]);
}

#[test]
fn a_text_that_could_not_be_stored_is_refused() {
    assert_one(&with_body("fn then(ev) {\n \0 }"), &["a.rhai:3:", "NUL", "UTF-8"]);
}

#[test]
fn a_syntax_error_has_its_place() {
    assert_one(&with_body("fn then(ev) { sms.send(ev.from, ; }"), &["a.rhai:2:"]);
}

#[test]
fn a_rule_that_does_nothing_at_all_is_refused() {
    assert_one(
        &with_body("fn than(ev) { sms.send(ev.from, \"Hello\") }"),
        &["no function `then`", "`than`"],
    );
}

#[test]
fn tests_in_the_file_are_no_mistake_but_must_have_their_shape() {
    let then = "fn then(ev) { sms.send(ev.from, \"Hello\") }\n";
    let test = "fn test_once(t) { t.given_state(\"me.place\", \"Work\"); t.expect_one(\"sms.send\"); t.advance(\"31m\"); }";
    assert_eq!(with_body(&format!("{then}{test}")), Vec::<String>::new());
    assert_one(
        &with_body(&format!("{then}fn test_once() {{ }}")),
        &["a.rhai:3:", "fn test_once(t)"],
    );
}
