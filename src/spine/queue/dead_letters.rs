//! What a service learns of jobs that ended without its handler's word: killed, or too slow, too often.
//!
//! Invariant: each comes with the scope of its own envelope, and is read in a transaction of that account; nothing of other
//! queues is told.

use std::time::Duration;

use contracts::{AccountId, JobPayload};
use serde_json::Value;

use super::model::Envelope;
use crate::access::{Access, AccessError, Cause, Principal, Scope};

/// A job that was given up.
#[derive(Debug)]
pub struct DeadLetter<P> {
    /// For whom it worked.
    pub scope: Scope,
    /// Because of what.
    pub cause: Cause,
    /// What it was to do.
    pub payload: P,
    /// What its last attempt ended with; the queue's own words where the handler said none.
    pub reason: Option<String>,
}

impl Access {
    /// The jobs of a payload type that were given up within so much time and wait for their owner, of each account the
    /// newest 1,000. Left out: those of another shape.
    ///
    /// # Errors
    /// [`AccessError::Database`] when the database is away.
    pub async fn dead_letters<P: JobPayload>(
        &self,
        within: Duration,
    ) -> Result<Vec<DeadLetter<P>>, AccessError> {
        let within = within.as_secs_f64();
        let mut letters = Vec::new();
        for account in self.accounts_with_dead_letters(P::QUEUE, within).await? {
            let scope = Scope::new(account, Principal::System("queue".to_owned()));
            let mut tx = match self.begin(&scope, Cause::outside()).await {
                Ok(tx) => tx,
                Err(AccessError::Erased) => continue,
                Err(error) => return Err(error),
            };
            let rows = sqlx::query!(
                r#"SELECT data, reason FROM mq.dead_letters($1, $2)"#,
                P::QUEUE,
                within
            )
            .fetch_all(tx.conn())
            .await?;
            letters.extend(rows.into_iter().filter_map(|row| read(row.data, row.reason)));
        }
        Ok(letters)
    }

    async fn accounts_with_dead_letters(
        &self,
        queue: &str,
        within: f64,
    ) -> Result<Vec<AccountId>, AccessError> {
        let instance = Scope::new(AccountId::INSTANCE, Principal::System("queue".to_owned()));
        let mut tx = self.begin(&instance, Cause::outside()).await?;
        let accounts = sqlx::query_scalar!(
            r#"SELECT account AS "account!" FROM mq.accounts_with_dead_letters($1, $2)"#,
            queue,
            within
        )
        .fetch_all(tx.conn())
        .await?;
        Ok(accounts.into_iter().map(AccountId).collect())
    }
}

fn read<P: JobPayload>(data: Option<Value>, reason: Option<String>) -> Option<DeadLetter<P>> {
    let envelope = Envelope::read(data).ok()?;
    Some(DeadLetter {
        scope: envelope.scope(P::QUEUE),
        cause: envelope.cause(),
        payload: serde_json::from_value(envelope.payload).ok()?,
        reason,
    })
}
