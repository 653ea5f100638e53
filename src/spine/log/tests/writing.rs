//! Writing: in order, one's own only, never changed, and gone when it is erased.

use contracts::events::accounts::AccountErased;
use contracts::events::audit::AccessRecorded;
use contracts::events::rules::RuleChanged;
use contracts::{EventPayload, Lane, NewEvent};
use sqlx::{Connection, Executor};

use super::super::sealer::{Part, seal};
use super::{marking_hub, marks, rule_changed, rules_change};
use crate::access::Scope;
use crate::testing::TestHub;

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
async fn the_log_is_append_only_by_the_databases_own_word() {
    let (hub, _) = marking_hub().await;
    let alice = hub.somebody();
    assert!(
        !hub.database.db.has_data().await.unwrap(),
        "a fresh hub may make its key"
    );
    rules_change(&hub, &alice, &["one"]).await;
    assert!(
        hub.database.db.has_data().await.unwrap(),
        "from here on a lost key is a loss"
    );
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
async fn another_accounts_events_are_invisible_and_can_not_be_written() {
    let (hub, _) = marking_hub().await;
    let (alice, mallory) = (hub.somebody(), hub.somebody());
    rules_change(&hub, &alice, &["private"]).await;
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
    let rows = hub.admin.erase_account(&alice, alice.account()).await.unwrap();
    assert_eq!(rows["spine.event_body"], 2);
    assert_eq!(rows["spine.idempotency"], 1);
    assert!(
        hub.admin
            .erase_account(&alice, alice.account())
            .await
            .unwrap()
            .is_empty(),
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
async fn an_erasure_is_told_once_by_who_asked_when_the_last_late_writer_has_been_swept_too() {
    let (mut hub, _) = marking_hub().await;
    let (alice, instance) = (hub.somebody(), hub.gate.operator(contracts::AccountId::INSTANCE));
    let mut late = hub.begin(&alice).await; // began before, and commits after everything
    hub.admin.erase_account(&alice, alice.account()).await.unwrap();
    // As if killed right after the first sweep.
    hub.restart(|_| Vec::new()).await;
    tokio::time::sleep(std::time::Duration::from_secs(7)).await;
    let told = async |hub: &TestHub| -> Vec<_> {
        let mut events = hub.events(&instance).await;
        events.retain(|event| event.kind == AccountErased::TYPE);
        events
    };
    assert!(
        told(&hub).await.is_empty(),
        "somebody still works for the account"
    );
    late.publish(rule_changed("late")).unwrap();
    late.commit().await.unwrap();
    let events = hub
        .eventually("it is told", async || {
            Some(told(&hub).await).filter(|told| !told.is_empty())
        })
        .await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].actor, "operator");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM spine.event_body WHERE account = $1")
        .bind(alice.account().0)
        .fetch_one(hub.database.db.spine())
        .await
        .unwrap();
    assert_eq!(left, 0, "what the late writer left is swept");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_of_a_commit_keeps_its_own_envelope() {
    let (hub, _) = marking_hub().await;
    let alice = hub.context.access.scope_of_stranger("importer");
    let looked = |count| {
        NewEvent::of(&AccessRecorded {
            action: "read".into(),
            on: "calls".into(),
            count: Some(count),
        })
        .unwrap()
    };
    let mut tx = hub.begin(&alice).await;
    tx.publish(rule_changed("poison")).unwrap();
    tx.publish(looked(1)).unwrap();
    tx.set_lane(Lane::Backfill);
    tx.act_as_rule("partner-at-work");
    tx.publish(looked(2)).unwrap();
    tx.set_lane(Lane::Live);
    tx.publish(looked(3).about_version("calls", 8)).unwrap();
    tx.commit().await.unwrap();
    hub.settle().await;
    let events = hub.events(&alice).await;
    let envelopes: Vec<_> = events
        .iter()
        .map(|event| {
            (
                event.kind.as_str(),
                event.actor.as_str(),
                event.lane,
                event.subject.as_deref(),
                event.subject_version,
                event.body.as_ref().unwrap()["count"].as_i64(),
            )
        })
        .collect();
    let (changed, recorded) = (RuleChanged::TYPE, AccessRecorded::TYPE);
    let (importer, rule) = ("system:importer", "rule:partner-at-work");
    assert_eq!(
        envelopes,
        [
            (changed, importer, Lane::Live, Some("poison"), None, None),
            (recorded, importer, Lane::Live, None, None, Some(1)),
            (recorded, rule, Lane::Backfill, None, None, Some(2)),
            (recorded, rule, Lane::Live, Some("calls"), Some(8), Some(3)),
        ]
    );
    assert!(hub.admin.verify().await.unwrap().faults.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_committed_late_is_sealed_by_the_next_look_from_the_start() {
    let (mut hub, _) = marking_hub().await;
    hub.stop().await; // no other sealer
    let alice = hub.somebody();
    let mut tx = hub.begin(&alice).await;
    tx.publish(rule_changed("late")).unwrap();
    tx.commit().await.unwrap();
    let (pool, key) = (hub.database.db.spine(), hub.context.vault.chain_key());
    let clock = hub.context.clock.as_ref();
    let behind = seal(pool, &key, clock, after(1_000_000)).await.unwrap();
    assert_eq!((behind.rows, behind.head), (0, 0), "not seen from there");
    let sealed = seal(pool, &key, clock, after(0)).await.unwrap();
    assert_eq!((sealed.rows, sealed.head), (1, 1));
    assert_eq!(seal(pool, &key, clock, after(0)).await.unwrap().rows, 0, "once");
    assert!(hub.admin.verify().await.unwrap().faults.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_sealers_at_once_each_event_is_sealed_by_one_and_the_chain_holds() {
    let (mut hub, _) = marking_hub().await;
    hub.stop().await; // its own sealer
    let alice = hub.somebody();
    let (pool, key) = (hub.database.db.spine(), hub.context.vault.chain_key());
    let clock = hub.context.clock.as_ref();
    let mut sealed = 0;
    for round in 0..20 {
        rules_publish(&hub, &alice, round).await;
        let (one, other) = tokio::join!(
            seal(pool, &key, clock, after(0)),
            seal(pool, &key, clock, after(0))
        );
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one.rows + other.rows, 3, "all of them, each once");
        sealed += one.rows + other.rows;
        assert_eq!(one.head.max(other.head), sealed);
    }
    let report = hub.admin.verify().await.unwrap();
    assert!(report.faults.is_empty(), "{:?}", report.faults);
    assert_eq!(report.head, 60);
}

fn after(begin: i64) -> Part {
    Part { begin, many: false }
}

async fn rules_publish(hub: &TestHub, scope: &Scope, round: i32) {
    for nth in 0..3 {
        let mut tx = hub.begin(scope).await;
        tx.publish(rule_changed(&format!("rule-{round}-{nth}"))).unwrap();
        tx.commit().await.unwrap();
    }
}
