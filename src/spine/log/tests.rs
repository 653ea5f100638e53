//! Stories of the log: nothing is lost, doubled or changed unseen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use contracts::events::audit::AccessRecorded;
use contracts::events::device::PositionReported;
use contracts::events::rules::RuleChanged;
use contracts::{Event, EventPayload, Lane, NewEvent};
use sqlx::{Connection, Executor};

use super::consumer::{Consumer, HandleError, parked_list};
use super::verify::Fault;
use crate::access::ScopedTx;
use crate::service::Service;
use crate::testing::{TestHub, hub};

fn rule_changed(rule: &str) -> NewEvent {
    let payload = RuleChanged {
        rule: rule.to_owned(),
        version: "1".to_owned(),
        enabled: true,
    };
    NewEvent::of(&payload).unwrap().about(rule)
}

/// Writes a mark into the idempotency table for each event: visible, and doubled if it ran twice.
struct Marks {
    poison: Arc<AtomicBool>,
}

#[async_trait]
impl Consumer for Marks {
    fn name(&self) -> &'static str {
        "marks"
    }

    fn types(&self) -> Vec<String> {
        vec![RuleChanged::TYPE.to_owned()]
    }

    async fn handle(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError> {
        let rule: RuleChanged = event
            .payload()
            .ok_or_else(|| HandleError::Poison("no body".into()))??;
        if rule.rule == "poison" && self.poison.load(Ordering::SeqCst) {
            return Err(HandleError::Poison("this one is poison".into()));
        }
        tx.publish(NewEvent::of(&AccessRecorded {
            action: "act".into(),
            on: format!("mark/{}", rule.rule),
            count: None,
        })?)?;
        Ok(())
    }
}

async fn marking_hub() -> (TestHub, Arc<AtomicBool>) {
    let poison = Arc::new(AtomicBool::new(true));
    let marks = Marks {
        poison: poison.clone(),
    };
    let hub = hub(|_| {
        vec![Service {
            name: "marks",
            consumers: vec![Arc::new(marks)],
            ..Service::default()
        }]
    })
    .await;
    (hub, poison)
}

