use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use contracts::events::audit::SignInsRefused;
use contracts::events::connector::DataReceived;
use contracts::events::device::PositionReported;
use contracts::{AccountId, Event, EventPayload, TokenId};
use serde_json::json;
use spine::testing::{MemoryGraph, TestHub, hub};
use tower::ServiceExt;

use super::*;

struct Story {
    hub: TestHub,
    graph: Arc<MemoryGraph>,
    alice: Scope,
    phone: Sender,
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
    Story {
        hub,
        graph,
        alice,
        phone: Sender {
            token: TokenId::new(),
            name: Some("Alice's phone".to_owned()),
        },
    }
}

impl Story {
    /// What happens to a body behind the check of the token.
    async fn keep(&self, body: impl Into<Body>) -> Result<(), Problem> {
        let request = Request::builder().body(body.into()).unwrap();
        keep(&self.hub.context, &self.alice, &self.phone, request).await
    }

    async fn positions(&self) -> Vec<PositionReported> {
        self.hub.settle().await;
        let events = self.hub.events(&self.alice).await;
        events
            .iter()
            .filter_map(Event::payload::<PositionReported>)
            .map(Result::unwrap)
            .collect()
    }

    fn location(&self, latitude: f64, age_s: i64) -> Value {
        let tst = self.hub.context.clock.now().timestamp() - age_s;
        json!({ "_type": "location", "lat": latitude, "lon": 8.5, "acc": 9, "tst": tst, "batt": 40, "tid": "al" })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_becomes_record_reading_and_event_and_the_same_one_again_changes_nothing() {
    let story = story().await;
    let report = story.location(47.37, 60).to_string();
    story.keep(report.clone()).await.unwrap();
    story.keep(report).await.unwrap();
    story.keep(story.location(47.38, 30).to_string()).await.unwrap();
    let positions = story.positions().await;
    assert_eq!(positions.len(), 2);
    assert_eq!(
        (positions[0].latitude, positions[0].battery_percent),
        (47.37, Some(40))
    );
    assert_eq!(story.graph.raw_records(), 2);
    let devices = story.graph.all("Device");
    assert_eq!(devices.len(), 1, "one token is one device");
    assert_eq!(devices[0].title.as_deref(), Some("Alice's phone"));
    let readings = story.graph.all("Reading");
    assert_eq!(readings.len(), 2);
    assert!(
        readings
            .iter()
            .all(|reading| reading.props["device"] == json!(devices[0].id))
    );
    assert!(
        positions
            .iter()
            .all(|position| readings.iter().any(|reading| reading.id == position.reading))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_occurred_when_the_fix_was_taken() {
    let story = story().await;
    let report = story.location(47.37, 7_200);
    story.keep(report.to_string()).await.unwrap();
    story.hub.settle().await;
    let events = story.hub.events(&story.alice).await;
    let event = events
        .iter()
        .find(|event| event.kind == PositionReported::TYPE)
        .unwrap();
    assert_eq!(json!(event.occurred_at.timestamp()), report["tst"]);
    assert_eq!(
        event.lane,
        contracts::Lane::Live,
        "late, but live: the state decides what it means"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_understood_is_parked_with_its_reason_and_answered_as_taken() {
    let story = story().await;
    let beyond = json!({ "_type": "location", "lat": 91, "lon": 8, "tst": 1_790_000_000 }).to_string();
    for body in [beyond.as_str(), "{\"_type\":", "\0", "[1]"] {
        story.keep(body.to_owned()).await.unwrap();
    }
    let source = format!("owntracks/{}", story.phone.token);
    let reasons = [
        "the field lat is beyond ±90 degrees",
        "the body is not JSON",
        "the body is not JSON",
        "the body is not a JSON object",
    ];
    assert_eq!(
        story.graph.parked(),
        reasons.map(|reason| (source.clone(), reason.to_owned()))
    );
    assert!(story.positions().await.is_empty());
    assert!(story.graph.all("Device").is_empty(), "nothing comes of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_messages_of_the_app_are_kept_and_an_empty_body_is_not() {
    let story = story().await;
    story.keep("").await.unwrap();
    assert_eq!(story.graph.raw_records(), 0);
    for _ in 0..2 {
        story.keep(r#"{"_type":"lwt","tst":1790000000}"#).await.unwrap();
    }
    assert_eq!(story.graph.raw_records(), 1);
    story.hub.settle().await;
    let events = story.hub.events(&story.alice).await;
    let received: Vec<_> = events.iter().filter_map(Event::payload::<DataReceived>).collect();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].as_ref().unwrap().stream, "lwt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_413_and_one_at_the_limit_is_kept() {
    let story = story().await;
    let refused = story.keep(" ".repeat(BODY_MAX + 1)).await.unwrap_err();
    assert_eq!(refused.status, 413);
    let chunks = chunked(vec!["x".repeat(40_000); 2]);
    assert_eq!(
        story.keep(chunks).await.unwrap_err().status,
        413,
        "without a content length too"
    );
    assert!(story.graph.parked().is_empty());
    story.keep("x".repeat(BODY_MAX)).await.unwrap();
    assert_eq!(story.graph.parked().len(), 1);
}

/// A body whose length nobody knows beforehand.
fn chunked(chunks: Vec<String>) -> Body {
    let chunks = chunks.into_iter().map(Ok::<_, std::convert::Infallible>);
    Body::from_stream(futures::stream::iter(chunks))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_nobody_gets_in_and_the_audit_counts_the_tries() {
    let story = story().await;
    let router = axum::Router::from(routes(&story.hub.context));
    for authorization in [None, Some("Basic !!!"), Some("Bearer abc")] {
        let mut request = Request::post("/device-events").extension(axum::extract::ConnectInfo(
            std::net::SocketAddr::from(([192, 0, 2, 7], 4711)),
        ));
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let response = router
            .clone()
            .oneshot(request.body(Body::from("{}")).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], CHALLENGE);
    }
    story.hub.context.access.refusals_flush().await.unwrap();
    story.hub.settle().await;
    let instance = story.hub.gate.operator(AccountId::INSTANCE);
    let events = story.hub.events(&instance).await;
    let refused: Vec<_> = events
        .iter()
        .filter_map(Event::payload::<SignInsRefused>)
        .map(Result::unwrap)
        .collect();
    let told: Vec<_> = refused.iter().map(|entry| entry.source.as_str()).collect();
    assert!(
        refused.len() <= 2 && told.iter().all(|source| *source == "192.0.2.7"),
        "one a minute: {refused:?}"
    );
    assert_eq!(refused.iter().map(|entry| entry.count).sum::<u64>(), 3);
    assert!(story.graph.parked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tries_many_tokens_is_told_to_wait() {
    let story = story().await;
    let router = axum::Router::from(routes(&story.hub.context));
    let mut told = StatusCode::UNAUTHORIZED;
    // A minute may turn on the way; then it takes up to as many again.
    for _ in 0..=2 * REFUSALS_PER_SOURCE_MAX {
        let request = Request::post("/device-events").body(Body::empty()).unwrap();
        told = router.clone().oneshot(request).await.unwrap().status();
        if told == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
    }
    assert_eq!(told, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused_and_says_how_to_get_a_right_one() {
    let story = story().await;
    let router = axum::Router::from(routes(&story.hub.context));
    let wrong = "Basic cGhvbmU6d3Jvbmc="; // phone:wrong
    let request = Request::post("/device-events").header(header::AUTHORIZATION, wrong);
    let response = router
        .oneshot(request.body(Body::from("{}")).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
    let problem: Problem = serde_json::from_slice(&body).unwrap();
    assert!(problem.hint.unwrap().contains("password"));
    assert_eq!(story.graph.raw_records(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_report_can_be_read_again_and_stays_parked_while_it_is_not_understood() {
    let story = story().await;
    story
        .keep(r#"{"_type":"location","lat":91,"lon":8,"tst":1790000000}"#)
        .await
        .unwrap();
    let id = story.graph.newest_parked().unwrap();
    let router = axum::Router::from(crate::owntracks::retry_routes(&story.hub.context));
    let retry = async |id: contracts::RawRecordId| {
        let request = Request::post(format!("/device-records/{id}/retry"));
        let request = request
            .extension(spine::edge::Caller(story.alice.clone()))
            .body(Body::empty())
            .unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
        (status, serde_json::from_slice::<Value>(&body).unwrap())
    };
    let (status, body) = retry(id).await;
    assert_eq!(
        (status, body),
        (
            StatusCode::OK,
            json!({ "parked": "the field lat is beyond ±90 degrees" })
        )
    );
    assert_eq!(
        retry(contracts::RawRecordId::new()).await.0,
        StatusCode::NOT_FOUND
    );
}
