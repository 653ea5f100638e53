use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use spine::edge::Caller;
use tower::ServiceExt;

use super::*;

impl Story {
    async fn ask(
        &self,
        scope: &Scope,
        request: axum::http::request::Builder,
        body: Value,
    ) -> (StatusCode, Value) {
        let router = Router::from(crate::http::routes(&self.hub.context));
        let request = request.extension(Caller(scope.clone()));
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn post(&self, key: Option<&str>, body: Value) -> (StatusCode, Value) {
        let mut request = Request::post("/messages");
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        self.ask(&self.alice, request, body).await
    }
}

fn hi() -> Value {
    json!({ "channel": "sms", "to": "+1 415 555 0100", "text": "Hi" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_queued_over_http_is_sent_by_the_queue() {
    let story = story().await;
    let (status, answer) = story.post(None, hi()).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let id: EntityId = answer["id"].as_str().unwrap().parse().unwrap();
    let uri = format!("/messages/{id}");
    let view = story
        .hub
        .eventually("the attempt is settled", async || {
            let (status, view) = story.ask(&story.alice, Request::get(&uri), Value::Null).await;
            assert_eq!(status, StatusCode::OK);
            (view["attempts"][0]["state"] == "accepted").then_some(view)
        })
        .await;
    let kept = story.provider.kept();
    assert_eq!(kept.len(), 1);
    assert_eq!(
        (kept[0].to.as_str(), kept[0].text.as_str()),
        ("+14155550100", "Hi")
    );
    assert_eq!(view["attempts"][0]["id"], json!(kept[0].attempt));
    assert_eq!(view["message"]["props"]["remote_id"], "SM0001");
    let mallory = story.hub.somebody();
    assert_eq!(
        story.ask(&mallory, Request::get(&uri), Value::Null).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_twice_with_one_key_is_one_message() {
    let story = story().await;
    let (first, second) = (
        story.post(Some("k1"), hi()).await,
        story.post(Some("k1"), hi()).await,
    );
    assert_eq!(first, second);
    assert_eq!(first.0, StatusCode::ACCEPTED);
    let mut other = hi();
    other["text"] = json!("Bye");
    assert_eq!(
        story.post(Some("k1"), other).await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let mut other = hi();
    other["connection"] = json!(story.provider.connection);
    assert_eq!(
        story.post(Some("k1"), other).await.0,
        StatusCode::UNPROCESSABLE_ENTITY,
        "all of the request counts"
    );
    let third = story.post(Some("k2"), hi()).await;
    assert_ne!(third.1, first.1);
    story
        .hub
        .eventually("both are sent", async || {
            (story.provider.kept().len() == 2).then_some(())
        })
        .await;
    assert_eq!(story.graph.all("Message").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_can_not_be_sent_is_refused_and_nothing_is_queued() {
    let story = story().await;
    let table = [
        ("text", json!("")),
        ("text", json!("x".repeat(1601))),
        ("to", json!("Sam")),
        ("to", json!("")),
        ("to", Value::Null),
        ("to_person", json!(EntityId::new())),
        ("channel", json!("fax")),
        ("connection", json!(EntityId::new())),
    ];
    for (name, value) in table {
        let mut body = hi();
        body[name] = value;
        let (status, problem) = story.post(None, body.clone()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {problem}");
    }
    for name in ["text", "channel"] {
        let mut body = hi();
        body[name] = json!("a\u{0}b");
        assert_eq!(story.post(None, body).await.0, StatusCode::BAD_REQUEST, "{name}");
    }
    assert_eq!(story.post(Some(""), hi()).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(story.post(None, json!([])).await.0, StatusCode::BAD_REQUEST);
    assert!(story.graph.all("Message").is_empty());
    assert!(story.provider.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_leaves_its_key_free_and_a_day_frees_a_used_one() {
    let story = story().await;
    let mut wrong = hi();
    wrong["to"] = json!("Sam");
    assert_eq!(
        story.post(Some("k1"), wrong).await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let first = story.post(Some("k1"), hi()).await;
    assert_eq!(first.0, StatusCode::ACCEPTED);
    story.advance(Duration::from_secs(24 * 3600 - 1));
    assert_eq!(story.post(Some("k1"), hi()).await, first);
    story.advance(Duration::from_secs(2));
    let next_day = story.post(Some("k1"), hi()).await;
    assert_eq!(next_day.0, StatusCode::ACCEPTED);
    assert_ne!(next_day.1, first.1);
}
