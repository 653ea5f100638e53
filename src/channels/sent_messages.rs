//! The port `SentMessages`: to which chain of events a provider's word about a message of ours belongs.
//!
//! Invariant: only what an attempt of the same account was made for is told.

use async_trait::async_trait;
use contracts::{AttemptId, EntityId};
use spine::ports::SentMessages;
use spine::{AccessError, Cause, ScopedTx};

use crate::store;

/// Answers from the attempts.
#[derive(Debug)]
pub(crate) struct Attempts;

#[async_trait]
impl SentMessages for Attempts {
    async fn cause(
        &self,
        tx: &mut ScopedTx,
        message: EntityId,
        attempt: Option<AttemptId>,
        remote_id: &str,
    ) -> Result<Option<Cause>, AccessError> {
        store::attempt_cause(tx, message, attempt, remote_id).await
    }
}
