//! Evaluating rules alone, on one core: rules that are found by type, with one state read each; and a thousand rules of
//! one type, found by a literal.

use std::time::{Duration, Instant};

use chrono::DateTime;
use contracts::{AccountId, CorrelationId, Event, EventId, Lane};
use rules::bench_api::RuleSet;
use serde_json::json;

use crate::event_types::{heard, rule};
use crate::measure::{Measure, Spread};

const RULES: usize = 1000;
/// As a thousand rules over fifty types would be.
const RULES_PER_TYPE: usize = 20;
const TIME: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;
const WHEN: &str = "state(\"me.place\") == \"Work\" && !ev.answered";

pub(crate) fn run() -> Vec<Measure> {
    let types = heard();
    let count = types.len();
    let listening = |rules: usize| -> Vec<String> {
        (0..rules)
            .map(|n| rule(&format!("rule-{n}"), types[n % count], "", WHEN))
            .collect()
    };
    let typed: Vec<Event> = types.iter().enumerate().map(|(n, kind)| event(n, kind)).collect();
    let by_literal: Vec<String> = (0..RULES)
        .map(|n| {
            let term = format!("where: #{{ \"from.id\": \"p{n}\" }},");
            rule(&format!("rule-{n}"), types[0], &term, WHEN)
        })
        .collect();
    let literal: Vec<Event> = (0..RULES).map(|n| event(n, types[0])).collect();
    vec![
        measure(
            format!(
                "evaluation alone, one core: {RULES_PER_TYPE} rules found by type with one state read each \
                 (as 1,000 over 50 types; {count} types exist)"
            ),
            &listening(RULES_PER_TYPE * count),
            &typed,
        )
        .at_least(20_000.0),
        measure(
            format!("the same, 1,000 rules over the {count} types that exist"),
            &listening(RULES),
            &typed,
        ),
        measure(
            "evaluation alone, one core: 1 of 1,000 rules found by a literal, with one state read".to_owned(),
            &by_literal,
            &literal,
        )
        .at_least(100_000.0),
    ]
}

fn measure(what: String, sources: &[String], events: &[Event]) -> Measure {
    let rules = RuleSet::compile(sources.iter().map(String::as_str)).unwrap();
    let rounds = (0..ROUNDS).map(|_| evaluate(&rules, events)).collect();
    let spread = Spread::of(rounds);
    Measure::per_second(what, spread.median).note(spread.note("events/s"))
}

/// Events in a second of this thread's time on a core: what it waits while others have the core doesn't count.
fn evaluate(rules: &RuleSet, events: &[Event]) -> f64 {
    let (begun, on_core) = (Instant::now(), on_core());
    let mut count = 0;
    while begun.elapsed() < TIME {
        for event in events {
            rules.evaluate(event, |_, _| json!("Home"));
        }
        count += events.len();
    }
    count as f64 / (self::on_core() - on_core).as_secs_f64()
}

/// How long this thread has been on a core.
fn on_core() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts it");
    let nanoseconds = text.split(' ').next().and_then(|text| text.parse().ok());
    Duration::from_nanos(nanoseconds.expect("a count"))
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
