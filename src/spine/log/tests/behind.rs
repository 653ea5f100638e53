//! A consumer that asks what another makes of the log waits for what matters, and for nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use contracts::events::rules::RuleChanged;
use contracts::{Event, EventPayload, Lane};
use tokio::sync::Semaphore;

use super::super::consumer::{Consumer, HandleError};
use super::{marks, rule_changed};
use crate::access::ScopedTx;
use crate::service::Service;
use crate::testing::{TestHub, hub};

fn types() -> Vec<String> {
    vec![RuleChanged::TYPE.to_owned()]
}

fn mark(tx: &mut ScopedTx, who: &str, event: &Event) -> Result<(), HandleError> {
    let rule = event.subject.as_deref().unwrap_or_default();
    Ok(tx.audit("act", format!("mark/{who} {rule}"), None)?)
}

/// Folds a live event when it is let.
struct Folds {
    lets: Arc<Semaphore>,
}

#[async_trait]
impl Consumer for Folds {
    fn name(&self) -> &'static str {
        "folds"
    }

    fn types(&self) -> Vec<String> {
        types()
    }

    fn lanes(&self) -> &'static [Lane] {
        &[Lane::Live]
    }

    async fn handle(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError> {
        let permit = self.lets.acquire().await;
        permit.map_err(|_| HandleError::Poison("closed".into()))?.forget();
        mark(tx, "folded", event)
    }
}

/// Asks on one lane what was folded of the weighty events.
struct Asks {
    lanes: &'static [Lane],
    asked: Arc<AtomicUsize>,
}

#[async_trait]
impl Consumer for Asks {
    fn name(&self) -> &'static str {
        "asks"
    }

    fn types(&self) -> Vec<String> {
        types()
    }

    fn lanes(&self) -> &'static [Lane] {
        self.lanes
    }

    async fn handle(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tx.wants_read("folds", Lane::Live, &types(), event.position, |event| {
            event.subject.as_deref() == Some("weighty")
        })?;
        mark(tx, "asked", event)
    }
}

/// A hub in which one consumer folds, when it is let, and the other asks on a lane; how often that one did.
async fn asking_hub(lanes: &'static [Lane]) -> (TestHub, Arc<Semaphore>, Arc<AtomicUsize>) {
    let (lets, asked) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let hub = hub(|_| {
        let asks = Asks {
            lanes,
            asked: asked.clone(),
        };
        let consumers: [Arc<dyn Consumer>; 2] = [Arc::new(Folds { lets: lets.clone() }), Arc::new(asks)];
        vec![Service {
            name: "asking",
            consumers: consumers.into(),
            ..Service::default()
        }]
    })
    .await;
    (hub, lets, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_another_consumer_waits_for_what_matters_alone_and_then_handles_it_once() {
    let (hub, lets, asked) = asking_hub(&[Lane::Live]).await;
    let alice = hub.somebody();
    let change = async |rule| {
        let mut tx = hub.begin(&alice).await;
        tx.publish(rule_changed(rule)).unwrap();
        tx.commit().await.unwrap();
    };
    let marked = async |so: &[&str]| {
        let what = format!("{so:?}");
        hub.eventually(&what, async || {
            (marks(&hub.events(&alice).await) == so).then_some(())
        })
        .await;
    };
    change("light").await;
    marked(&["asked light"]).await;
    change("weighty").await;
    hub.eventually("it was asked and had no answer", async || {
        (asked.load(Ordering::SeqCst) == 2).then_some(())
    })
    .await;
    lets.add_permits(1);
    marked(&["asked light", "folded light"]).await;
    lets.add_permits(1);
    marked(&["asked light", "folded light", "folded weighty", "asked weighty"]).await;
    lets.add_permits(1);
    change("light").await;
    hub.settle().await;
    assert_eq!(marks(&hub.events(&alice).await).len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_handles_backfill_waits_for_what_the_live_lane_has_to_tell() {
    let (hub, lets, asked) = asking_hub(&[Lane::Backfill]).await;
    let alice = hub.somebody();
    let change_and_import = async |live, imported| {
        let mut tx = hub.begin(&alice).await;
        tx.publish(rule_changed(live)).unwrap();
        tx.set_lane(Lane::Backfill);
        tx.publish(rule_changed(imported)).unwrap();
        tx.commit().await.unwrap();
    };
    let marked = async |so: &[&str]| {
        let what = format!("{so:?}");
        hub.eventually(&what, async || {
            (marks(&hub.events(&alice).await) == so).then_some(())
        })
        .await;
    };
    change_and_import("light", "one").await;
    marked(&["asked one"]).await;
    change_and_import("weighty", "two").await;
    hub.eventually("it was asked and had no answer", async || {
        (asked.load(Ordering::SeqCst) == 2).then_some(())
    })
    .await;
    lets.add_permits(1);
    marked(&["asked one", "folded light"]).await;
    lets.add_permits(1);
    marked(&["asked one", "folded light", "folded weighty", "asked two"]).await;
}
