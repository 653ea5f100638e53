//! Putting jobs in, in the transaction of what they follow from.

use std::time::Duration;

use contracts::{AccountId, JobClass, JobId, JobPayload, RetryPolicy};
use sqlx::PgConnection;

use super::desk::{Desks, Seated};
use super::model::{Envelope, JobOptions, QueueError, Slot};
use super::store::{self, Order, Send};
use crate::access::Cause;

/// Queues one job. `None`: a job with the same singleton key, or in the same slot, is there already.
/// The transaction's own account is the only one for which the database takes it.
///
/// # Errors
/// [`QueueError::Options`] for options that contradict each other; [`QueueError::Database`] otherwise.
pub async fn enqueue<P: JobPayload>(
    conn: &mut PgConnection,
    account: AccountId,
    cause: Cause,
    payload: &P,
    options: JobOptions,
) -> Result<Option<JobId>, QueueError> {
    Ok(
        enqueue_all(conn, account, cause, std::slice::from_ref(payload), options)
            .await?
            .pop(),
    )
}

/// Queues many jobs with the same options in one round trip. Returns the ids of those that no key swallowed.
///
/// # Errors
/// As [`enqueue`].
pub async fn enqueue_all<P: JobPayload>(
    conn: &mut PgConnection,
    account: AccountId,
    cause: Cause,
    payloads: &[P],
    options: JobOptions,
) -> Result<Vec<JobId>, QueueError> {
    check(&options)?;
    let mut data = Vec::with_capacity(payloads.len());
    for payload in payloads {
        data.push(Envelope::write(account, cause, payload)?);
    }
    let ids: Vec<_> = payloads.iter().map(|_| JobId::new().0).collect();
    let retry = options.retry.unwrap_or(P::RETRY);
    let (slot, next_slot) = match options.slot {
        None => (None, false),
        Some(Slot::Throttle(length)) => (Some(seconds(length)), false),
        Some(Slot::Debounce(length)) => (Some(seconds(length)), true),
    };
    // Unique within the queue for all accounts, so the account is a part of the key.
    let key = match (&options.singleton_key, slot) {
        (Some(key), _) => Some(format!("{account}:{key}")),
        (None, Some(_)) => Some(account.to_string()),
        (None, None) => None,
    };
    let send = Send {
        queue: P::QUEUE,
        ids: &ids,
        data: &data,
        priority: options.priority,
        start_after: options.start_after,
        singleton_key: key.as_deref(),
        slot,
        next_slot,
        retry: Retry::of(&retry),
        heartbeat: options.heartbeat.map(seconds),
        rate: options.rate_limit.as_ref(),
    };
    Ok(store::send(conn, send).await?.into_iter().map(JobId).collect())
}

/// Queues one job as active, for the slot in which it will run. `None`: that is not for such a job, or such a queue, and
/// nothing was queued.
pub(crate) async fn enqueue_seated<P: JobPayload>(
    conn: &mut PgConnection,
    account: AccountId,
    cause: Cause,
    payload: &P,
    (options, desks): (&JobOptions, &Desks),
) -> Result<Option<Seated>, QueueError> {
    // What runs in the background may as well be looked for.
    if P::CLASS == JobClass::Background || !options.is_plain() {
        return Ok(None);
    }
    let Some(seat) = desks.seat(P::QUEUE) else {
        return Ok(None);
    };
    let order = Order {
        queue: P::QUEUE,
        id: JobId::new().0,
        data: Envelope::write(account, cause, payload)?,
        priority: options.priority,
        retry: Retry::of(&options.retry.unwrap_or(P::RETRY)),
        hub: seat.hub(),
    };
    Ok(store::send_active(conn, order).await?.map(|job| seat.take(job)))
}

/// A retry policy in pg-boss's whole seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retry {
    pub(super) limit: i32,
    pub(super) delay: i32,
    pub(super) delay_max: i32,
    pub(super) expire: i32,
}

impl Retry {
    pub(super) fn of(policy: &RetryPolicy) -> Self {
        Self {
            limit: i32::try_from(policy.limit).unwrap_or(i32::MAX),
            delay: seconds(policy.delay),
            delay_max: seconds(policy.delay_max),
            expire: seconds(policy.expire_in),
        }
    }
}

/// Whole seconds, upwards, at least one, at most some years.
fn seconds(duration: Duration) -> i32 {
    let whole = duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0));
    i32::try_from(whole.clamp(1, 300_000_000)).unwrap_or(300_000_000)
}

fn check(options: &JobOptions) -> Result<(), QueueError> {
    let limited = options.rate_limit.is_some();
    if limited && (options.start_after.is_some() || options.slot.is_some()) {
        return Err(QueueError::Options(
            "a rate limit decides the start: not together with start_after or a slot",
        ));
    }
    if options.slot.is_some() && options.start_after.is_some() {
        return Err(QueueError::Options(
            "a slot decides the start: not together with start_after",
        ));
    }
    let sane = |limit: &super::RateLimit| (1..=1000).contains(&limit.count) && !limit.period.is_zero();
    if options.rate_limit.as_ref().is_some_and(|limit| !sane(limit)) {
        return Err(QueueError::Options(
            "a rate limit is 1 to 1,000 starts in a period longer than nothing",
        ));
    }
    if options
        .heartbeat
        .is_some_and(|heartbeat| heartbeat < Duration::from_secs(10))
    {
        return Err(QueueError::Options("a heartbeat is at least 10 s"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_become_whole_seconds_and_never_none() {
        assert_eq!(seconds(Duration::ZERO), 1);
        assert_eq!(seconds(Duration::from_millis(1500)), 2);
        assert_eq!(seconds(Duration::MAX), 300_000_000);
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        let limit = super::super::RateLimit {
            key: "k".into(),
            count: 1,
            period: Duration::from_secs(1),
        };
        assert!(
            check(&JobOptions {
                rate_limit: Some(limit.clone()),
                ..JobOptions::default()
            })
            .is_ok()
        );
        let both = JobOptions {
            rate_limit: Some(limit.clone()),
            slot: Some(Slot::Throttle(Duration::from_secs(1))),
            ..JobOptions::default()
        };
        assert!(check(&both).is_err());
        let none = super::super::RateLimit { count: 0, ..limit };
        assert!(
            check(&JobOptions {
                rate_limit: Some(none),
                ..JobOptions::default()
            })
            .is_err()
        );
    }
}
