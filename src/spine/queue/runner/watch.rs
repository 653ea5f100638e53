//! Watches what runs for longer than a moment: lets its heart beat, and tells it when it was cancelled or taken over.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::backoff::Backoff;
use crate::queue::store;

const EVERY: Duration = Duration::from_secs(1);

pub(super) async fn run(shared: Shared, end: CancellationToken) {
    let mut backoff = Backoff::default();
    while !end.is_cancelled() {
        let asked = tokio::select! {
            () = end.cancelled() => return,
            () = tokio::time::sleep(EVERY) => EVERY,
            () = shared.hub.look() => Duration::ZERO,
        };
        let running = shared.running.older_than(asked);
        if running.is_empty() {
            continue;
        }
        match store::watch(&shared.pool, &running).await {
            Ok(lost) => {
                backoff.succeeded("queue watch");
                let lost = running.iter().filter(|fence| lost.contains(&fence.id));
                lost.for_each(|fence| shared.running.cancel(fence));
            }
            Err(error) => backoff.failed("queue watch", &error, &end).await,
        }
    }
}
