//! Refusals at the door, counted: strangers who try wrong tokens or signatures can't grow the log.
//!
//! Events out: `audit.SignInsRefused` (of the instance), `audit.WebhooksRefused` (of the connection's account): one per
//! door, source and minute, with the count, written once the minute is over and when the hub stops.
//! Invariant: memory is bounded: beyond [`SOURCES_MAX`] sources a door and minute, the rest is counted as `others`.
//! What a kill -9 takes with it is the count of the last minute, no data.
//! Begin with [`Access::sign_in_refused`].

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use contracts::events::audit::{SignInsRefused, WebhooksRefused};
use contracts::{AccountId, ConnectionId, NewEvent};
use tokio_util::sync::CancellationToken;

use crate::access::{Access, AccessError, Cause, Principal, Scope};

/// Sources that are told apart for one door in one minute.
const SOURCES_MAX: usize = 64;
/// Where the sources beyond [`SOURCES_MAX`] are counted.
const OTHERS: &str = "others";

/// What they tried to get in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Door {
    /// A token or password, for nobody's account in particular: it was wrong.
    SignIn,
    /// A connection's webhook address, with a wrong or missing signature.
    Webhook(AccountId, ConnectionId),
}

impl Door {
    fn account(self) -> AccountId {
        match self {
            Self::SignIn => AccountId::INSTANCE,
            Self::Webhook(account, _) => account,
        }
    }
}

type Slot = (DateTime<Utc>, Door);
type Sources = BTreeMap<String, u64>;

/// The counts that are not written yet.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<Slot, Sources>>);

impl Refusals {
    fn add(&self, slot: Slot, source: &str, count: u64) {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sources = slots.entry(slot).or_default();
        let known = sources.contains_key(source) || sources.len() < SOURCES_MAX;
        let counted = sources
            .entry(if known { source } else { OTHERS }.to_owned())
            .or_default();
        *counted = counted.saturating_add(count);
    }

    fn take_before(&self, minute: DateTime<Utc>) -> BTreeMap<Slot, Sources> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (over, current) = std::mem::take(&mut *slots)
            .into_iter()
            .partition(|((at, _), _)| *at < minute);
        *slots = current;
        over
    }
}

impl Access {
    /// Counts a sign-in with a wrong token or password. `source`: the peer's address as the hub's socket saw it.
    pub fn sign_in_refused(&self, source: &str) {
        self.refusals().add((minute(self.now()), Door::SignIn), source, 1);
    }

    /// Counts a webhook with a wrong or missing signature. The scope is that of the connection's address.
    pub fn webhook_refused(&self, scope: &Scope, connection: ConnectionId, source: &str) {
        let door = Door::Webhook(scope.account(), connection);
        self.refusals().add((minute(self.now()), door), source, 1);
    }

    /// Writes all counts, that of the running minute too. What can't be written stays counted.
    ///
    /// # Errors
    /// [`AccessError`]: the database is away.
    pub async fn refusals_flush(&self) -> Result<(), AccessError> {
        flush(self, DateTime::<Utc>::MAX_UTC).await
    }
}

/// Writes the counts of each minute that is over, until the hub stops; then the rest.
pub(crate) async fn run(access: Access, stop: CancellationToken) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = tokio::time::sleep(until_next_minute(access.now())) => {}
            () = stop.cancelled() => break,
        }
        if let Err(error) = flush(&access, minute(access.now())).await {
            tracing::warn!(%error, "refusals could not be written to the audit; they stay counted");
        }
    }
    if let Err(error) = access.refusals_flush().await {
        tracing::warn!(%error, "the last refusals could not be written to the audit");
    }
}

