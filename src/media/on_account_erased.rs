//! An account is erased: its bytes go with it.
//!
//! Events in: `accounts.AccountErased`. Jobs in and out: `remove-account-media`.
//! Invariant: when that event is told nobody works for the account any more and nobody begins, so nothing is put there
//! again; the job is tried until the store has nothing left. Begin with [`RemoveAll`].

use std::sync::Arc;

use async_trait::async_trait;
use contracts::events::accounts::AccountErased;
use contracts::jobs::RemoveAccountMedia;
use contracts::{AccountId, Event, EventPayload};
use serde_json::{Value, json};
use spine::queue::{JobContext, JobError, JobHandler, JobOptions};
use spine::{Consumer, HandleError, ScopedTx};

use crate::keep::Keeper;

/// The consumer `media.accounts`.
#[derive(Debug)]
pub(crate) struct AccountGone;

#[async_trait]
impl Consumer for AccountGone {
    fn name(&self) -> &'static str {
        "media.accounts"
    }

    fn types(&self) -> Vec<String> {
        vec![AccountErased::TYPE.to_owned()]
    }

    async fn handle(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError> {
        if let Some(erased) = event.payload::<AccountErased>()
            && event.account == AccountId::INSTANCE
        {
            let order = RemoveAccountMedia {
                account: erased?.account,
            };
            tx.enqueue(&order, JobOptions::default()).await?;
        }
        Ok(())
    }
}

/// The handler of the job.
#[derive(Debug)]
pub(crate) struct RemoveAll(pub(crate) Arc<Keeper>);

#[async_trait]
impl JobHandler for RemoveAll {
    type Payload = RemoveAccountMedia;

    async fn run(&self, job: &JobContext, order: RemoveAccountMedia) -> Result<Value, JobError> {
        // Whoever can write jobs of an account can't reach another's bytes by it.
        if job.account() != AccountId::INSTANCE || order.account == AccountId::INSTANCE {
            return Err(JobError::fail("only the instance removes what an account kept"));
        }
        let removed = self.0.blobs.remove_all(order.account).await;
        Ok(json!({ "removed": removed.map_err(JobError::retry)? }))
    }
}
