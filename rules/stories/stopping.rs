//! What keeps rules from doing too much.

use std::sync::Arc;

use contracts::events::communication::Party;
use contracts::{Clock, EntityId, Lane, ManualClock, SystemClock};
use serde_json::{Value, json};

use super::world::{World, call, sam};
use crate::runs::runner::BREAKER_RUNS;

#[tokio::test(flavor = "multi_thread")]
async fn the_second_call_within_ten_minutes_is_not_answered_but_traced() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let world = World::at(clock.clone()).await;
    let alice = world.hub.somebody();
    world
        .ok(&alice, "POST", "/rules/partner-at-work/enable", json!({}))
        .await;
    world.now_at("Work");
    world.sam_calls(&alice).await;
    clock.advance(chrono::Duration::minutes(9));
    world.sam_calls(&alice).await;
    let trace = world.trace(&alice).await;
    assert_eq!(
        (&trace["status"], &trace["reason"]),
        (
            &json!("skipped"),
            &json!("the limit 1 per 10m per from.id is used up")
        )
    );
    let other = Party {
        id: Some(EntityId::new()),
        ..sam()
    };
    world.publish(&alice, Lane::Live, call(&other)).await;
    assert_eq!(
        world.trace(&alice).await["status"],
        "completed",
        "the limit counts for each caller"
    );
    clock.advance(chrono::Duration::minutes(2));
    world.sam_calls(&alice).await;
    assert_eq!(world.trace(&alice).await["status"], "completed");
    world.sent(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_runs_away_is_stopped_until_its_owner_enables_it_again() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let world = World::at(clock.clone()).await;
    let alice = world.hub.somebody();
    world
        .rule(
            &alice,
            "const RULE = #{ id: \"loud\", on: \"communication.CallStarted\", grants: [\"log.write\"] };\n\
             fn then(ev) { log.write(\"again\") }",
        )
        .await;
    let mut tx = world.hub.begin(&alice).await;
    for _ in 0..BREAKER_RUNS + 5 {
        tx.publish(call(&sam())).unwrap();
    }
    tx.commit().await.unwrap();
    world.hub.settle().await;
    let rule = world.ok(&alice, "GET", "/rules/loud", Value::Null).await;
    assert_eq!(rule["enabled"], false);
    assert!(
        rule["note"].as_str().unwrap().contains("stopped by the hub"),
        "{rule}"
    );
    let runs = world.ok(&alice, "GET", "/runs?limit=500", Value::Null).await["items"]
        .as_array()
        .unwrap()
        .clone();
    let count = |status: &str| runs.iter().filter(|run| run["status"] == status).count();
    assert_eq!(
        (count("completed"), count("skipped"), runs.len()),
        (BREAKER_RUNS, 1, BREAKER_RUNS + 1)
    );

    world.ok(&alice, "POST", "/rules/loud/enable", json!({})).await;
    world.sam_calls(&alice).await;
    let rule = world.ok(&alice, "GET", "/rules/loud", Value::Null).await;
    assert_eq!((&rule["enabled"], &rule["note"]), (&json!(true), &Value::Null));
    assert_eq!(world.trace(&alice).await["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_feeds_itself_stops_by_itself() {
    let world = World::new().await;
    let alice = world.hub.somebody();
    world
        .rule(
            &alice,
            "const RULE = #{ id: \"echo\", on: \"rules.RunFinished\", grants: [\"log.write\"] };\n\
             fn then(ev) { log.write(\"again\") }",
        )
        .await;
    world
        .rule(
            &alice,
            "const RULE = #{ id: \"first\", on: \"communication.CallStarted\" };\nfn then(ev) { }",
        )
        .await;
    world.sam_calls(&alice).await;
    let runs = world.runs(&alice).await;
    assert!((10..=20).contains(&runs.len()), "{} runs", runs.len());
    assert_eq!(runs[0]["status"], "skipped");
    assert!(
        runs[0]["reason"].as_str().unwrap().contains("chain of causes"),
        "{}",
        runs[0]
    );
}
