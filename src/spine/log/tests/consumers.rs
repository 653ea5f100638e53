//! Consumers: every event once, whatever is poison, played again or feeds itself.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use contracts::events::rules::RuleChanged;
use contracts::{Event, EventPayload, Lane};

use super::super::consumer::{Consumer, HandleError, parked_list};
use super::{hub_with, marking_hub, marks, rule_changed, rules_change};
use crate::access::ScopedTx;

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_event_is_parked_with_its_reason_and_the_consumer_goes_on() {
    let (hub, poison) = marking_hub().await;
    let alice = hub.somebody();
    rules_change(&hub, &alice, &["one", "poison", "two"]).await;
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
    rules_change(&hub, &alice, &["one", "two"]).await;
    assert!(hub.admin.replay("marks", Lane::Live, 1).await.unwrap());
    assert!(!hub.admin.replay("nobody", Lane::Live, 1).await.unwrap());
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
            hub.admin.replay("marks", lane, 1_000_000).await.unwrap(),
            "there is such a consumer"
        );
    }
    rules_change(&hub, &alice, &["two"]).await;
    assert_eq!(marks(&hub.events(&alice).await), ["one", "two"]);
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
    let hub = hub_with(Echo).await;
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