async fn flush(access: &Access, before: DateTime<Utc>) -> Result<(), AccessError> {
    let mut result = Ok(());
    for (slot, sources) in access.refusals().take_before(before) {
        match write(access, slot, &sources).await {
            // Nothing is written for an account that was erased, now or ever.
            Ok(()) | Err(AccessError::Erased) => {}
            Err(error) => {
                for (source, count) in &sources {
                    access.refusals().add(slot, source, *count);
                }
                result = Err(error);
            }
        }
    }
    result
}

async fn write(access: &Access, (minute, door): Slot, sources: &Sources) -> Result<(), AccessError> {
    let scope = Scope::new(door.account(), Principal::System("edge".to_owned()));
    let mut tx = access.begin(&scope, Cause::outside()).await?;
    for (source, count) in sources {
        let (source, count) = (source.clone(), *count);
        let event = match door {
            Door::SignIn => NewEvent::of(&SignInsRefused {
                source,
                minute,
                count,
            })?,
            Door::Webhook(_, connection) => NewEvent::of(&WebhooksRefused {
                connection,
                source,
                minute,
                count,
            })?
            .about(connection),
        };
        tx.publish(event.occurred(minute))?;
    }
    tx.commit().await
}

fn minute(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(TimeDelta::minutes(1)).unwrap_or(at)
}

fn until_next_minute(now: DateTime<Utc>) -> Duration {
    let next = minute(now) + TimeDelta::minutes(1);
    (next - now)
        .to_std()
        .unwrap_or(Duration::from_secs(60))
        .max(Duration::from_millis(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_counted_for_an_account_that_was_erased_is_dropped() {
        let hub = crate::testing::hub(|_| Vec::new()).await;
        let (alice, access) = (hub.somebody(), &hub.context.access);
        access.webhook_refused(&alice, ConnectionId::new(), "192.0.2.1");
        hub.admin.erase_account(&alice, alice.account()).await.unwrap();
        access.refusals_flush().await.unwrap();
        let left = access.refusals().take_before(DateTime::<Utc>::MAX_UTC);
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn a_thousand_tries_of_one_source_in_a_minute_are_one_entry_with_the_count() {
        let refusals = Refusals::default();
        let slot = (at("2026-11-21T10:00:00Z"), Door::SignIn);
        for _ in 0..1000 {
            refusals.add(slot, "192.0.2.1", 1);
        }
        let taken = refusals.take_before(at("2026-11-21T10:01:00Z"));
        assert_eq!(
            taken.into_iter().collect::<Vec<_>>(),
            [(slot, [("192.0.2.1".to_owned(), 1000)].into())]
        );
    }

    #[test]
    fn more_sources_than_memory_allows_are_counted_together() {
        let refusals = Refusals::default();
        let slot = (at("2026-11-21T10:00:00Z"), Door::SignIn);
        for n in 0..10_000 {
            refusals.add(slot, &format!("2001:db8::{n:x}"), 1);
        }
        let taken = refusals.take_before(DateTime::<Utc>::MAX_UTC);
        let sources = &taken[&slot];
        assert_eq!(sources.len(), SOURCES_MAX + 1);
        assert_eq!(sources[OTHERS], 10_000 - SOURCES_MAX as u64);
    }

    #[test]
    fn the_running_minute_waits_until_it_is_over() {
        let refusals = Refusals::default();
        refusals.add((at("2026-11-21T10:00:00Z"), Door::SignIn), "192.0.2.1", 1);
        assert!(refusals.take_before(at("2026-11-21T10:00:00Z")).is_empty());
        assert_eq!(refusals.take_before(at("2026-11-21T10:01:00Z")).len(), 1);
        assert!(
            refusals.take_before(at("2026-11-21T10:01:00Z")).is_empty(),
            "taken once"
        );
    }

    #[test]
    fn it_sleeps_until_the_minute_turns() {
        assert_eq!(
            until_next_minute(at("2026-11-21T10:00:45Z")),
            Duration::from_secs(15)
        );
        assert_eq!(minute(at("2026-11-21T10:00:45.5Z")), at("2026-11-21T10:00:00Z"));
    }
}
