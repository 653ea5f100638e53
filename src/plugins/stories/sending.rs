//! Sending by the pack: what the provider took, refused, or may have taken.

use super::stand_in::Next;
use super::*;
use chrono::TimeDelta;
use contracts::{AttemptId, EntityId};
use serde_json::json;
use spine::ports::{ChannelError, Outgoing, Route, SendOutcome};

fn message() -> Outgoing {
    Outgoing {
        message: EntityId::new(),
        attempt: AttemptId::new(),
        to: SAM.into(),
        text: "At work, & I'll call back".into(),
    }
}

async fn route(story: &Story) -> Route {
    let mut tx = story.hub.begin(&story.alice).await;
    story
        .hub
        .context
        .ports
        .channel_driver()
        .route(&mut tx, "sms", None)
        .await
        .unwrap()
}

async fn send(story: &Story, message: &Outgoing) -> SendOutcome {
    let route = route(story).await;
    story
        .hub
        .context
        .ports
        .channel_driver()
        .send(&story.alice, &route, message)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_text_is_posted_once_with_its_callback_and_found_again() {
    let story = Story::begin().await;
    let message = message();
    let before = story.hub.context.clock.now();
    let outcome = send(&story, &message).await;
    let taken = story.twilio.taken();
    assert_eq!(taken.len(), 1);
    let sid = taken[0]["sid"].as_str().unwrap().to_owned();
    assert_eq!(
        outcome,
        SendOutcome::Accepted {
            remote_id: sid.clone(),
            status: "queued".into()
        }
    );
    assert_eq!((&taken[0]["to"], &taken[0]["from"]), (&json!(SAM), &json!(OURS)));
    assert_eq!(taken[0]["body"], message.text);
    let callback = format!(
        "https://hub.example{}?message={}",
        story.hook(&format!("status/{}", message.attempt)),
        message.message
    );
    assert_eq!(taken[0]["x_callback"], callback);

    // Others of the same recipient stand before it and after it, over several pages.
    for n in 0..5 {
        story.twilio.add_message(json!({
            "sid": format!("SMother{n}"), "status": "sent", "direction": "outbound-api", "to": SAM, "from": OURS,
            "body": "something else", "date_created": stand_in::now(),
        }));
    }
    let route = route(&story).await;
    let driver = story.hub.context.ports.channel_driver();
    let found = driver.find(&story.alice, &route, &message, before).await.unwrap();
    assert_eq!(
        found
            .iter()
            .map(|found| found.remote_id.as_str())
            .collect::<Vec<_>>(),
        [sid.as_str()]
    );
    let later = before + TimeDelta::minutes(5);
    assert_eq!(
        driver.find(&story.alice, &route, &message, later).await.unwrap(),
        [],
        "an older one is not ours"
    );
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_the_providers_list_knows() {
    let story = Story::begin().await;
    let message = message();
    let before = story.hub.context.clock.now();
    story.twilio.next(Next::LoseAnswer);
    assert!(matches!(
        send(&story, &message).await,
        SendOutcome::Unknown { .. }
    ));
    assert_eq!(story.twilio.posts(), 1, "the driver does not try again by itself");
    assert_eq!(story.show().await["health"], "retrying");
    let route = route(&story).await;
    assert_eq!(route.grace, std::time::Duration::from_secs(1));
    let found = story
        .hub
        .context
        .ports
        .channel_driver()
        .find(&story.alice, &route, &message, before)
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
}

#[tokio::test]
async fn refusals_say_whether_trying_again_helps_and_repeat_no_number() {
    let story = Story::begin().await;
    let wrong = json!({ "code": 21211, "message": format!("The 'To' number {SAM} is not valid") });
    story
        .twilio
        .next(Next::Refuse(StatusCode::BAD_REQUEST, wrong, None));
    match send(&story, &message()).await {
        SendOutcome::Refused {
            reason, permanent, ..
        } => {
            assert!(permanent);
            assert!(reason.contains("21211") && !reason.contains(SAM), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    story.twilio.next(Next::Refuse(
        StatusCode::TOO_MANY_REQUESTS,
        json!({ "code": 20429 }),
        Some(3),
    ));
    match send(&story, &message()).await {
        SendOutcome::Refused {
            permanent,
            retry_after,
            ..
        } => {
            assert!(!permanent);
            assert_eq!(retry_after, Some(std::time::Duration::from_secs(3)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(story.show().await["health"], "retrying");
    assert!(matches!(
        send(&story, &message()).await,
        SendOutcome::Accepted { .. }
    ));
    assert_eq!(story.show().await["health"], "active", "it recovers by itself");
}

#[tokio::test]
async fn a_changed_token_is_named_in_health_until_the_owner_gives_the_new_one() {
    let story = Story::begin().await;
    story.twilio.change_token("a-new-token");
    assert!(matches!(
        send(&story, &message()).await,
        SendOutcome::Refused { permanent: false, .. }
    ));
    assert_eq!(story.show().await["health"], "needs-reauthorisation");
    let path = format!("/connections/{}", story.connection);
    let tested = story
        .call(Method::POST, &format!("{path}/test"), json!({}))
        .await
        .json();
    assert_eq!(tested["ok"], false);
    let set = story
        .call(
            Method::PUT,
            &format!("{path}/secrets"),
            json!({ "auth_token": "a-new-token" }),
        )
        .await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    assert_eq!(
        story
            .call(Method::POST, &format!("{path}/test"), json!({}))
            .await
            .json()["ok"],
        true
    );
    assert!(matches!(
        send(&story, &message()).await,
        SendOutcome::Accepted { .. }
    ));
    let kinds = story.kinds().await;
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| *kind == "connector.ConnectionHealthChanged")
            .count(),
        2
    );
}

#[tokio::test]
async fn a_provider_that_is_not_there_was_certainly_not_reached() {
    let story = Story::begin().await;
    let path = format!("/connections/{}", story.connection);
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let settings = json!({
        "settings": { "base_url": format!("http://{closed}") }, "secrets": { "auth_token": TOKEN },
    });
    assert_eq!(
        story.call(Method::PATCH, &path, settings).await.status,
        StatusCode::OK
    );
    assert!(matches!(
        send(&story, &message()).await,
        SendOutcome::Refused { permanent: false, .. }
    ));
    assert_eq!(story.twilio.posts(), 0);
}

#[tokio::test]
async fn a_message_goes_by_the_connection_asked_for_and_never_by_a_paused_one() {
    let story = Story::begin().await;
    let driver = story.hub.context.ports.channel_driver();
    let id = story.connection.parse().unwrap();
    let mut tx = story.hub.begin(&story.alice).await;
    assert_eq!(
        driver.route(&mut tx, "sms", Some(id)).await.unwrap().connection,
        id
    );
    let refused = driver.route(&mut tx, "log", None).await.unwrap_err();
    assert!(matches!(refused, ChannelError::Configuration(reason) if reason.contains("connect log")));
    assert!(matches!(
        driver.route(&mut tx, "fax", None).await,
        Err(ChannelError::Configuration(_))
    ));
    assert!(matches!(
        driver.route(&mut tx, "log", Some(id)).await,
        Err(ChannelError::Configuration(_))
    ));
    drop(tx);
    let bob = story.hub.somebody();
    let mut tx = story.hub.begin(&bob).await;
    assert!(
        matches!(
            driver.route(&mut tx, "sms", Some(id)).await,
            Err(ChannelError::Configuration(_))
        ),
        "Bob's is not Alice's"
    );
    drop(tx);
    story
        .call(
            Method::POST,
            &format!("/connections/{}/pause", story.connection),
            json!({}),
        )
        .await;
    let mut tx = story.hub.begin(&story.alice).await;
    assert!(matches!(
        driver.route(&mut tx, "sms", Some(id)).await,
        Err(ChannelError::Configuration(_))
    ));
}

#[tokio::test]
async fn the_channel_log_takes_a_message_without_asking_anybody() {
    let story = Story::begin().await;
    let made = story
        .call(
            Method::POST,
            "/connections",
            json!({ "plugin": "log", "name": "log" }),
        )
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let driver = story.hub.context.ports.channel_driver();
    let mut tx = story.hub.begin(&story.alice).await;
    let route = driver.route(&mut tx, "log", None).await.unwrap();
    drop(tx);
    let message = message();
    let outcome = driver.send(&story.alice, &route, &message).await.unwrap();
    assert_eq!(
        outcome,
        SendOutcome::Accepted {
            remote_id: message.attempt.to_string(),
            status: "delivered".into()
        }
    );
    assert_eq!(story.twilio.posts(), 0);
}

#[tokio::test]
async fn a_text_goes_by_the_oldest_connection_that_works() {
    let story = Story::begin().await;
    let new = json!({
        "plugin": "twilio", "name": "the other", "settings": { "account_sid": ACCOUNT, "from": OURS },
        "secrets": { "auth_token": TOKEN },
    });
    let made = story.call(Method::POST, "/connections", new).await;
    let other = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(route(&story).await.connection.to_string(), story.connection);
    let mut superuser = story.hub.database.superuser().await;
    for (oldest, other_health, expected) in [
        ("needs-reauthorisation", "active", &other),
        ("retrying", "active", &other),
        ("retrying", "failed", &story.connection),
        ("failed", "failed", &story.connection),
    ] {
        sqlx::query("UPDATE plugins.connection SET health = CASE WHEN id::text = $1 THEN $2 ELSE $3 END")
            .bind(&story.connection)
            .bind(oldest)
            .bind(other_health)
            .execute(&mut superuser)
            .await
            .unwrap();
        assert_eq!(
            route(&story).await.connection.to_string(),
            *expected,
            "{oldest}, {other_health}"
        );
    }
}
