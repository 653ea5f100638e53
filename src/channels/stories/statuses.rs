use std::time::Duration;

use contracts::EventId;
use spine::ports::{GraphRead, Identifier};
use tokio::sync::oneshot;

use super::provider::{Answer, GRACE};
use super::*;
use AttemptState::{Accepted, Adopted, Disproved, Refused, Started};

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_is_proof_and_nothing_is_sent_again() {
    let story = story().await;
    let message = story.message("Hi").await;
    story.provider.blind(true); // the records would say nothing
    story.provider.will(Answer::Silence { arrived: true });
    story.run_killed(message).await;
    let attempt = story.attempts(message).await[0].id;
    story
        .callback(&story.alice, message, attempt, "SM0001", "delivered")
        .await;
    story.advance(GRACE * 2);
    assert_eq!(story.run(message).await.unwrap().attempt.id, attempt);
    assert_eq!(story.states(message).await, [Accepted]);
    assert_eq!(story.provider.requests().len(), 1);
    assert_eq!(story.prop(message, "status"), json!("delivered"));
    assert_eq!(story.sent().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_overtakes_the_answer_tells_of_the_message_once() {
    let story = story().await;
    let message = story.message("Hi").await;
    let (say, told) = oneshot::channel();
    story.provider.will(Answer::AcceptWhen(told));
    let callback = async {
        let attempt = story
            .hub
            .eventually("the request is made", async || {
                story.provider.requests().first().copied()
            })
            .await;
        story
            .callback(&story.alice, message, attempt, "SM0001", "delivered")
            .await;
        say.send(()).unwrap();
    };
    let (sent, ()) = tokio::join!(story.run(message), callback);
    assert_eq!(sent.unwrap().attempt.state, Accepted);
    assert_eq!(story.sent().await.len(), 1);
    assert_eq!(
        story.prop(message, "status"),
        json!("delivered"),
        "the answer doesn't set it back"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_in_any_order_never_set_a_status_back() {
    let story = story().await;
    let message = story.message("Hi").await;
    let attempt = story.run(message).await.unwrap().attempt.id;
    for (word, status) in [
        ("sent", "sent"),
        ("a word of a later version", "sent"),
        ("delivered", "delivered"),
        ("sent", "delivered"),
        ("failed", "delivered"),
    ] {
        story
            .callback(&story.alice, message, attempt, "SM0001", word)
            .await;
        assert_eq!(story.prop(message, "status"), json!(status), "{word}");
    }
    assert_eq!(story.sent().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_about_another_message_of_the_provider_is_ignored() {
    let story = story().await;
    let message = story.message("Hi").await;
    let attempt = story.run(message).await.unwrap().attempt.id;
    story
        .callback(&story.alice, message, attempt, "SM9999", "failed")
        .await;
    story
        .callback(&story.alice, message, AttemptId::new(), "SM0001", "failed")
        .await;
    assert_eq!(story.prop(message, "status"), json!("sent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_in_another_account_proves_nothing() {
    let story = story().await;
    let message = story.message("Hi").await;
    story.provider.will(Answer::Silence { arrived: false });
    story.run_killed(message).await;
    let attempt = story.attempts(message).await[0].id;
    let mallory = story.hub.somebody();
    story
        .callback(&mallory, message, attempt, "SM6666", "delivered")
        .await;
    assert_eq!(story.states(message).await, [Started]);
    assert_eq!(story.prop(message, "status"), json!("queued"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_comes_after_the_grace_stops_further_tries() {
    let story = story().await;
    let message = story.message("Hi").await;
    story.provider.blind(true);
    story.provider.will(Answer::Silence { arrived: true });
    story.run_killed(message).await;
    let first = story.attempts(message).await[0].id;
    story.advance(GRACE + crate::model::REQUEST_MAX);
    story.provider.will(Answer::Transient);
    story.run(message).await.unwrap_err();
    assert_eq!(story.states(message).await, [Disproved, Refused]);
    story
        .callback(&story.alice, message, first, "SM0001", "sent")
        .await;
    assert_eq!(story.states(message).await, [Adopted, Refused]);
    story.run(message).await.unwrap();
    assert_eq!(story.provider.kept().len(), 1, "not sent again");
    assert_eq!(story.sent().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_given_up_and_then_delivered_is_delivered() {
    let story = story().await;
    let message = story.message("Hi").await;
    story.provider.blind(true);
    story.provider.will(Answer::Unknown { arrived: true });
    story.run_last(message).await.unwrap_err();
    assert_eq!(story.prop(message, "status"), json!("failed"));
    story.advance(Duration::from_secs(5));
    let attempt = story.attempts(message).await[0].id;
    story
        .callback(&story.alice, message, attempt, "SM0001", "delivered")
        .await;
    assert_eq!(story.prop(message, "status"), json!("delivered"));
    assert_eq!(story.prop(message, "error"), Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_reconciling_brings_finds_the_message_by_the_providers_id() {
    let story = story().await;
    let message = story.message("Hi").await;
    story.run(message).await.unwrap();
    let mut tx = story.hub.begin(&story.alice).await;
    let known_as = Identifier::new("scripted.message", "SM0001");
    let found = story
        .graph
        .entity_by_identifier(&mut tx, "Message", &known_as)
        .await
        .unwrap();
    assert_eq!(found.map(|found| found.id), Some(message));
    for (remote_id, status) in [("SM9999", "failed"), ("SM0001", "delivered")] {
        let told = MessageStatusChanged {
            message,
            attempt: None,
            remote_id: remote_id.to_owned(),
            status: status.to_owned(),
            error_code: None,
        };
        tx.publish_about(message, &told).unwrap();
    }
    tx.commit().await.unwrap();
    story.hub.settle().await;
    assert_eq!(story.prop(message, "status"), json!("delivered"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_word_follows_from_the_sending_once_that_is_told_and_from_its_cause_before() {
    let story = story().await;
    let message = story.message("Hi").await;
    story.provider.will(Answer::Silence { arrived: true });
    let cause = Cause {
        causation: Some(EventId::new()),
        depth: 1,
        ..Cause::outside()
    };
    story.run_killed_because(cause, message).await;
    let attempt = story.attempts(message).await[0].id;
    let seen = |cause: Option<Cause>| cause.map(|cause| (cause.correlation, cause.causation, cause.depth));
    assert_eq!(
        seen(story.cause(&story.alice, message, Some(attempt), "").await),
        Some((cause.correlation, cause.causation, 1)),
        "before the answer"
    );

    story
        .sending
        .run(&story.alice, cause, message, false)
        .await
        .unwrap();
    story.hub.settle().await;
    let events = story.hub.events(&story.alice).await;
    let sent = events
        .iter()
        .find(|event| event.kind == MessageSent::TYPE)
        .unwrap();
    let after = Some((cause.correlation, Some(sent.id), 2));
    assert_eq!(
        seen(story.cause(&story.alice, message, Some(attempt), "").await),
        after
    );
    assert_eq!(
        seen(story.cause(&story.alice, message, None, "SM0001").await),
        after,
        "by the provider's id, as its history tells it"
    );
    let mallory = story.hub.somebody();
    assert_eq!(
        seen(story.cause(&mallory, message, Some(attempt), "SM0001").await),
        None
    );
    let unknown = Some(AttemptId::new());
    assert_eq!(
        seen(story.cause(&story.alice, message, unknown, "SM0001").await),
        None
    );
}
