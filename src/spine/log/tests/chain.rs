//! The chain: whoever changes the log behind the hub's back is found.

use contracts::NewEvent;
use contracts::events::device::PositionReported;
use sqlx::{Connection, Executor};

use super::super::verify::Fault;
use super::{marking_hub, rules_change};
use crate::access::Scope;
use crate::testing::TestHub;

/// Alice's hub, in which these rules changed one after the other, each in a batch of its own.
async fn hub_after(rules: &[&str]) -> (TestHub, Scope) {
    let (hub, _) = marking_hub().await;
    let alice = hub.somebody();
    for rule in rules {
        rules_change(&hub, &alice, &[rule]).await;
    }
    (hub, alice)
}

/// Whoever rules the database changes it, with the triggers off that would refuse.
async fn tamper(hub: &TestHub, statements: &[impl AsRef<str>]) {
    let mut superuser = hub.database.superuser().await;
    let mut tx = superuser.begin().await.unwrap();
    tx.execute("SET LOCAL session_replication_role = replica")
        .await
        .unwrap();
    for statement in statements {
        tx.execute(statement.as_ref()).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// The last batch goes with its link, and the head is set back to the one before: all of it signed once.
const CUT: &str = "DELETE FROM spine.event_log WHERE batch = (SELECT batch FROM spine.log_head);
    DELETE FROM spine.chain_batch WHERE batch = (SELECT batch FROM spine.log_head);
    UPDATE spine.log_head SET (position, batch, hash) =
        (SELECT position, batch, hash FROM spine.event_log ORDER BY position DESC LIMIT 1)";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_tampers_with_the_log_is_found_and_the_row_named() {
    let (hub, alice) = hub_after(&["zero", "one", "two", "three", "four", "five"]).await;
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
        tamper(&hub, statements).await;
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
    let (hub, _) = hub_after(&["only"]).await;
    // The last row is changed, and every link that can be computed without the key is computed again.
    let forged = "UPDATE spine.event_log SET actor = 'user:mallory', hash = sha256('forged')
         WHERE position = (SELECT max(position) FROM spine.event_log);
         UPDATE spine.chain_batch SET hash = sha256('forged') WHERE batch = (SELECT max(batch) FROM spine.chain_batch);
         UPDATE spine.log_head SET hash = sha256('forged')";
    tamper(&hub, &[forged]).await;
    let faults = hub.admin.verify().await.unwrap().faults;
    assert!(
        faults.iter().any(|fault| matches!(fault, Fault::Unsigned { .. })),
        "{faults:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tamperer_who_moves_the_ends_of_batches_out_of_sight_is_found() {
    let (mut hub, _) = hub_after(&["one", "two", "three"]).await;
    hub.stop().await;
    let batches: i64 = sqlx::query_scalar("SELECT batch FROM spine.log_head")
        .fetch_one(hub.database.db.spine())
        .await
        .unwrap();
    // All rows are rewritten with links that fit; no key is needed for these.
    let mut rows = super::super::verify::rows(hub.database.db.spine()).await;
    let (mut before, mut statements) = (Vec::new(), Vec::new());
    for row in &mut rows {
        row.actor = "user:mallory".to_owned();
        before = super::super::chain::link(&before, row).to_vec();
        statements.push(format!(
            "UPDATE spine.event_log SET actor = 'user:mallory', hash = decode('{}', 'hex') WHERE position = {}",
            hex::encode(&before),
            row.position
        ));
    }
    statements.push(
        "UPDATE spine.log_head SET hash = (SELECT hash FROM spine.event_log ORDER BY position DESC LIMIT 1)"
            .to_owned(),
    );
    let forge = async |end: &str| {
        let forged: Vec<&str> = statements.iter().map(String::as_str).chain([end]).collect();
        tamper(&hub, &forged).await;
        std::fs::remove_file(hub.context.settings.data_dir.join("log.anchor")).ok(); // the chain alone must show it
        hub.admin.verify().await.unwrap().faults
    };
    let faults = forge("UPDATE spine.chain_batch SET last_position = last_position + 1000000").await;
    let unsigned = faults
        .iter()
        .filter(|fault| matches!(fault, Fault::Unsigned { .. }));
    assert_eq!(unsigned.count() as i64, batches, "each batch: {faults:?}");
    // Or all in one batch whose end never comes.
    let faults = forge("UPDATE spine.event_log SET batch = 1; UPDATE spine.log_head SET batch = 1").await;
    assert!(
        faults
            .iter()
            .any(|fault| matches!(fault, Fault::Unsigned { batch: 1, .. })),
        "{faults:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_is_still_missed_after_a_restart_and_more_events() {
    let (mut hub, alice) = hub_after(&["one", "two", "three"]).await;
    hub.stop().await;
    let head = hub.admin.verify().await.unwrap().head;
    tamper(&hub, &[CUT]).await;
    hub.restart(|_| Vec::new()).await;
    for rule in ["four", "five", "six"] {
        rules_change(&hub, &alice, &[rule]).await;
    }
    hub.stop().await;
    let report = hub.admin.verify().await.unwrap();
    assert!(report.head >= head, "the place is taken again");
    assert!(
        matches!(report.faults[..], [Fault::Changed { position, .. }] if position == head),
        "{report:?}"
    );
    // An anchor that can't be read is no anchor that says nothing.
    let anchor = hub.context.settings.data_dir.join("log.anchor");
    std::fs::write(&anchor, "torn").unwrap();
    let faults = hub.admin.verify().await.unwrap().faults;
    let file = anchor.display().to_string();
    assert!(faults.contains(&Fault::AnchorUnreadable { file }), "{faults:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_was_cut_off_is_missed() {
    let (mut hub, _) = hub_after(&["one", "two"]).await;
    hub.stop().await; // which writes the anchor
    let head = hub.admin.verify().await.unwrap().head;
    tamper(&hub, &[CUT]).await;
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
