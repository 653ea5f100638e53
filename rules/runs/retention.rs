//! How long runs are kept.
//!
//! Invariant: an event whose run may be gone runs no rule, so that a log that is read again repeats nothing.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use spine::{AccessError, Cause, Context};
use tokio_util::sync::CancellationToken;

use super::store;

/// Older events run no rule. Runs are kept a day longer than this after they ended.
pub(crate) const RUNS_KEPT_FOR: TimeDelta = TimeDelta::days(90);
const MARGIN: TimeDelta = TimeDelta::days(1);
/// How often old runs and counters are removed.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// Fewer than this were removed: there are no more.
const BATCH: i64 = 1_000;

/// True if the event's run may have been removed.
pub(crate) fn is_past(recorded_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - recorded_at > RUNS_KEPT_FOR
}

/// Removes old runs and counters until the hub stops.
pub(crate) async fn run(context: Context, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = sweep(&context).await {
            tracing::debug!(%error, "old runs are removed when the database is back");
        }
        tokio::select! {
            () = tokio::time::sleep(SWEEP_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Removes them all, some a commit. How many.
pub(crate) async fn sweep(context: &Context) -> Result<i64, AccessError> {
    let nobody = context.access.scope_of_stranger("rules");
    let mut all = 0;
    loop {
        let mut tx = context.access.begin(&nobody, Cause::outside()).await?;
        let before = tx.now() - RUNS_KEPT_FOR - MARGIN;
        let count = store::prune(&mut tx, before).await?;
        tx.commit().await?;
        all += count;
        if count < BATCH {
            return Ok(all);
        }
    }
}
