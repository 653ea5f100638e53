//! Evaluating rules alone, on one core: a thousand rules over fifty event types with one state read each, found by type;
//! and a thousand rules of one type, found by a literal.

use std::time::{Duration, Instant};

use chrono::DateTime;
use contracts::{AccountId, CorrelationId, Event, EventId, Lane};
use rules::bench_api::RuleSet;
use serde_json::json;

use crate::Row;

const RULES: usize = 1000;
const TYPES: usize = 50;
const TIME: Duration = Duration::from_secs(3);

pub(crate) fn run() -> Vec<Row> {
    let by_type: Vec<String> = (0..RULES)
        .map(|n| rule(n, &format!("bench.Happened{}", n % TYPES), ""))
        .collect();
    let by_literal: Vec<String> = (0..RULES)
        .map(|n| {
            rule(
                n,
                "bench.Happened0",
                &format!("where: #{{ \"from.id\": \"p{n}\" }},"),
            )
        })
        .collect();
    [
        ("by type (20 rules each)", by_type),
        ("by literal (one rule each)", by_literal),
    ]
    .into_iter()
    .map(|(how, sources)| {
        let rules = RuleSet::compile(sources.iter().map(String::as_str)).unwrap();
        let what = format!("events evaluated, {RULES} rules found {how}, one state read a rule");
        Row {
            what,
            per_second: evaluate(&rules),
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

fn evaluate(rules: &RuleSet) -> f64 {
    let events: Vec<Event> = (0..TYPES).map(event).collect();
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < TIME {
        for event in &events {
            rules.evaluate(event, |_, _| json!("Home"));
        }
        count += events.len();
    }
    count as f64 / begun.elapsed().as_secs_f64()
}

fn event(n: usize) -> Event {
    let at = DateTime::UNIX_EPOCH;
    Event {
        position: 1,
        id: EventId::new(),
        kind: format!("bench.Happened{n}"),
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
