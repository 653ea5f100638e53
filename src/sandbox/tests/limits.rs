//! A script can't take more than it was given.

use std::time::{Duration, Instant};

use super::*;
use crate::ErrorKind;

#[test]
fn doubling_a_string_stops_at_the_size_limit() {
    let error = error_of(r#"let s = "spam"; loop { s += s; }"#);
    assert_eq!(error.kind, ErrorKind::Memory, "{error}");
    assert_eq!(error.position.line, 1);
}

#[test]
fn replacing_a_letter_by_a_long_text_stops_before_the_text_is_built() {
    let error = error_of(r#"let s = "a"; for i in 0..17 { s += s; } s.replace("a", s)"#);
    assert_eq!(error.kind, ErrorKind::Memory, "{error}");
}

#[test]
fn growing_an_array_stops_at_the_size_limit() {
    assert_eq!(
        error_of("let a = []; loop { a.push(1); }").kind,
        ErrorKind::Memory
    );
    assert_eq!(error_of("let a = [1]; loop { a += a; }").kind, ErrorKind::Memory);
    assert_eq!(
        error_of("let a = [1]; loop { a = [a, a]; }").kind,
        ErrorKind::Memory
    );
}

#[test]
fn growing_a_map_stops_at_the_size_limit() {
    assert_eq!(
        error_of("let m = #{}; let i = 0; loop { m[`k${i}`] = i; i += 1; }").kind,
        ErrorKind::Memory
    );
}

#[test]
fn hiding_large_arrays_in_a_map_stops_too() {
    let body = "let a = []; a.pad(1500, 0); let m = #{}; let i = 0; loop { m[`k${i}`] = a; i += 1; }";
    let error = error_of(body);
    assert_eq!(error.kind, ErrorKind::Memory, "{error}");
}

#[test]
fn hiding_arrays_in_elements_of_themselves_stops_too() {
    let body = "let a = []; a.pad(900, 0); let b = [0, 0, 0]; loop { b[0] = a; b[1] = b; }";
    assert_eq!(error_of(body).kind, ErrorKind::Memory);
}

#[test]
fn nesting_arrays_as_deep_as_the_limit_allows_leaves_the_thread_alive() {
    let error = error_of("let a = []; loop { a = [a]; }");
    assert_eq!(error.kind, ErrorKind::Memory, "{error}");
    let error = error_of("let a = #{}; loop { a = #{ a: a }; }");
    assert_eq!(error.kind, ErrorKind::Memory, "{error}");
}

#[test]
fn using_a_value_that_nests_as_deep_as_allowed_leaves_the_thread_alive() {
    for body in [
        "a.to_string()",
        "`${a}`",
        "a == b",
        "a.contains(b)",
        "let c = a; c += b; c.len()",
        "switch a { 1 => 2, _ => 3 }",
        "try { a.to_json() } catch { }",
        "sms.send(a, b)",
        "throw a",
        "a",
        "a.index_of(b)",
        "to_debug(a)",
        "[a].sort()",
        "[a, b].order()",
        "a.sort(|x, y| if x == y { 0 } else { 1 })",
    ] {
        // Seven times for each variable: as much as fits between two weighings.
        for (open, close, times) in [("[", "]", 20), ("#{ a: ", "}", 20)] {
            let deeper =
                |name: &str| format!("{name} = {}{name}{};", open.repeat(times), close.repeat(times));
            let nest = format!(
                "let a = []; let b = []; {}",
                format!("{}{}", deeper("a"), deeper("b")).repeat(7)
            );
            let run = outcome_of(&format!("{nest} {body}"));
            assert!(
                run.is_ok() || run.is_err_and(|error| error.kind != ErrorKind::Syntax),
                "{body}"
            );
        }
    }
}

#[test]
fn an_endless_loop_stops_at_the_operations() {
    let error = error_of("let x = 0; loop { x += 1; }");
    assert_eq!(error.kind, ErrorKind::Operations);
    assert!(error.message.contains("200000"), "{error}");
    assert_eq!(error.position.line, 1);
}

#[test]
fn an_endless_loop_stops_at_the_wall_time() {
    let engine = engine();
    let script = engine.compile("rule.rhai", "fn main() {\n  loop { }\n}").unwrap();
    let budget = Budget {
        operations: u64::MAX,
        time: Duration::from_millis(50),
    };
    let begin = Instant::now();
    let error = engine
        .call(&script, "main", &[], &mut Journal::default(), &budget)
        .outcome
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Time);
    assert_eq!(error.position.line, 2);
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_limit_can_not_be_caught() {
    for body in ["loop { }", "let s = \"spam\"; loop { s += s; }"] {
        let error = error_of(&format!("try {{ {body} }} catch {{ }} 1"));
        assert!(error.is_limit(), "{error}");
    }
}

#[test]
fn an_endless_loop_in_a_comparison_stops_although_sort_swallows_errors() {
    let error = error_of("let a = [3, 2, 1]; a.sort(|x, y| { loop { } }); 1");
    assert_eq!(error.kind, ErrorKind::Operations);
}

#[test]
fn endless_recursion_stops_at_the_depth() {
    let source = "fn f(x) { f(x + 1) + 1 } fn main() { f(1) }";
    let error = run_with(source, &[], &mut Journal::default())
        .outcome
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Depth, "{error}");
    let source = "fn f(g, x) { g.call(g, x + 1) } fn main() { let g = f; f(g, 1) }";
    let error = run_with(source, &[], &mut Journal::default())
        .outcome
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Depth, "{error}");
}

