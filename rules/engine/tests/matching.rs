use std::sync::Arc;

use contracts::{AccountId, CorrelationId, Event, EventId, Lane};
use serde_json::{Map, Value, json};

use crate::engine::index::Index;
use crate::engine::rule::Rule;

pub(super) fn event(kind: &str, lane: Lane, body: Value) -> Event {
    let at = "2026-01-05T09:00:00Z".parse().unwrap();
    Event {
        position: 1,
        id: EventId::new(),
        kind: kind.to_owned(),
        version: 1,
        account: AccountId::new(),
        lane,
        subject: None,
        subject_version: None,
        actor: "system".to_owned(),
        occurred_at: at,
        recorded_at: at,
        correlation: CorrelationId::new(),
        causation: None,
        depth: 0,
        body: Some(body),
    }
}

fn rule(id: &str, rest: &str) -> Arc<Rule> {
    let source = format!("const RULE = #{{ id: \"{id}\", {rest} }};\nfn then(ev) {{ }}");
    Arc::new(Rule::compile(id, &source, &Map::new()).unwrap())
}

fn ids(index: &Index, event: &Event) -> Vec<String> {
    index
        .matching(event)
        .into_iter()
        .map(|rule| rule.header.id.clone())
        .collect()
}

fn call(relations: Value) -> Event {
    event(
        "communication.CallStarted",
        Lane::Live,
        json!({ "answered": false, "from": { "relations": relations } }),
    )
}

#[test]
fn only_rules_of_that_type_and_those_literals_are_found() {
    let index = Index::new(vec![
        rule(
            "b-partner",
            r#"on: "communication.CallStarted", where: #{ "from.relations": "partner" }"#,
        ),
        rule("a-any", r#"on: "communication.CallStarted""#),
        rule(
            "c-boss",
            r#"on: "communication.CallStarted", where: #{ "from.relations": "boss" }"#,
        ),
        rule(
            "d-both",
            r#"on: "communication.CallStarted", where: #{ "from.relations": "partner", answered: true }"#,
        ),
        rule("e-other", r#"on: "communication.MessageReceived""#),
    ]);
    assert_eq!(
        ids(&index, &call(json!(["friend", "partner", "partner"]))),
        ["a-any", "b-partner"]
    );
    assert_eq!(
        ids(&index, &call(json!(["boss", "partner"]))),
        ["a-any", "b-partner", "c-boss"]
    );
    assert_eq!(ids(&index, &call(json!([]))), ["a-any"]);
    assert_eq!(ids(&index, &call(json!("boss"))), ["a-any", "c-boss"]);
    assert_eq!(
        ids(&index, &event("communication.CallStarted", Lane::Live, json!({}))),
        ["a-any"]
    );
    assert_eq!(
        ids(&index, &event("state.FactChanged", Lane::Live, json!({}))),
        Vec::<String>::new()
    );
}

#[test]
fn history_that_an_import_brings_is_seen_only_by_rules_that_ask_for_it() {
    let index = Index::new(vec![
        rule("live", r#"on: "communication.MessageReceived""#),
        rule("both", r#"on: "communication.MessageReceived", backfill: true"#),
    ]);
    assert_eq!(
        ids(
            &index,
            &event("communication.MessageReceived", Lane::Backfill, json!({}))
        ),
        ["both"]
    );
    assert_eq!(
        ids(
            &index,
            &event("communication.MessageReceived", Lane::Live, json!({}))
        ),
        ["both", "live"]
    );
}

#[test]
fn an_event_whose_body_was_erased_concerns_no_rule() {
    let index = Index::new(vec![rule("any", r#"on: "communication.CallStarted""#)]);
    let mut erased = call(json!([]));
    erased.body = None;
    assert_eq!(ids(&index, &erased), Vec::<String>::new());
}

#[test]
fn a_call_is_too_late_after_ten_minutes_unless_the_rule_says_otherwise() {
    let age = |rest: &str| rule("a", rest).header.max_age.map(|age| age.as_secs());
    assert_eq!(age(r#"on: "communication.CallStarted""#), Some(600));
    assert_eq!(
        age(r#"on: "communication.CallStarted", max_age: "1d""#),
        Some(86_400)
    );
    assert_eq!(age(r#"on: "state.FactChanged""#), None);
}
