use axum::body::Body;
use contracts::events::device::ReadingReported;
use contracts::{Event, TokenId};
use serde_json::{Value, json};
use spine::testing::{MemoryGraph, TestHub, hub};
use tower::ServiceExt;

use super::*;
use crate::device::Sender;

struct Story {
    hub: TestHub,
    graph: Arc<MemoryGraph>,
    alice: Scope,
    phone: Speaker,
}

async fn story() -> Story {
    let graph = Arc::new(MemoryGraph::default());
    let wired = graph.clone();
    let hub = hub(move |context| {
        context.ports.provide_graph_read(wired.clone());
        context.ports.provide_raw_records(wired.clone());
        context.ports.provide_graph_write(wired);
        vec![]
    })
    .await;
    let alice = hub.somebody();
    let phone = Speaker::Device(Sender {
        token: TokenId::new(),
        name: Some("Thermometer".to_owned()),
    });
    Story {
        hub,
        graph,
        alice,
        phone,
    }
}

impl Story {
    async fn say(&self, speaker: &Speaker, body: &Value) -> Result<Kept, Problem> {
        let request = Request::new(Body::from(body.to_string()));
        reported(&self.hub.context, &self.alice, speaker, request).await
    }

    async fn reports(&self) -> Vec<(Event, ReadingReported)> {
        self.hub.settle().await;
        let events = self.hub.events(&self.alice).await.into_iter();
        events
            .filter_map(|event| {
                let report = event.payload::<ReadingReported>()?.unwrap();
                Some((event, report))
            })
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_becomes_record_entity_and_event_and_the_same_one_again_changes_nothing() {
    let story = story().await;
    let body = json!({ "key": "home.temperature", "value": 21.5, "unit": "°C", "source": "hall",
        "taken_at": "2026-11-20T10:00:00Z", "valid_for": "30m" });
    let first = story.say(&story.phone, &body).await.unwrap();
    assert!(!first.duplicate);
    let again = story.say(&story.phone, &body).await.unwrap();
    assert_eq!(
        again,
        Kept {
            reading: None,
            duplicate: true
        }
    );
    assert_eq!(story.graph.raw_records(), 1);
    let (reading, device) = (&story.graph.all("Reading")[0], &story.graph.all("Device")[0]);
    assert_eq!(device.title.as_deref(), Some("Thermometer"));
    assert_eq!(
        (Some(reading.id), &reading.props["kind"], &reading.props["value"]),
        (first.reading, &json!("home.temperature"), &json!(21.5))
    );
    let reports = story.reports().await;
    assert_eq!(reports.len(), 1);
    let (event, report) = &reports[0];
    assert_eq!(event.occurred_at.to_rfc3339(), "2026-11-20T10:00:00+00:00");
    assert_eq!(report.source, format!("device/{}/hall", device.id));
    assert_eq!((report.valid_for_s, report.confidence), (Some(1_800), 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_speaks_without_a_device() {
    let story = story().await;
    let said = story
        .say(&Speaker::Caller, &json!({ "key": "presence.sam", "value": true }))
        .await;
    assert!(said.unwrap().reading.is_some());
    assert!(story.graph.all("Device").is_empty());
    assert_eq!(story.reports().await[0].1.source, "owner");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_malformed_is_refused_with_what_would_be_right_and_nothing_is_kept() {
    let story = story().await;
    for (body, status, says) in [
        (
            json!({ "key": "Temperature", "value": 1 }),
            422,
            "lower-case words",
        ),
        (
            json!({ "key": "a.b", "value": 1, "taken_at": "2999-01-01T00:00:00Z" }),
            422,
            "a day ahead",
        ),
        (json!({ "key": "a.b", "vlaue": 1 }), 400, "vlaue"),
        (json!({ "key": "a.b", "value": "a\0b" }), 400, "NUL"),
        (
            json!({ "key": "a.b", "value": "x".repeat(BODY_MAX) }),
            413,
            "length limit",
        ),
    ] {
        let problem = story.say(&story.phone, &body).await.unwrap_err();
        assert_eq!(problem.status, status);
        let detail = problem.detail.unwrap();
        assert!(detail.contains(says), "{detail}");
    }
    assert_eq!(story.graph.raw_records(), 0);
    assert!(story.graph.all("Device").is_empty() && story.reports().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_nobody_gets_in() {
    let story = story().await;
    let router = axum::Router::from(public_routes(&story.hub.context));
    for authorization in [None, Some("Basic YTpi"), Some("Bearer abc")] {
        let mut request = Request::post("/api/v1/readings");
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let body = Body::from(json!({ "key": "a.b", "value": 1 }).to_string());
        let answer = router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 401, "{authorization:?}");
    }
    assert_eq!(story.graph.raw_records(), 0);
}
