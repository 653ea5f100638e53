//! What a provider said while the hub was away is fetched, once.

use super::*;
use contracts::Clock;
use serde_json::json;
use spine::access::Cause;

use crate::intake::Counts;
use crate::manager::Manager;

fn call(sid: &str, direction: &str, status: &str) -> Value {
    let now = contracts::SystemClock.now().to_rfc2822();
    json!({
        "sid": sid, "direction": direction, "status": status, "from": SAM, "to": OURS, "duration": "12",
        "start_time": now, "end_time": now, "date_created": now, "parent_call_sid": null,
    })
}

async fn reconcile(story: &Story) -> Counts {
    let manager = Manager::new(&story.hub.context);
    let id = story.connection.parse().unwrap();
    let read = manager
        .reconcile(&story.alice, Cause::outside(), id)
        .await
        .unwrap()
        .unwrap();
    assert!(!read.more, "it was read to its end");
    read.counts
}

#[tokio::test]
async fn missed_calls_and_texts_are_fetched_over_several_pages_and_only_once() {
    let story = Story::begin().await;
    for n in 0..3 {
        story
            .twilio
            .add_call(call(&format!("CA{n}"), "inbound", "completed"));
    }
    let now = stand_in::now();
    for (sid, direction) in [
        ("SM1", "inbound"),
        ("SM2", "inbound"),
        ("SM3", "inbound"),
        ("SM4", "outbound-api"),
    ] {
        story.twilio.add_message(json!({
            "sid": sid, "direction": direction, "status": "received", "from": SAM, "to": OURS, "body": "hello",
            "date_created": now, "date_sent": now, "date_updated": now, "error_code": null,
        }));
    }
    let counts = reconcile(&story).await;
    assert_eq!(
        (counts.taken, counts.parked),
        (9, 0),
        "three calls with their ends, three texts"
    );
    assert_eq!(story.graph.entities("Call").len(), 3);
    assert_eq!(
        story.graph.entities("Message").len(),
        3,
        "a text of another program is none of ours"
    );
    let again = reconcile(&story).await;
    assert_eq!((again.taken, again.parked), (0, 0));
    let kinds = story.kinds().await;
    let count = |kind: &str| kinds.iter().filter(|one| *one == kind).count();
    assert_eq!(count("communication.CallStarted"), 3);
    assert_eq!(count("communication.MessageReceived"), 3);
}

#[tokio::test]
async fn what_a_webhook_told_is_not_told_again_by_the_history_nor_the_other_way_round() {
    let story = Story::begin().await;
    let fields = |sid: &'static str| {
        [
            ("CallSid", sid),
            ("From", SAM),
            ("To", OURS),
            ("CallStatus", "ringing"),
            ("Direction", "inbound"),
        ]
    };
    story.webhook("voice", &fields("CA1")).await;
    story.twilio.add_call(call("CA1", "inbound", "ringing"));
    story.twilio.add_call(call("CA2", "inbound", "ringing"));
    let counts = reconcile(&story).await;
    assert_eq!((counts.taken, counts.known), (1, 1));
    story.webhook("voice", &fields("CA2")).await;
    let kinds = story.kinds().await;
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| *kind == "communication.CallStarted")
            .count(),
        2
    );
    assert_eq!(story.graph.entities("Call").len(), 2);
}

#[tokio::test]
async fn an_event_of_the_history_bears_the_providers_time() {
    let story = Story::begin().await;
    let mut late = call("CA1", "outbound-api", "completed");
    let at = story.hub.context.clock.now() + chrono::TimeDelta::minutes(3);
    late["start_time"] = json!(at.to_rfc2822());
    story.twilio.add_call(late);
    reconcile(&story).await;
    story.hub.settle().await;
    let events = story.hub.events(&story.alice).await;
    let started = events
        .iter()
        .find(|event| event.kind == "communication.CallStarted")
        .unwrap();
    assert_eq!(started.occurred_at.timestamp(), at.timestamp());
    assert_eq!(started.body.as_ref().unwrap()["direction"], "out");
}

#[tokio::test]
async fn the_owner_can_ask_and_a_job_does_it() {
    let story = Story::begin().await;
    story.twilio.add_call(call("CA1", "inbound", "no-answer"));
    let path = format!("/connections/{}/reconcile", story.connection);
    assert_eq!(
        story.call(Method::POST, &path, json!({})).await.status,
        StatusCode::ACCEPTED
    );
    story
        .hub
        .eventually("the call was fetched", async || {
            (story.graph.entities("Call").len() == 1).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_history_longer_than_one_call_can_read_is_read_to_its_end() {
    let story = Story::begin().await;
    let before = synced_to(&story).await;
    for n in 0..40 {
        // Two a page, nine pages a call.
        story
            .twilio
            .add_call(call(&format!("CA{n}"), "inbound", "ringing"));
    }
    let counts = reconcile(&story).await;
    assert_eq!((counts.taken, counts.parked), (40, 0));
    assert_eq!(story.graph.entities("Call").len(), 40);
    assert!(synced_to(&story).await > before, "the next question begins here");
    assert_eq!(reconcile(&story).await.taken, 0);
}

async fn synced_to(story: &Story) -> chrono::DateTime<chrono::Utc> {
    let mut superuser = story.hub.database.superuser().await;
    let (synced_to, reading): (_, Option<Value>) =
        sqlx::query_as("SELECT synced_to, reading FROM plugins.connection")
            .fetch_one(&mut superuser)
            .await
            .unwrap();
    assert_eq!(reading, None, "no reading is under way");
    synced_to
}

#[tokio::test]
async fn a_reading_goes_on_where_it_was_and_begins_anew_when_the_provider_forgot_the_place() {
    let story = Story::begin().await;
    for n in 0..4 {
        story
            .twilio
            .add_call(call(&format!("CA{n}"), "inbound", "ringing"));
    }
    let mut superuser = story.hub.database.superuser().await;
    let mut place = async |calls: &str| {
        let reading = json!({
            "since": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z",
            "next": { "calls": calls, "messages": "end" },
        });
        sqlx::query("UPDATE plugins.connection SET reading = $1")
            .bind(reading)
            .execute(&mut superuser)
            .await
            .unwrap();
    };
    place(&format!("/2010-04-01/Accounts/{ACCOUNT}/Calls.json?Page=1")).await;
    assert_eq!(
        reconcile(&story).await.taken,
        2,
        "the second page only: the first was read before"
    );
    place("/2010-04-01/Nothing/here").await;
    let manager = Manager::new(&story.hub.context);
    let id = story.connection.parse().unwrap();
    let refused = manager.reconcile(&story.alice, Cause::outside(), id).await;
    assert!(refused.is_err(), "{refused:?}");
    let counts = reconcile(&story).await;
    assert_eq!((counts.taken, counts.known), (2, 2));
}

#[tokio::test]
async fn one_record_without_an_id_is_parked_and_the_others_are_taken_in() {
    let story = Story::begin().await;
    story.twilio.add_call(call("CA1", "inbound", "ringing"));
    let mut wrong = call("CA2", "inbound", "ringing");
    wrong["sid"] = Value::Null;
    story.twilio.add_call(wrong);
    story.twilio.add_call(call("CA3", "inbound", "ringing"));
    let counts = reconcile(&story).await;
    assert_eq!((counts.taken, counts.parked), (2, 1));
    assert_eq!(story.graph.entities("Call").len(), 2);
}