fn marks(events: &[Event]) -> Vec<String> {
    let mark = |event: &Event| {
        Some(
            event.body.as_ref()?["on"]
                .as_str()?
                .strip_prefix("mark/")?
                .to_owned(),
        )
    };
    events.iter().filter_map(mark).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_many_writers_get_gapless_positions_and_none_is_lost() {
    let (hub, _) = marking_hub().await;
    let alice = hub.somebody();
    let mut writers = Vec::new();
    for writer in 0..8 {
        let (access, alice) = (hub.context.access.clone(), alice.clone());
        writers.push(tokio::spawn(async move {
            for n in 0..25 {
                let mut tx = access.begin(&alice, crate::Cause::outside()).await.unwrap();
                tx.publish(rule_changed(&format!("{writer}-{n}"))).unwrap();
                if n % 5 == 4 {
                    drop(tx); // rolled back: leaves no gap
                } else {
                    tx.commit().await.unwrap();
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    hub.settle().await;
    let events = hub.events(&alice).await;
    assert_eq!(
        events.len(),
        2 * 8 * 20,
        "each committed event and its mark, once"
    );
    let mut positions: Vec<_> = events.iter().map(|event| event.position).collect();
    positions.sort_unstable();
    assert_eq!(positions, (1..=positions.len() as i64).collect::<Vec<_>>());
    let mut marks = marks(&events);
    marks.sort();
    marks.dedup();
    assert_eq!(marks.len(), 8 * 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_event_is_parked_with_its_reason_and_the_consumer_goes_on() {
    let (hub, poison) = marking_hub().await;
    let alice = hub.somebody();
    let mut tx = hub.begin(&alice).await;
    for rule in ["one", "poison", "two"] {
        tx.publish(rule_changed(rule)).unwrap();
    }
    tx.commit().await.unwrap();
    hub.settle().await;
    assert_eq!(marks(&hub.events(&alice).await), ["one", "two"]);
    let parked = parked_list(&mut hub.begin(&alice).await).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].reason, "this one is poison");

    let event = parked[0].event;
    assert!(
        hub.admin
            .parked_retry("marks", alice.account(), event)
            .await
            .is_err(),
        "still poison"
    );
    assert_eq!(
        parked_list(&mut hub.begin(&alice).await).await.unwrap()[0].tries,
        2
    );
    poison.store(false, Ordering::SeqCst);
    assert!(
        hub.admin
            .parked_retry("marks", alice.account(), event)
            .await
            .unwrap()
    );
    assert!(
        !hub.admin
            .parked_retry("marks", alice.account(), event)
            .await
            .unwrap(),
        "the second retry finds nothing"
    );
    hub.settle().await;
    assert_eq!(marks(&hub.events(&alice).await), ["one", "two", "poison"]);
    assert!(
        parked_list(&mut hub.begin(&alice).await)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_handles_again_from_where_it_is_told() {
    let (hub, _) = marking_hub().await;
    let alice = hub.somebody();
    let mut tx = hub.begin(&alice).await;
    tx.publish(rule_changed("one")).unwrap();
    tx.publish(rule_changed("two")).unwrap();
    tx.commit().await.unwrap();
    hub.settle().await;
    assert!(hub.admin.replay("marks", Lane::Live, 1).await.unwrap());
    assert!(!hub.admin.replay("nobody", Lane::Live, 1).await.unwrap());
    hub.eventually("the replay is done", async || {
        (marks(&hub.events(&alice).await) == ["one", "two", "two"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backfill_lane_does_not_stand_before_the_live_one() {
    let (hub, _) = marking_hub().await;
    let alice = hub.somebody();
    let mut tx = hub.begin(&alice).await;
    tx.set_lane(Lane::Backfill);
    tx.publish(rule_changed("old")).unwrap();
    tx.set_lane(Lane::Live);
    tx.publish(rule_changed("new")).unwrap();
    tx.commit().await.unwrap();
    hub.settle().await;
    let events = hub.events(&alice).await;
    let lane = |on: &str| {
        events
            .iter()
            .find(|event| event.body.as_ref().unwrap()["on"] == on)
            .unwrap()
            .lane
    };
    assert_eq!(lane("mark/old"), Lane::Backfill);
    assert_eq!(lane("mark/new"), Lane::Live);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_accounts_events_are_invisible_and_can_not_be_written() {
    let (hub, _) = marking_hub().await;
    let (alice, mallory) = (hub.somebody(), hub.somebody());
    let mut tx = hub.begin(&alice).await;
    tx.publish(rule_changed("private")).unwrap();
    tx.commit().await.unwrap();
    hub.settle().await;
    assert!(hub.events(&mallory).await.is_empty());

    // With the application's own role, in SQL.
    let mut tx = hub.begin(&mallory).await;
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM spine.event_body")
        .fetch_one(tx.conn())
        .await
        .unwrap();
    assert_eq!(seen, 0);
    let refused =
        sqlx::query("INSERT INTO spine.event_body (event, account, salt, body) VALUES ($1, $2, '', '')")
            .bind(uuid::Uuid::new_v4())
            .bind(alice.account().0)
            .execute(tx.conn())
            .await;
    assert!(refused.unwrap_err().to_string().contains("row-level security"));
    // A pooled connection without a setting sees nothing, instead of an error.
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM spine.event_log")
        .fetch_one(hub.database.db.app())
        .await
        .unwrap();
    assert_eq!(seen, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_append_only_by_the_databases_own_word() {
    let (hub, _) = marking_hub().await;
    let alice = hub.somebody();
    let mut tx = hub.begin(&alice).await;
    tx.publish(rule_changed("one")).unwrap();
    tx.commit().await.unwrap();
    hub.settle().await;
    for statement in [
        "UPDATE spine.event_log SET actor = 'nobody'",
        "DELETE FROM spine.event_log",
        "UPDATE spine.event_body SET body = ''",
        "UPDATE spine.chain_batch SET signature = ''",
        "TRUNCATE spine.event_log_000000",
    ] {
        let refused = sqlx::query(statement).execute(hub.database.db.spine()).await;
        assert!(refused.is_err(), "{statement} was not refused");
        // Not even the superuser by accident.
        let mut superuser = hub.database.superuser().await;
        let refused = superuser.execute(statement).await.unwrap_err();
        assert!(
            refused.to_string().contains("append-only"),
            "{statement}: {refused}"
        );
        superuser.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_tampers_with_the_log_is_found_and_the_row_named() {
    let (hub, _) = marking_hub().await;
    let alice = hub.somebody();
    for n in 0..6 {
        let mut tx = hub.begin(&alice).await;
        tx.publish(rule_changed(&format!("rule-{n}"))).unwrap();
        tx.commit().await.unwrap();
    }
    hub.settle().await;
    assert!(hub.admin.verify().await.unwrap().faults.is_empty());
    let events = hub.events(&alice).await;
    let id = |position: i64| {
        events
            .iter()
            .find(|event| event.position == position)
            .unwrap()
            .id
            .0
    };

    let tampered = async |statements: &[&str]| {
        let mut superuser = hub.database.superuser().await;
        let mut tx = superuser.begin().await.unwrap();
        tx.execute("SET LOCAL session_replication_role = replica")
            .await
            .unwrap(); // triggers off
        for statement in statements {
            tx.execute(*statement).await.unwrap();
        }
        tx.commit().await.unwrap();
        hub.admin.verify().await.unwrap().faults
    };
    // Changed.
    let faults = tampered(&["UPDATE spine.event_log SET actor = 'user:mallory' WHERE position = 3"]).await;
    assert_eq!(
        faults,
        [Fault::Changed {
            position: 3,
            event: id(3)
        }]
    );
    let actor = &events[2].actor;
    let faults = tampered(&[&format!(
        "UPDATE spine.event_log SET actor = '{actor}' WHERE position = 3"
    )])
    .await;
    assert!(faults.is_empty(), "put right again: {faults:?}");
    // A body changed.
    let faults = tampered(&[
        "CREATE TABLE kept AS SELECT * FROM spine.event_body",
        &format!(
            "UPDATE spine.event_body SET body = '{{}}' WHERE event = '{}'",
            id(4)
        ),
    ])
    .await;
    assert_eq!(
        faults,
        [Fault::BodyChanged {
            position: 4,
            event: id(4)
        }]
    );
    // Erased, which is no fault.
    let faults = tampered(&[&format!("DELETE FROM spine.event_body WHERE event = '{}'", id(4))]).await;
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(hub.admin.verify().await.unwrap().erased, 1);
    // Put in another order.
    let faults = tampered(&[
        "UPDATE spine.event_log SET position = 1000 WHERE position = 1",
        "UPDATE spine.event_log SET position = 1 WHERE position = 2",
        "UPDATE spine.event_log SET position = 2 WHERE position = 1000",
    ])
    .await;
    assert!(
        faults.contains(&Fault::Changed {
            position: 1,
            event: id(2)
        }),
        "{faults:?}"
    );
    assert!(
        faults.contains(&Fault::Changed {
            position: 2,
            event: id(1)
        }),
        "{faults:?}"
    );
    // Removed.
    let faults = tampered(&["DELETE FROM spine.event_log WHERE position = 5"]).await;
    assert!(faults.contains(&Fault::Removed { from: 5, to: 5 }), "{faults:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tamperer_who_computes_the_links_again_lacks_the_key() {
    let (hub, _) = marking_hub().await;
    let alice = hub.somebody();
    let mut tx = hub.begin(&alice).await;
    tx.publish(rule_changed("only")).unwrap();
    tx.commit().await.unwrap();
    hub.settle().await;
    let mut superuser = hub.database.superuser().await;
    let mut tx = superuser.begin().await.unwrap();
    tx.execute("SET LOCAL session_replication_role = replica")
        .await
        .unwrap();
    // The last row is changed, and every link that can be computed without the key is computed again.
    tx.execute(
        "UPDATE spine.event_log SET actor = 'user:mallory', hash = sha256('forged')
         WHERE position = (SELECT max(position) FROM spine.event_log);
         UPDATE spine.chain_batch SET hash = sha256('forged') WHERE batch = (SELECT max(batch) FROM spine.chain_batch);
         UPDATE spine.log_head SET hash = sha256('forged')",
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let faults = hub.admin.verify().await.unwrap().faults;
    assert!(
        faults.iter().any(|fault| matches!(fault, Fault::Unsigned { .. })),
        "{faults:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_was_cut_off_is_missed() {
    let (mut hub, _) = marking_hub().await;
    let alice = hub.somebody();
    for rule in ["one", "two"] {
        let mut tx = hub.begin(&alice).await;
        tx.publish(rule_changed(rule)).unwrap();
        tx.commit().await.unwrap();
        hub.settle().await;
    }
    hub.stop().await; // which writes the anchor
    let head = hub.admin.verify().await.unwrap().head;
    let mut superuser = hub.database.superuser().await;
    let mut tx = superuser.begin().await.unwrap();
    tx.execute("SET LOCAL session_replication_role = replica")
        .await
        .unwrap();
    // The last batch goes with its link, and the head is set back to the one before: all of it signed once.
    tx.execute(
        "DELETE FROM spine.event_log WHERE batch = (SELECT batch FROM spine.log_head);
         DELETE FROM spine.chain_batch WHERE batch = (SELECT batch FROM spine.log_head);
         UPDATE spine.log_head SET (position, batch, hash) =
             (SELECT position, batch, hash FROM spine.event_log ORDER BY position DESC LIMIT 1)",
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let report = hub.admin.verify().await.unwrap();
    assert_eq!(
        report.faults,
        [Fault::Removed {
            from: report.head + 1,
            to: head
        }]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_account_leaves_no_body_and_takes_no_more_writes() {
    let (hub, _) = marking_hub().await;
    let (alice, bob) = (hub.somebody(), hub.somebody());
    for scope in [&alice, &bob] {
        let mut tx = hub.begin(scope).await;
        tx.publish(rule_changed("one")).unwrap();
        assert!(tx.claim("test", b"key").await.unwrap());
        tx.commit().await.unwrap();
    }
    hub.settle().await;
    let rows = hub.admin.erase_account(alice.account()).await.unwrap();
    assert_eq!(rows["spine.event_body"], 2);
    assert_eq!(rows["spine.idempotency"], 1);
    assert!(
        hub.admin.erase_account(alice.account()).await.unwrap().is_empty(),
        "the second time finds nothing"
    );
    let refused = hub.context.access.begin(&alice, crate::Cause::outside()).await;
    assert!(matches!(refused, Err(crate::AccessError::Erased)));
    assert!(
        hub.events(&bob).await.iter().all(|event| event.body.is_some()),
        "Bob keeps his"
    );
    assert!(
        hub.admin.verify().await.unwrap().faults.is_empty(),
        "the chain still proves itself"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_is_claimed_once_per_account() {
    let (hub, _) = marking_hub().await;
    let (alice, bob) = (hub.somebody(), hub.somebody());
    let mut tx = hub.begin(&alice).await;
    assert!(tx.claim("webhook", b"CA1").await.unwrap());
    assert!(!tx.claim("webhook", b"CA1").await.unwrap());
    assert!(tx.claim("other", b"CA1").await.unwrap());
    tx.commit().await.unwrap();
    assert!(!hub.begin(&alice).await.claim("webhook", b"CA1").await.unwrap());
    assert!(hub.begin(&bob).await.claim("webhook", b"CA1").await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_feeds_itself_is_stopped_by_the_depth_of_causes() {
    /// Answers each event with the next.
    struct Echo;
    #[async_trait]
    impl Consumer for Echo {
        fn name(&self) -> &'static str {
            "echo"
        }
        fn types(&self) -> Vec<String> {
            vec![RuleChanged::TYPE.to_owned()]
        }
        async fn handle(&self, tx: &mut ScopedTx, _: &Event) -> Result<(), HandleError> {
            tx.publish(rule_changed("again"))?;
            Ok(())
        }
    }
    let hub = hub(|_| {
        vec![Service {
            name: "echo",
            consumers: vec![Arc::new(Echo)],
            ..Service::default()
        }]
    })
    .await;
    let alice = hub.somebody();
    let mut tx = hub.begin(&alice).await;
    tx.publish(rule_changed("first")).unwrap();
    tx.commit().await.unwrap();
    hub.eventually("the last echo is parked", async || {
        parked_list(&mut hub.begin(&alice).await).await.unwrap().pop()
    })
    .await;
    assert_eq!(
        hub.events(&alice).await.len() as i16,
        crate::access::DEPTH_MAX + 1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_kept_to_the_microsecond_that_is_hashed() {
    let (hub, _) = marking_hub().await;
    let alice = hub.somebody();
    let mut tx = hub.begin(&alice).await;
    let fix = chrono::DateTime::from_timestamp_nanos(1_700_000_000_123_456_789);
    let report = PositionReported {
        reading: contracts::EntityId::new(),
        device: contracts::EntityId::new(),
        latitude: 38.7,
        longitude: -9.1,
        accuracy_m: None,
        battery_percent: None,
    };
    tx.publish(NewEvent::of(&report).unwrap().occurred(fix)).unwrap();
    tx.commit().await.unwrap();
    hub.settle().await;
    assert_eq!(
        hub.events(&alice).await[0].occurred_at.timestamp_micros(),
        fix.timestamp_micros()
    );
    assert!(hub.admin.verify().await.unwrap().faults.is_empty());
}
