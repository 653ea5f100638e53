//! What a panic says, and tasks of the spine that go on after one.
//!
//! Invariant: a task that is to run until the stop runs until the stop; when it ends before, that is told and it is
//! started again, with growing delays.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;

/// The outcome of a future, or the text with which it panicked.
pub(crate) async fn caught<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let caught = AssertUnwindSafe(future).catch_unwind().await;
    caught.map_err(|panic| panic_text(panic.as_ref()).to_owned())
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

/// A task that was to run until the stop.
#[derive(Debug, thiserror::Error)]
#[error("a part of the hub ended unexpectedly")]
struct Ended(#[source] Box<dyn std::error::Error + Send + Sync>);

/// Runs what `make` makes until the stop, again and again if it ends before.
pub(crate) async fn kept_running<F: Future<Output = ()>>(
    who: &str,
    stop: CancellationToken,
    mut make: impl FnMut() -> F,
) {
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() {
        let ended = caught(make()).await;
        if stop.is_cancelled() {
            return;
        }
        let why = ended.err().unwrap_or_else(|| "it returned".to_owned());
        tracing::error!(
            who,
            why,
            "a part of the hub ended unexpectedly and is started again"
        );
        metrics::counter!("allod_parts_restarted_total").increment(1);
        backoff.failed(who, &Ended(why.into()), &stop).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_part_that_panics_or_returns_is_started_again_until_the_stop() {
        let (stop, starts) = (CancellationToken::new(), AtomicU32::new(0));
        kept_running("part", stop.clone(), || async {
            match starts.fetch_add(1, Ordering::SeqCst) {
                0 => panic!("on purpose"),
                1 => {}
                _ => stop.cancel(),
            }
        })
        .await;
        assert_eq!(starts.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn the_text_of_a_panic_is_kept() {
        let text = format!("{} {}", "number", 7);
        assert_eq!(
            caught(async { panic!("{text}") }).await,
            Err::<(), _>("number 7".to_owned())
        );
        assert_eq!(caught(async { 7 }).await, Ok(7));
    }
}
