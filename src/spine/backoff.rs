//! Waiting for something that is away: growing, capped, jittered delays, and one log line when it goes and one when
//! it comes back, not a thousand between.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(crate) fn succeeded(&mut self, who: &str) {
        if self.failures > 0 {
            tracing::info!(who, failures = self.failures, "works again");
            self.failures = 0;
        }
    }

    /// Tells the log the first time, then waits.
    pub(crate) async fn failed(
        &mut self,
        who: &str,
        error: &(dyn std::error::Error + Send + Sync),
        stop: &CancellationToken,
    ) {
        if self.failures == 0 {
            let cause = error.source().map(ToString::to_string);
            tracing::warn!(who, %error, cause, "can't go on; trying again until it works");
        }
        self.failures = self.failures.saturating_add(1);
        tokio::select! {
            () = tokio::time::sleep(delay(self.failures, rand::random())) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Doubles from 100 ms to 5 s; `chance` in 0..1 spreads it over the upper half.
fn delay(failures: u32, chance: f64) -> Duration {
    let whole = FIRST
        .saturating_mul(1 << failures.saturating_sub(1).min(10))
        .min(LONGEST);
    whole.mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_are_capped() {
        assert_eq!(delay(1, 1.0), FIRST);
        assert_eq!(delay(3, 1.0), FIRST * 4);
        assert_eq!(delay(u32::MAX, 1.0), LONGEST);
        assert_eq!(delay(u32::MAX, 0.0), LONGEST / 2);
    }
}
