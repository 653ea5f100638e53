use std::time::Duration;

use tokio::sync::oneshot;

use super::provider::{Answer, GRACE};
use super::*;
use crate::dead_letters::DeadLetters;
use crate::model::REQUEST_MAX;
use AttemptState::{Accepted, Adopted, Disproved, Refused, Started, Unknown};
use contracts::jobs::SendOutgoingMessage;
use contracts::{JobPayload, RetryPolicy};
use spine::queue::JobOptions;

fn waits(stop: &Stop) -> Option<Duration> {
    match stop {
        Stop::Retry { after, .. } => *after,
        Stop::Fail { .. } => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_sent_once_and_a_second_run_changes_nothing() {
    let story = story().await;
    let message = story.message("Hi").await;
    let first = story.run(message).await.unwrap();
    let second = story.run(message).await.unwrap();
    assert_eq!(second.attempt.id, first.attempt.id);
    assert_eq!(story.provider.requests(), [first.attempt.id]);
    assert_eq!(story.states(message).await, [Accepted]);
    assert_eq!(
        (story.prop(message, "status"), story.prop(message, "remote_id")),
        (json!("sent"), json!("SM0001"))
    );
    let sent = story.sent().await;
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (sent[0].attempt, sent[0].remote_id.as_str(), sent[0].adopted),
        (first.attempt.id, "SM0001", false)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_request_arrived_it_waits_for_the_grace_and_then_sends() {
    let story = story().await;
    let message = story.message("Hi").await;
    story.provider.will(Answer::Silence { arrived: false });
    story.run_killed(message).await;
    assert_eq!(
        story.states(message).await,
        [Started],
        "committed before the request"
    );

    let stop = story.run(message).await.unwrap_err();
    let whole = GRACE + REQUEST_MAX;
    assert_eq!(
        waits(&stop),
        Some(whole),
        "the request may have left at its last moment"
    );
    story.advance(whole - Duration::from_secs(1));
    let stop = story.run(message).await.unwrap_err();
    assert_eq!(waits(&stop), Some(Duration::from_secs(1)));
    assert_eq!(story.provider.requests().len(), 1, "absence proves nothing yet");

    story.advance(Duration::from_secs(1));
    story.run(message).await.unwrap();
    assert_eq!(story.states(message).await, [Disproved, Accepted]);
    assert_eq!(story.provider.kept().len(), 1);
    assert_eq!(story.sent().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_request_arrived_it_adopts_what_the_provider_has() {
    let story = story().await;
    let message = story.message("Hi").await;
    story.provider.will(Answer::Silence { arrived: true });
    story.run_killed(message).await;
    let sent = story.run(message).await.unwrap();
    assert_eq!(
        (sent.attempt.state, sent.attempt.remote_id.as_deref()),
        (Adopted, Some("SM0001"))
    );
    assert_eq!(story.run(message).await.unwrap().attempt.id, sent.attempt.id);
    assert_eq!(
        (story.provider.requests().len(), story.provider.kept().len()),
        (1, 1)
    );
    let told = story.sent().await;
    assert_eq!(told.len(), 1);
    assert!(told[0].adopted, "the records proved it");
    assert_eq!(story.prop(message, "status"), json!("sent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_tell_is_looked_up_before_anything_is_sent_again() {
    for answer in [Answer::Unknown { arrived: true }, Answer::Bug { arrived: true }] {
        let story = story().await;
        let message = story.message("Hi").await;
        story.provider.will(answer);
        let stop = story.run(message).await.unwrap_err();
        assert!(matches!(stop, Stop::Retry { after: Some(_), .. }), "{stop:?}");
        assert_eq!(story.states(message).await, [Unknown]);
        story.run(message).await.unwrap();
        assert_eq!(story.states(message).await, [Adopted]);
        assert_eq!(story.provider.kept().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_shows_up_late_in_the_records_is_adopted_within_the_grace() {
    let story = story().await;
    let message = story.message("Hi").await;
    story.provider.blind(true);
    story.provider.will(Answer::Unknown { arrived: true });
    story.run(message).await.unwrap_err();
    story.run(message).await.unwrap_err();
    story.advance(GRACE - Duration::from_secs(1));
    story.provider.blind(false);
    story.run(message).await.unwrap();
    assert_eq!(
        (story.states(message).await, story.provider.kept().len()),
        (vec![Adopted], 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_messages_with_the_same_words_adopt_one_each() {
    let story = story().await;
    let messages = [story.message("Hi").await, story.message("Hi").await];
    for message in messages {
        story.provider.will(Answer::Silence { arrived: true });
        story.run_killed(message).await;
    }
    let mut adopted = Vec::new();
    for message in messages {
        adopted.push(story.run(message).await.unwrap().attempt.remote_id.unwrap());
    }
    adopted.sort();
    assert_eq!(adopted, ["SM0001", "SM0002"]);
    assert_eq!(story.provider.kept().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_message_with_the_same_words_is_not_adopted() {
    let story = story().await;
    let (old, new) = (story.message("Hi").await, story.message("Hi").await);
    story.run(old).await.unwrap();
    story.advance(Duration::from_secs(30));
    story.provider.will(Answer::Silence { arrived: false });
    story.run_killed(new).await;
    story.run(new).await.unwrap_err();
    story.advance(GRACE + REQUEST_MAX);
    story.run(new).await.unwrap();
    assert_eq!(story.states(new).await, [Disproved, Accepted]);
    assert_eq!(story.provider.kept().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_the_same_time_make_one_request() {
    let story = story().await;
    let message = story.message("Hi").await;
    let (say, told) = oneshot::channel();
    story.provider.will(Answer::AcceptWhen(told));
    let later = async {
        story
            .hub
            .eventually("a request is made", async || {
                story.provider.requests().first().copied()
            })
            .await;
        let second = story.run(message).await;
        say.send(()).unwrap();
        second
    };
    let (first, second) = tokio::join!(story.run(message), later);
    let id = second.unwrap().attempt.id; // the provider's records told the second run
    assert_eq!(first.unwrap().attempt.id, id);
    assert_eq!(story.provider.requests(), [id]);
    assert_eq!(story.sent().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passing_refusal_is_tried_again_when_the_provider_says() {
    let story = story().await;
    let message = story.message("Hi").await;
    let wait = Duration::from_secs(7);
    story.provider.will(Answer::Refuse {
        permanent: false,
        retry_after: Some(wait),
    });
    story.provider.will(Answer::Transient);
    let stop = story.run(message).await.unwrap_err();
    assert_eq!(
        stop,
        Stop::Retry {
            after: Some(wait),
            reason: "not today".to_owned()
        }
    );
    let stop = story.run(message).await.unwrap_err();
    assert_eq!(
        stop,
        Stop::Retry {
            after: None,
            reason: "the network is away".to_owned()
        }
    );
    assert!(story.failed().await.is_empty(), "not given up");
    story.run(message).await.unwrap();
    assert_eq!(story.states(message).await, [Refused, Refused, Accepted]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_refusal_fails_the_message_until_the_owner_retries_it() {
    for (answer, reason) in [
        (
            Answer::Refuse {
                permanent: true,
                retry_after: None,
            },
            "not today",
        ),
        (Answer::Configuration, "the token is revoked"),
    ] {
        let story = story().await;
        let message = story.message("Hi").await;
        story.provider.will(answer);
        let stop = story.run(message).await.unwrap_err();
        assert_eq!(
            stop,
            Stop::Fail {
                reason: reason.to_owned(),
                told: true
            }
        );
        assert_eq!(
            (story.prop(message, "status"), story.prop(message, "error")),
            (json!("failed"), json!(reason))
        );
        let failed = story.failed().await;
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].reason, reason);

        story.run(message).await.unwrap(); // the dead letter, retried
        assert_eq!(story.prop(message, "status"), json!("sent"));
        assert_eq!(story.prop(message, "error"), Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_connection_the_message_fails_and_says_what_to_do() {
    let story = story().await;
    let message = story.message("Hi").await;
    story.provider.gone(true);
    let stop = story.run(message).await.unwrap_err();
    let reason = "no connection serves sms: make one".to_owned();
    assert_eq!(
        stop,
        Stop::Fail {
            reason: reason.clone(),
            told: false
        }
    );
    assert_eq!(story.failed().await[0].reason, reason);
    assert!(story.attempts(message).await.is_empty());
    story.provider.gone(false);
    story.run(message).await.unwrap();
    assert_eq!(story.prop(message, "status"), json!("sent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_tries_are_used_up_the_owner_is_told_once() {
    let story = story().await;
    let message = story.message("Hi").await;
    story.provider.will(Answer::Transient);
    let stop = story.run_last(message).await.unwrap_err();
    let reason = "all tries are used up; the last one said: the network is away".to_owned();
    assert_eq!(
        stop,
        Stop::Fail {
            reason: reason.clone(),
            told: true
        }
    );
    let failed = story.failed().await;
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].message, &failed[0].reason), (message, &reason));
    assert_eq!(story.prop(message, "status"), json!("failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_outgoing_message_makes_no_request() {
    let story = story().await;
    let stop = story.run(EntityId::new()).await.unwrap_err();
    assert!(matches!(stop, Stop::Fail { .. }), "{stop:?}");
    let message = story.message(" ").await;
    let stop = story.run(message).await.unwrap_err();
    assert_eq!(
        stop,
        Stop::Fail {
            reason: "the text is empty".to_owned(),
            told: false
        }
    );
    assert!(story.provider.requests().is_empty());
    assert_eq!(story.failed().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_answer_slowly_are_judged_by_when_they_were_asked() {
    let story = story().await;
    let message = story.message("Hi").await;
    story.provider.will(Answer::Unknown { arrived: true });
    story.run(message).await.unwrap_err();
    story.provider.blind(true);
    story.provider.answers_after(GRACE);
    let stop = story.run(message).await.unwrap_err();
    assert_eq!(waits(&stop), Some(GRACE), "the answer was as old as the question");
    story.provider.blind(false);
    story.run(message).await.unwrap();
    assert_eq!(
        (story.states(message).await, story.provider.kept().len()),
        (vec![Adopted], 1)
    );
}

impl Story {
    async fn enqueue(&self, message: EntityId, retry: RetryPolicy) {
        let mut tx = self.hub.begin(&self.alice).await;
        let options = JobOptions {
            retry: Some(retry),
            ..JobOptions::default()
        };
        tx.enqueue(&SendOutgoingMessage { message }, options)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_try_is_the_jobs_own_last_one() {
    let story = story().await;
    let message = story.message("Hi").await;
    story.provider.will(Answer::Transient);
    let once = RetryPolicy {
        limit: 0,
        ..SendOutgoingMessage::RETRY
    };
    story.enqueue(message, once).await;
    story
        .hub
        .eventually("the owner is told", async || {
            (story.prop(message, "status") == json!("failed")).then_some(())
        })
        .await;
    assert_eq!(story.failed().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_job_ended_without_a_word_is_told_to_have_failed_once() {
    let story = story().await;
    let message = story.message("Hi").await;
    story.provider.will(Answer::Silence { arrived: false });
    let at_once = RetryPolicy {
        limit: 0,
        expire_in: Duration::from_secs(1),
        ..SendOutgoingMessage::RETRY
    };
    story.enqueue(message, at_once).await;
    let mut sweep = DeadLetters::new(&story.hub.context, story.sending.clone());
    for _ in 0..100 {
        sweep.look().await.unwrap();
        if story.prop(message, "status") == json!("failed") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    sweep.look().await.unwrap();
    let failed = story.failed().await;
    assert_eq!(failed.len(), 1);
    assert!(
        failed[0].reason.starts_with("its job was given up: "),
        "{}",
        failed[0].reason
    );
    assert_eq!(story.prop(message, "error"), json!(failed[0].reason));
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_up_does_not_unsay_what_a_callback_proved() {
    let story = story().await;
    let message = story.message("Hi").await;
    story.provider.will(Answer::Unknown { arrived: true });
    story.run(message).await.unwrap_err();
    story.provider.blind(true);
    let (say, told) = oneshot::channel();
    story.provider.records_wait(told);
    let attempt = story.attempts(message).await[0].id;
    let callback = async {
        story
            .hub
            .eventually("the records are asked", async || {
                (story.provider.asked() > 0).then_some(())
            })
            .await;
        story
            .callback(&story.alice, message, attempt, "SM0001", "delivered")
            .await;
        say.send(()).unwrap();
    };
    let (ended, ()) = tokio::join!(story.run_last(message), callback);
    assert_eq!(ended.unwrap().attempt.id, attempt);
    assert_eq!(story.prop(message, "status"), json!("delivered"));
    assert!(story.failed().await.is_empty());
}
