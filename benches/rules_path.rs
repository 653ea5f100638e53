//! Rules with their commits: from the publishing of events to the commit of what the rules made of them, through
//! outbox, sealer, log and consumer, with the real graph and state behind.

use std::time::{Duration, Instant};

use axum::body::Body;
use contracts::{EntityId, EventId, NewEvent};
use http::Request;
use serde_json::{Value, json};
use spine::edge::Caller;
use spine::testing::{TestHub, hub};
use spine::{Cause, Scope};
use tower::ServiceExt;

use crate::event_types::{heard, rule};
use crate::measure::{Measure, Spread};

const RULES: usize = 1000;
const EVENTS: usize = 4000;
const PER_COMMIT: usize = 100;
const ROUNDS: usize = 3;
/// The rules' own event: a rule that acts on it would set itself off.
const OWN: &str = "rules.RunFinished";

struct World {
    hub: TestHub,
    api: axum::Router,
    owner: Scope,
    types: Vec<&'static str>,
}

pub(crate) async fn run() -> Vec<Measure> {
    let world = World::new().await;
    let count = world.types.len();
    for n in 0..RULES {
        let when = "state(\"me.place\") == \"Work\" && !ev.answered";
        world
            .rule(&rule(&format!("rule-{n}"), world.types[n % count], "", when))
            .await;
    }
    world.settle().await;
    let what =
        format!("rules with commits: {RULES} rules over {count} types (all there are), one state read each");
    let idle = world.rounds(format!("{what}; none holds")).await;
    for (n, on) in world.types.iter().enumerate() {
        let when = "state(\"me.place\") != \"Work\"";
        if *on != OWN {
            world
                .rule(&rule(&format!("acts-{n}"), on, "key: \"from.id\",", when))
                .await;
        }
    }
    world.settle().await;
    let acting = world
        .rounds(format!(
            "{what}; one more holds for each event: run, Message, job"
        ))
        .await;
    vec![idle, acting]
}

impl World {
    async fn new() -> Self {
        let mut api = axum::Router::new();
        let hub = hub(|context| {
            let mut rules = rules::service(context);
            api = std::mem::take(&mut rules.api).split_for_parts().0;
            vec![graph::service(context), state::service(context), rules]
        })
        .await;
        let owner = hub.somebody();
        let types = heard();
        Self {
            hub,
            api,
            owner,
            types,
        }
    }

    /// Saves and enables a rule.
    async fn rule(&self, source: &str) {
        let saved = self.post("/rules", json!({ "source": source })).await;
        let path = format!("/rules/{}/enable", saved["id"].as_str().unwrap());
        self.post(&path, json!({})).await;
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let mut request = Request::post(path).body(Body::from(body.to_string())).unwrap();
        request.extensions_mut().insert(Caller(self.owner.clone()));
        let response = self.api.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap();
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    async fn rounds(&self, what: String) -> Measure {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(self.round().await);
        }
        let spread = Spread::of(rounds);
        Measure::per_second(what, spread.median).note(spread.note("events/s"))
    }

    async fn round(&self) -> f64 {
        let begun = Instant::now();
        for first in (0..EVENTS).step_by(PER_COMMIT) {
            let mut tx = self
                .hub
                .context
                .access
                .begin(&self.owner, Cause::outside())
                .await
                .unwrap();
            for n in first..first + PER_COMMIT {
                tx.publish(self.event(n)).unwrap();
            }
            tx.commit().await.unwrap();
        }
        self.settle().await;
        EVENTS as f64 / begun.elapsed().as_secs_f64()
    }

    fn event(&self, n: usize) -> NewEvent {
        let kind = self.types[n % self.types.len()];
        // What positions need is there too, for the state's fold; the device is nobody's.
        let body = json!({
            "from": { "id": format!("p{n}"), "name": "Sam", "relations": ["partner"] }, "answered": false,
            "reading": EntityId::new(), "device": EntityId::new(), "latitude": 38.7, "longitude": -9.1,
        });
        NewEvent {
            id: EventId::new(),
            kind: if kind == OWN {
                "communication.CallStarted"
            } else {
                kind
            },
            version: 1,
            subject: None,
            subject_version: None,
            occurred_at: None,
            lane: None,
            body,
        }
    }

    /// Until all events, and those that followed from them, are read.
    async fn settle(&self) {
        let mut calm = 0;
        while calm < 3 {
            let status = self.hub.admin.status().await.unwrap();
            let busy = status.unsealed > 0 || status.consumers.iter().any(|consumer| consumer.behind > 0);
            calm = if busy { 0 } else { calm + 1 };
            // The events that are made up here have the fields that the rules ask for, not those that others read.
            let rules = status
                .consumers
                .iter()
                .filter(|consumer| consumer.consumer == "rules");
            let parked: i64 = rules.map(|consumer| consumer.parked).sum();
            assert_eq!(parked, 0, "the rules park nothing");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
