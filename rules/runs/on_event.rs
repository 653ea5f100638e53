//! The consumer `rules`: every event meets the rules that listen to it.
//!
//! Events in: all types of both lanes, since owners add rules while the hub runs; what no rule listens to is passed
//! over by a look into memory. Rules see the present as of the event: where the consumer `state` has not read so far, their read waits for it.

use async_trait::async_trait;
use contracts::{AccountId, Event};
use sandbox::SharedValue;
use spine::access::ScopedTx;
use spine::{Consumer, HandleError};

use super::retention;
use super::runner::{Occasion, Runner};
use crate::engine::host::Host;

/// Hands events to rules.
#[derive(Debug)]
pub(crate) struct OnEvent {
    pub(crate) runner: Runner,
}

#[async_trait]
impl Consumer for OnEvent {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn types(&self) -> Vec<String> {
        Vec::new()
    }

    fn may_concern(&self, event: &Event) -> bool {
        self.runner.catalog.may_concern(event)
    }

    async fn concerns(&self, tx: &mut ScopedTx, event: &Event) -> Result<bool, HandleError> {
        if event.body.is_none()
            || event.account == AccountId::INSTANCE
            || retention::is_past(event.recorded_at, tx.now())
        {
            return Ok(false);
        }
        let rules = self.runner.catalog.of(tx).await?;
        Ok(!rules.index.matching(event).is_empty())
    }

    async fn handle(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError> {
        let Some(body) = &event.body else {
            return Ok(());
        };
        let rules = self.runner.catalog.of(tx).await?;
        let matching = rules.index.matching(event);
        let occasion = Occasion {
            event,
            body: SharedValue::new(body.clone()),
        };
        let mut host = Host::new(tx.now());
        for rule in matching {
            self.runner.consider(tx, rule, &occasion, &mut host).await?;
        }
        Ok(())
    }
}
