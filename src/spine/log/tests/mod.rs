//! Stories of the log: nothing is lost, doubled or changed unseen.

mod again;
mod behind;
mod chain;
mod claims;
mod consumers;
mod writing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use contracts::events::audit::AccessRecorded;
use contracts::events::rules::RuleChanged;
use contracts::{Event, EventPayload, NewEvent};

use super::consumer::{Consumer, HandleError};
use crate::access::{Scope, ScopedTx};
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

/// Somebody's rules change, in one commit, and everybody who wants to know has heard of it.
async fn rules_change(hub: &TestHub, scope: &Scope, rules: &[&str]) {
    let mut tx = hub.begin(scope).await;
    for rule in rules {
        tx.publish(rule_changed(rule)).unwrap();
    }
    tx.commit().await.unwrap();
    hub.settle().await;
}

/// Answers each event with a mark, an event too: visible, and doubled if it ran twice.
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
    (hub_with(marks).await, poison)
}

async fn hub_with(consumer: impl Consumer) -> TestHub {
    hub(|_| {
        vec![Service {
            name: consumer.name(),
            consumers: vec![Arc::new(consumer)],
            ..Service::default()
        }]
    })
    .await
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
