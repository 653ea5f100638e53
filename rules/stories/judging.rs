//! By what time events are judged, what counts, and how long it is kept.

use std::sync::Arc;

use contracts::events::communication::Party;
use contracts::{Clock, Lane, ManualClock};
use serde_json::json;

use super::world::{World, call, sam};
use crate::runs::retention::{self, RUNS_KEPT_FOR};

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_judges_an_old_event_by_the_moment_it_came() {
    let clock = Arc::new(ManualClock::at("2026-11-20T10:00:00Z".parse().unwrap()));
    let world = World::at(clock.clone()).await;
    let alice = world.hub.somebody();
    let source = "const RULE = #{ id: \"note\", on: \"communication.CallStarted\", limit: \"1 per 7d\", grants: [\"log.write\"] };\n\
         fn when(ev) { now().hour != 12 }\nfn then(ev) { log.write(\"a call\"); }";
    world.rule(&alice, source).await;
    let event = world.sam_calls(&alice).await;
    world.sent(1).await;
    clock.advance(chrono::TimeDelta::hours(26));
    let tried = world
        .ok(&alice, "POST", "/rules/note/run", json!({ "event": event }))
        .await;
    assert_eq!(tried["status"], "would-run", "{tried}");
    let noon = world.sam_calls(&alice).await;
    let tried = world
        .ok(&alice, "POST", "/rules/note/run", json!({ "event": noon }))
        .await;
    assert_eq!(tried["status"], "would-not-run", "it came at 12: {tried}");
    clock.advance(chrono::TimeDelta::hours(1));
    let late = call(&sam()).occurred(clock.now() - chrono::TimeDelta::hours(1));
    let late = world.publish(&alice, Lane::Live, late).await;
    let tried = world
        .ok(&alice, "POST", "/rules/note/run", json!({ "event": late }))
        .await;
    assert_eq!(tried["status"], "would-be-skipped");
    let reason = tried["reason"].as_str().unwrap();
    assert!(reason.starts_with("too late: it happened 1h"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_failed_does_not_use_the_limit_up() {
    let world = World::new().await;
    let alice = world.hub.somebody();
    let source = "const RULE = #{ id: \"note\", on: \"communication.CallStarted\", limit: \"1 per 1h\", grants: [\"log.write\"] };\n\
         fn then(ev) { if ev.from.name == \"Trouble\" { throw \"no\"; } log.write(\"a call\"); }";
    world.rule(&alice, source).await;
    let trouble = Party {
        name: Some("Trouble".to_owned()),
        ..sam()
    };
    for (who, status) in [(trouble, "failed"), (sam(), "completed"), (sam(), "skipped")] {
        world.publish(&alice, Lane::Live, call(&who)).await;
        let trace = world.trace(&alice).await;
        assert_eq!(trace["status"], status, "{trace}");
    }
    world.sent(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_the_contracts_can_be_listened_to() {
    let world = World::new().await;
    let alice = world.hub.somebody();
    for name in contracts::events::NAMES {
        let source = format!("const RULE = #{{ id: \"a\", on: \"{name}\" }};\nfn then(ev) {{}}");
        let found = world
            .ok(
                &alice,
                "POST",
                "/rules/check",
                json!({ "source": source, "name": "a.rhai" }),
            )
            .await;
        assert_eq!(found, json!([]), "{name}");
    }
    assert!(contracts::events::NAMES.contains(&"data.RelationRemoved"));
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_and_counters_are_removed_after_their_time_and_their_events_run_nothing_any_more() {
    let clock = Arc::new(ManualClock::at("2026-08-01T10:00:00Z".parse().unwrap()));
    let world = World::at(clock.clone()).await;
    let alice = world.hub.somebody();
    let source = "const RULE = #{ id: \"note\", on: \"communication.CallStarted\", limit: \"1 per 1h\", grants: [\"log.write\"] };\n\
         fn then(ev) { log.write(\"a call\"); }";
    world.rule(&alice, source).await;
    world.sam_calls(&alice).await;
    world.sent(1).await;
    assert_eq!(retention::sweep(&world.hub.context).await.unwrap(), 0);
    clock.advance(RUNS_KEPT_FOR);
    world.sam_calls(&alice).await;
    retention::sweep(&world.hub.context).await.unwrap();
    assert_eq!(world.runs(&alice).await.len(), 2, "the time is not yet up");
    clock.advance(chrono::TimeDelta::days(2));
    retention::sweep(&world.hub.context).await.unwrap();
    assert_eq!(world.runs(&alice).await.len(), 1, "the newer one stays");
    clock.advance(RUNS_KEPT_FOR);
    retention::sweep(&world.hub.context).await.unwrap();
    let mut superuser = world.hub.database.superuser().await;
    for table in ["rules.run", "rules.journal_entry", "rules.limit_counter"] {
        let left: i64 = sqlx::query_scalar(&format!("SELECT count(*) FROM {table}"))
            .fetch_one(&mut superuser)
            .await
            .unwrap();
        assert_eq!(left, 0, "{table}");
    }
    assert!(retention::is_past(
        "2026-08-01T10:00:00Z".parse().unwrap(),
        clock.now()
    ));
    assert!(
        !retention::is_past(clock.now() - RUNS_KEPT_FOR, clock.now()),
        "a kept run stands for its event"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_was_seen_to_be_slow_goes_on_to_run() {
    let world = World::new().await;
    let alice = world.hub.somebody();
    let source = "const RULE = #{ id: \"slow\", on: \"communication.CallStarted\", grants: [\"log.write\"] };\n\
         fn then(ev) { let n = 0; while n < 15000 { n += 1; } log.write(\"a call\"); }";
    world.rule(&alice, source).await;
    for _ in 0..3 {
        world.sam_calls(&alice).await;
        let trace = world.trace(&alice).await;
        assert_eq!(trace["status"], "completed", "{trace}");
    }
    world.sent(3).await;
}
