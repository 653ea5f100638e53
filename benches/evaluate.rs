//! Evaluating rules alone, on one core: twenty rules an event type with one state read each, found by type; and a
//! thousand rules of one type, found by a literal.

use std::time::{Duration, Instant};

use chrono::DateTime;
use contracts::{AccountId, CorrelationId, Event, EventId, Lane};
use rules::bench_api::RuleSet;
use serde_json::json;

use crate::Row;

/// Rules may listen to events that exist only.
const TYPES: [&str; 10] = [
    "communication.CallStarted",
    "communication.CallStatusChanged",
    "communication.MessageReceived",
    "communication.MessageSent",
    "communication.MessageFailed",
    "communication.MessageStatusChanged",
    "data.EntityCreated",
    "data.EntityUpdated",
    "device.PositionReported",
    "state.FactChanged",
];
const RULES_PER_TYPE: usize = 20;
const RULES_OF_ONE_TYPE: usize = 1000;
const TIME: Duration = Duration::from_secs(3);

pub(crate) fn run() -> Vec<Row> {
    let by_type: Vec<String> = (0..RULES_PER_TYPE * TYPES.len())
        .map(|n| rule(n, TYPES[n % TYPES.len()], ""))
        .collect();
    let by_literal: Vec<String> = (0..RULES_OF_ONE_TYPE)
        .map(|n| rule(n, TYPES[0], &format!("where: #{{ \"from.id\": \"p{n}\" }},")))
        .collect();
    let typed: Vec<Event> = TYPES.iter().enumerate().map(|(n, kind)| event(n, kind)).collect();
    let literal: Vec<Event> = (0..RULES_OF_ONE_TYPE).map(|n| event(n, TYPES[0])).collect();
    [
        (
            format!("events evaluated, {RULES_PER_TYPE} rules each found by type"),
            by_type,
            typed,
        ),
        (
            format!("events evaluated, 1 of {RULES_OF_ONE_TYPE} rules found by a literal"),
            by_literal,
            literal,
        ),
    ]
    .into_iter()
    .map(|(what, sources, events)| {
        let rules = RuleSet::compile(sources.iter().map(String::as_str)).unwrap();
        Row {
            what,
            per_second: evaluate(&rules, &events),
        }
    })
    .collect()
}

fn rule(n: usize, on: &str, terms: &str) -> String {
    format!(
        "const RULE = #{{ id: \"rule-{n}\", on: \"{on}\", {terms} grants: [] }};\n\
         fn when(ev) {{ state(\"me.place\") == \"Work\" && !ev.answered }}\n\
         fn then(ev, inputs) {{ }}\n"
    )
}

fn evaluate(rules: &RuleSet, events: &[Event]) -> f64 {
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < TIME {
        for event in events {
            rules.evaluate(event, |_, _| json!("Home"));
        }
        count += events.len();
    }
    count as f64 / begun.elapsed().as_secs_f64()
}

fn event(n: usize, kind: &str) -> Event {
    let at = DateTime::UNIX_EPOCH;
    Event {
        position: 1,
        id: EventId::new(),
        kind: kind.to_owned(),
        version: 1,
        account: AccountId::new(),
        lane: Lane::Live,
        subject: None,
        subject_version: None,
        actor: "bench".to_owned(),
        occurred_at: at,
        recorded_at: at,
        correlation: CorrelationId::new(),
        causation: None,
        depth: 0,
        body: Some(
            json!({ "from": { "id": format!("p{n}"), "name": "Sam", "relations": ["partner"] }, "answered": false }),
        ),
    }
}
