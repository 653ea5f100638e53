//! What a service learns of jobs that ended without its handler's word: killed, or too slow, too often.
//!
//! Invariant: each comes with the scope of its own envelope; nothing of other queues is told.

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
    /// The jobs of a payload type that were given up within so much time and wait for their owner, newest first, at most
    /// 1,000. Left out: those of another shape.
    ///
    /// # Errors
    /// [`AccessError::Database`] when the database is away.
    pub async fn dead_letters<P: JobPayload>(
        &self,
        within: Duration,
    ) -> Result<Vec<DeadLetter<P>>, AccessError> {
        let instance = Scope::new(AccountId::INSTANCE, Principal::System("queue".to_owned()));
        let mut tx = self.begin(&instance, Cause::outside()).await?;
        let rows = sqlx::query!(
            r#"SELECT data, reason FROM mq.dead_letters($1, $2)"#,
            P::QUEUE,
            within.as_secs_f64()
        )
        .fetch_all(tx.conn())
        .await?;
        let letters = rows.into_iter().filter_map(|row| read(row.data, row.reason));
        Ok(letters.collect())
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