#[test]
fn deep_expressions_at_every_depth_of_recursion_leave_the_thread_alive() {
    let nested = format!("{}f(x + 1){}", "(1 + ".repeat(22), ")".repeat(22));
    let source = format!("fn f(x) {{ if x > 0 {{ if x > 0 {{ {nested} }} }} }} fn main() {{ f(1) }}");
    let error = run_with(&source, &[], &mut Journal::default())
        .outcome
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Depth, "{error}");
}

#[test]
fn a_deeply_nested_source_is_refused() {
    let source = format!("fn main() {{ {}1{} }}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(compile_error(&source).kind, ErrorKind::Syntax);
    let source = format!("const RULE = {}1{};", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(compile_error(&source).kind, ErrorKind::Syntax);
}

#[test]
fn a_source_that_is_too_long_is_refused() {
    let source = format!("// {}\nfn main() {{ }}", "x".repeat(100_000));
    assert_eq!(compile_error(&source).kind, ErrorKind::TooLong);
}

#[test]
fn import_eval_print_and_pointers_by_name_are_refused() {
    for body in [
        "import \"x\" as y;",
        "eval(\"1\")",
        "print(1)",
        "debug(1)",
        "Fn(\"state\")",
        "curry(|x| x, 1)",
    ] {
        let error = compile_error(&format!("fn main() {{ {body} }}"));
        assert_eq!(error.kind, ErrorKind::Syntax, "{body}: {error}");
        assert!(error.hint.is_some(), "{body}: {error}");
    }
}

#[test]
fn a_closure_that_is_kept_is_refused_since_it_could_hold_itself() {
    for body in [
        "let f = |x| x; f",
        "let f = 0; f = || f;",
        "|x| x",
        "return |x| x",
        "[|x| x]",
        "#{ f: |x| x }",
        "let a = []; a.push(|x| x);",
        "let m = #{}; m.set(\"f\", |x| m);",
        "keep(|x| x)",
        "1.keep(|x| x)",
        "[1].reduce(|a, b| a, |x| x)",
        "[1].map(|x| |y| x + y)",
        "map([1], |x| x)",
        "if true { |x| x }",
        "[1].filter(|x| x, |y| y)",
    ] {
        let error = compile_error(&format!("fn keep(f) {{ f }} fn main() {{ {body} }}"));
        assert!(
            error.message.contains("a closure can only be given straight"),
            "{body}: {error}"
        );
        assert!(error.position.is_known() && error.hint.is_some());
    }
    assert!(
        compile_error("fn map(f) { f } fn main() { 1.map(|x| x) }")
            .message
            .contains("closure")
    );
    assert_eq!(
        value_of("let n = 2; [1, 2, 3].filter(|x| x >= n).map(|x| x * n)"),
        json!([4, 6])
    );
}

#[test]
fn clock_and_sleep_do_not_exist() {
    for body in ["timestamp()", "sleep(1)", "exit()", "blob(10)"] {
        let error = error_of(body);
        assert!(
            error.message.contains("there is no function") || error.message.contains("can't be used"),
            "{error}"
        );
    }
}
