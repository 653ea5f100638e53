//! Live updates: the account's events as server-sent events.
//!
//! Invariant: nothing is left out and nothing comes twice: the stream reads the log from a position on, and being
//! woken only makes it read sooner. It ends after [`LIFE`], so that a revoked token is noticed when the client returns.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::response::IntoResponse;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use contracts::{AccountId, Event, Position};
use spine::log::reader::{self, Filter};
use spine::{AccessError, Cause, Context, Scope};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Streams at once, on the whole hub.
const STREAMS_MAX: usize = 200;
/// Streams at once of one account: nobody takes every place.
pub(crate) const STREAMS_PER_ACCOUNT_MAX: usize = 40;
/// How long one stream lives.
const LIFE: Duration = Duration::from_secs(600);
/// The floor of polling, should nobody wake us.
const POLL: Duration = Duration::from_secs(1);
/// A comment this often keeps proxies from closing the connection.
const HEARTBEAT: Duration = Duration::from_secs(15);
const BATCH_EVENTS: i64 = 100;

/// How many follow now, in all and by account. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places(Arc<Mutex<HashMap<AccountId, usize>>>);

/// One stream's place; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    account: AccountId,
}

impl Places {
    /// A place, unless the account or the hub has none left.
    pub(crate) fn take(&self, account: AccountId) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(&account).copied().unwrap_or_default();
        if own >= STREAMS_PER_ACCOUNT_MAX || taken.values().sum::<usize>() >= STREAMS_MAX {
            return None;
        }
        taken.insert(account, own + 1);
        Some(Place {
            places: self.clone(),
            account,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.account) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.remove(&self.account);
            }
        }
    }
}

/// Somebody who follows an account's events.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) context: Context,
    pub(crate) scope: Scope,
    pub(crate) filter: Filter,
    pub(crate) after: Position,
    pub(crate) head: watch::Receiver<Position>,
    pub(crate) stop: CancellationToken,
    pub(crate) _place: Place,
}

struct Reading {
    live: Live,
    waiting: VecDeque<Event>,
    end: Instant,
}

impl Live {
    /// The stream, until its life is over, the database is away, the hub stops, or nobody reads it any more.
    pub(crate) fn stream(self) -> impl IntoResponse {
        let reading = Reading {
            live: self,
            waiting: VecDeque::new(),
            end: Instant::now() + LIFE,
        };
        let messages = futures::stream::unfold(reading, async |mut reading| {
            let event = reading.next().await?;
            Some((Ok::<_, Infallible>(message(&event)), reading))
        });
        Sse::new(messages).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("still here"))
    }
}

impl Reading {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if Instant::now() >= self.end || self.live.stop.is_cancelled() {
                return None;
            }
            // Seen before reading: what moves the head meanwhile wakes us again.
            self.live.head.borrow_and_update();
            match self.read().await {
                Ok(events) if events.is_empty() => self.wait().await,
                Ok(events) => self.waiting = events.into(),
                Err(error) => {
                    tracing::debug!(%error, "a live stream ends; its client comes back");
                    return None;
                }
            }
        }
    }

    async fn read(&mut self) -> Result<Vec<Event>, AccessError> {
        let live = &mut self.live;
        let mut tx = live.context.access.begin(&live.scope, Cause::outside()).await?;
        let events = reader::event_list(&mut tx, &live.filter, live.after, BATCH_EVENTS).await?;
        live.after = events.last().map_or(live.after, |event| event.position);
        Ok(events)
    }

    async fn wait(&mut self) {
        tokio::select! {
            moved = self.live.head.changed() => if moved.is_err() {
                tokio::time::sleep(POLL).await;
            },
            () = tokio::time::sleep(POLL) => {}
            () = tokio::time::sleep_until(self.end) => {}
            () = self.live.stop.cancelled() => {}
        }
    }
}

fn message(event: &Event) -> Message {
    let id = event.position.to_string();
    match Message::default().id(id.as_str()).json_data(event) {
        Ok(message) => message,
        Err(error) => {
            tracing::error!(%error, position = event.position, "an event can't be written as JSON");
            Message::default().id(id).comment("this event can't be shown")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_leaves_room_for_the_others_and_the_hub_has_an_end() {
        let places = Places::default();
        let (alice, bob) = (AccountId::new(), AccountId::new());
        let mut taken: Vec<_> = (0..STREAMS_PER_ACCOUNT_MAX)
            .map(|_| places.take(alice).unwrap())
            .collect();
        assert!(places.take(alice).is_none());
        assert!(places.take(bob).is_some());
        taken.pop();
        assert!(places.take(alice).is_some(), "a stream that ended made room");
        let others = std::iter::repeat_with(|| places.take(AccountId::new()));
        let others: Vec<_> = others.take(STREAMS_MAX).collect();
        assert!(others.iter().any(Option::is_some) && others.last().unwrap().is_none());
        drop((taken, others));
        assert!(places.0.lock().unwrap().is_empty());
    }
}
