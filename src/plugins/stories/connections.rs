//! Connections: what is accepted, what is shown, what goes.

use super::*;
use serde_json::json;

#[tokio::test]
async fn a_connection_is_shown_with_its_addresses_and_without_its_secrets() {
    let story = Story::begin().await;
    let shown = story.show().await;
    assert_eq!(shown["secrets"], json!(["auth_token"]));
    assert!(!shown.to_string().contains(TOKEN));
    assert_eq!(shown["health"], "active");
    let voice = &shown["webhooks"][0];
    assert_eq!(
        voice["url"],
        format!("https://hub.example/hooks/twilio/{}/voice", story.connection)
    );
    let listed = story.call(Method::GET, "/connections", json!({})).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let plugins = story.call(Method::GET, "/plugins", json!({})).await.json();
    assert_eq!(
        plugins
            .as_array()
            .unwrap()
            .iter()
            .map(|plugin| &plugin["id"])
            .collect::<Vec<_>>(),
        [
            "feeds", "github", "gumroad", "imap", "log", "poller", "stripe", "twilio", "webhook"
        ]
    );
    // The stored form is not the secret either.
    let mut superuser = story.hub.database.superuser().await;
    let sealed: Vec<u8> = sqlx::query_scalar("SELECT sealed FROM plugins.secret")
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert!(!sealed.windows(8).any(|window| window == &TOKEN.as_bytes()[..8]));
}

#[tokio::test]
async fn every_mistake_in_a_new_connection_is_named_at_once() {
    let story = Story::begin().await;
    let refused = story
        .call(
            Method::POST,
            "/connections",
            json!({
                "plugin": "twilio", "name": "",
                "settings": {
                    "acount_sid": ACCOUNT, "from": "12345", "base_url": "http://127.0.0.1:1",
                    "voice_response": "syng"
                },
                "secrets": { "auth_tokn": "x" }, "allowed_ranges": ["10.0.0.0/8", "here"],
            }),
        )
        .await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    for expected in [
        "name: 1 to 100",
        "there is no setting `acount_sid`; did you mean `account_sid`?",
        "setting `from` must be a phone number",
        "setting `voice_response` must be one of say, reject, dial, twiml",
        "setting `account_sid` is missing",
        "there is no secret `auth_tokn`; did you mean `auth_token`?",
        "secret `auth_token` is missing",
        "allowed_ranges: `here` is no range",
    ] {
        assert!(
            refused.text.contains(expected),
            "{expected} is not in {}",
            refused.text
        );
    }
    let good = json!({ "account_sid": ACCOUNT, "from": OURS });
    let new = |settings: Value, ranges: Value| json!({ "plugin": "twilio", "name": "b", "settings": settings, "secrets": { "auth_token": TOKEN }, "allowed_ranges": ranges });
    let mut plain = good.clone();
    plain["base_url"] = json!("http://127.0.0.1:1");
    let refused = story
        .call(Method::POST, "/connections", new(plain, json!(["10.0.0.0/8"])))
        .await;
    assert!(
        refused
            .text
            .contains("setting `base_url` must begin with https://"),
        "{}",
        refused.text
    );
    let refused = story
        .call(
            Method::POST,
            "/connections",
            new(json!({ "account_sid": ACCOUNT }), json!([])),
        )
        .await;
    assert!(
        refused.text.contains("`from` or `messaging_service_sid`"),
        "{}",
        refused.text
    );
    let refused = story
        .call(
            Method::POST,
            "/connections",
            json!({ "plugin": "twillio", "name": "b" }),
        )
        .await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    assert!(
        refused.text.contains("did you mean `twilio`?"),
        "{}",
        refused.text
    );
    assert_eq!(
        story
            .call(Method::POST, "/connections", new(good, json!([])))
            .await
            .status,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn bob_neither_sees_nor_changes_what_is_alices() {
    let story = Story::begin().await;
    let bob = story.hub.somebody();
    let path = format!("/connections/{}", story.connection);
    assert_eq!(
        story
            .call_as(&bob, Method::GET, "/connections", json!({}))
            .await
            .json(),
        json!([])
    );
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::PATCH, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/pause")),
        (Method::POST, format!("{path}/resume")),
        (Method::POST, format!("{path}/reconcile")),
        (Method::POST, format!("{path}/test")),
        (Method::PUT, format!("{path}/secrets")),
    ] {
        let answer = story.call_as(&bob, method.clone(), &path, json!({})).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
    }
    assert_eq!(story.show().await["health"], "active");
}

#[tokio::test]
async fn a_removed_connection_takes_its_secrets_along_and_answers_no_webhook() {
    let story = Story::begin().await;
    let path = format!("/connections/{}", story.connection);
    assert_eq!(
        story.call(Method::DELETE, &path, json!({})).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        story.call(Method::DELETE, &path, json!({})).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        story.webhook("voice", &[("CallSid", "CA1")]).await.status,
        StatusCode::NOT_FOUND
    );
    let mut superuser = story.hub.database.superuser().await;
    let secrets: i64 = sqlx::query_scalar("SELECT count(*) FROM plugins.secret")
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!(secrets, 0);
    assert_eq!(
        story.kinds().await,
        ["connector.ConnectionCreated", "connector.ConnectionRemoved"]
    );
}

#[tokio::test]
async fn the_database_that_goes_away_is_told_to_the_provider_as_503() {
    let mut story = Story::begin().await;
    story.hub.stop().await;
    story.hub.database.db.app().close().await;
    let answer = story.webhook("voice", &[("CallSid", "CA1")]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.retry_after.is_some());
}
