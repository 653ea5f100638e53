//! Orders the collecting: once an hour, for each account that has something to collect or was not searched for a day.
//!
//! Jobs out: `collect-media`, one at a time for an account.
//! Invariant: it only orders; whoever orders twice orders once. Begin with [`Caretaker::run`].

use std::time::Duration;

use contracts::jobs::CollectMedia;
use spine::queue::JobOptions;
use spine::{AccessError, Cause, Context, Scope};
use tokio_util::sync::CancellationToken;

use crate::collect::SWEEP_EVERY;

/// First some minutes after the start, when there are more urgent things no more, then so often.
const FIRST: Duration = Duration::from_secs(120);
const EVERY: Duration = Duration::from_secs(3600);
/// A running job whose process is gone is taken up again after this.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Looks now and then whether there is something to collect.
#[derive(Debug)]
pub(crate) struct Caretaker(pub(crate) Context);

impl Caretaker {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut pause = FIRST;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
            pause = EVERY;
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "contents that nobody needs are collected later");
            }
        }
    }

    /// Orders the collecting where it is due; for how many accounts.
    pub(crate) async fn look(&self) -> Result<usize, AccessError> {
        let now = self.0.clock.now();
        let grace = chrono::Duration::from_std(self.0.settings.media.grace).unwrap_or(chrono::Duration::MAX);
        let released = now
            .checked_sub_signed(grace)
            .unwrap_or(chrono::DateTime::UNIX_EPOCH);
        let due = self
            .0
            .access
            .scopes_of_due_media(released, now - SWEEP_EVERY)
            .await?;
        for scope in &due {
            self.order(scope).await?;
        }
        Ok(due.len())
    }

    async fn order(&self, scope: &Scope) -> Result<(), AccessError> {
        let mut tx = match self.0.access.begin(scope, Cause::outside()).await {
            Err(AccessError::Erased) => return Ok(()),
            begun => begun?,
        };
        let options = JobOptions {
            singleton_key: Some("collect".to_owned()),
            ..at_once()
        };
        tx.enqueue(&CollectMedia {}, options).await?;
        tx.commit().await
    }
}

/// For what must not wait for the next look: a run that is under way may have looked already.
pub(crate) fn at_once() -> JobOptions {
    JobOptions {
        heartbeat: Some(HEARTBEAT),
        ..JobOptions::default()
    }
}
