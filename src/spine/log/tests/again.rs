//! What consumers are told to do again: parked events, and stretches of the log.

use std::sync::atomic::Ordering;

use contracts::Lane;

use super::super::consumer::parked_list;
use super::{marking_hub, marks, rules_change};

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_event_is_parked_with_its_reason_and_the_consumer_goes_on() {
    let (hub, poison) = marking_hub().await;
    let alice = hub.somebody();
    rules_change(&hub, &alice, &["one", "poison", "two"]).await;
    assert_eq!(marks(&hub.events(&alice).await), ["one", "two"]);
    let parked = parked_list(&mut hub.begin(&alice).await, (0, ""), 500)
        .await
        .unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].reason, "this one is poison");

    let event = parked[0].event;
    assert!(
        hub.admin.parked_retry(&alice, "marks", event).await.is_err(),
        "still poison"
    );
    assert_eq!(
        parked_list(&mut hub.begin(&alice).await, (0, ""), 500)
            .await
            .unwrap()[0]
            .tries,
        2
    );
    poison.store(false, Ordering::SeqCst);
    assert!(hub.admin.parked_retry(&alice, "marks", event).await.unwrap());
    assert!(
        !hub.admin.parked_retry(&alice, "marks", event).await.unwrap(),
        "the second retry finds nothing"
    );
    hub.settle().await;
    assert_eq!(marks(&hub.events(&alice).await), ["one", "two", "poison"]);
    assert!(
        parked_list(&mut hub.begin(&alice).await, (0, ""), 500)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_handles_again_from_where_it_is_told() {
    let (hub, _) = marking_hub().await;
    let alice = hub.somebody();
    rules_change(&hub, &alice, &["one", "two"]).await;
    assert!(hub.admin.replay(&alice, "marks", Lane::Live, 1).await.unwrap());
    assert!(!hub.admin.replay(&alice, "nobody", Lane::Live, 1).await.unwrap());
    hub.eventually("the replay is done", async || {
        (marks(&hub.events(&alice).await) == ["one", "two", "two"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_from_beyond_a_consumers_position_is_no_error_and_skips_nothing() {
    let (hub, _) = marking_hub().await;
    let alice = hub.somebody();
    rules_change(&hub, &alice, &["one"]).await;
    for lane in Lane::ALL {
        assert!(
            hub.admin.replay(&alice, "marks", lane, 1_000_000).await.unwrap(),
            "there is such a consumer"
        );
    }
    rules_change(&hub, &alice, &["two"]).await;
    assert_eq!(marks(&hub.events(&alice).await), ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_consumer_is_told_to_do_again_stands_in_the_audit_with_the_deed_or_neither_is() {
    let (hub, poison) = marking_hub().await;
    let operator = hub.somebody();
    rules_change(&hub, &operator, &["poison", "one"]).await;
    let event = parked_list(&mut hub.begin(&operator).await, (0, ""), 500)
        .await
        .unwrap()[0]
        .event;
    let retry = async || hub.admin.parked_retry(&operator, "marks", event).await;
    let replay = async |consumer: &str| hub.admin.replay(&operator, consumer, Lane::Live, 0).await;
    let audit = async || {
        hub.settle().await;
        let events = hub.events(&operator).await;
        let told = events.iter().filter(|event| event.actor == "operator");
        let on = told.filter_map(|event| Some(event.body.as_ref()?["on"].as_str()?.to_owned()));
        on.collect::<Vec<_>>()
    };
    let position = async || {
        hub.settle().await;
        let mut superuser = hub.database.superuser().await;
        let position =
            "SELECT position FROM spine.consumer_position WHERE consumer = 'marks' AND lane = 'live'";
        let position: i64 = sqlx::query_scalar(position)
            .fetch_one(&mut superuser)
            .await
            .unwrap();
        position
    };
    let constraint = async |change: &str| {
        let mut superuser = hub.database.superuser().await;
        let sql = format!("ALTER TABLE spine.outbox {change}");
        sqlx::raw_sql(&sql).execute(&mut superuser).await.unwrap();
    };

    // Refused: nothing is done, and nothing says so.
    assert!(!replay("nobody").await.unwrap());
    let other = hub.admin.parked_retry(&operator, "nobody", event).await;
    assert!(!other.unwrap());
    assert!(audit().await.is_empty());

    // The entry can't be written: nothing is done.
    let before = position().await;
    poison.store(false, Ordering::SeqCst);
    constraint("ADD CONSTRAINT no_room CHECK (actor <> 'operator') NOT VALID").await;
    assert!(replay("marks").await.is_err());
    assert!(retry().await.is_err());
    assert_eq!(position().await, before);
    assert_eq!(marks(&hub.events(&operator).await), ["one"]);
    let parked = parked_list(&mut hub.begin(&operator).await, (0, ""), 500)
        .await
        .unwrap();
    assert_eq!((parked.len(), parked[0].tries), (1, 1));
    constraint("DROP CONSTRAINT no_room").await;

    // Tried in vain, done, and nothing left to do.
    let entry = |what: &str| format!("parked/marks/{event}/{what}");
    poison.store(true, Ordering::SeqCst);
    assert!(retry().await.is_err());
    assert_eq!(audit().await, [entry("failed-retry")]);
    poison.store(false, Ordering::SeqCst);
    assert!(retry().await.unwrap());
    assert!(!retry().await.unwrap());
    assert_eq!(audit().await, [entry("failed-retry"), entry("retry")]);
    assert!(replay("marks").await.unwrap());
    assert_eq!(audit().await.last().unwrap(), "consumer/marks/replay");
    hub.eventually("the replay is done", async || {
        (marks(&hub.events(&operator).await) == ["one", "poison", "poison", "one"]).then_some(())
    })
    .await;
}
