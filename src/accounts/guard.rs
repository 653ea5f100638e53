//! What guessing passwords costs: after some tries more are taken slowly, one behind the other.
//!
//! Invariant: a right password opens, however often it was guessed wrong before: whoever shares an address with a
//! guesser waits for a second or some. Guessing goes on at a pace of [`SLOW_AT_ONCE`] per [`SLOW`], over all sources.
//! Begin with [`Guard::turn`].

use std::sync::Arc;
use std::time::Duration;

use contracts::AccountId;
use spine::Context;
use spine::edge::Peer;
use spine::limit::{MinuteLimit, TooMany};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::Handle;

/// Tries per minute for one handle from one source before it gets slow: a person mistypes a few times.
pub(crate) const TRIES_PER_HANDLE_MAX: u32 = 10;
/// Tries per minute from one source, whatever the handle.
const TRIES_PER_SOURCE_MAX: u32 = 60;
/// A slow try holds its place for so long before the password is looked at.
const SLOW: Duration = Duration::from_secs(1);
/// Slow tries at once.
const SLOW_AT_ONCE: usize = 2;
/// Slow tries that wait or are looked at; more are sent away unread.
const SLOW_WAITING_MAX: usize = 32;

/// Counts tries and slows down. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    per_handle: Arc<MinuteLimit>,
    per_source: Arc<MinuteLimit>,
    waiting: Arc<Semaphore>,
    slow: Arc<Semaphore>,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            per_handle: Arc::new(MinuteLimit::new(TRIES_PER_HANDLE_MAX)),
            per_source: Arc::new(MinuteLimit::new(TRIES_PER_SOURCE_MAX)),
            waiting: Arc::new(Semaphore::new(SLOW_WAITING_MAX)),
            slow: Arc::new(Semaphore::new(SLOW_AT_ONCE)),
        }
    }
}

/// The right to have one password looked at.
#[derive(Debug)]
pub(crate) struct Turn {
    slow: Option<TooMany>,
    _places: Option<[OwnedSemaphorePermit; 2]>,
}

impl Guard {
    /// Waits for a turn: not at all, unless this source has tried too often in this minute.
    ///
    /// # Errors
    /// [`TooMany`] when too many wait already.
    pub(crate) async fn turn(&self, context: &Context, peer: Peer, handle: &str) -> Result<Turn, TooMany> {
        // Only handles that could exist make a key of their own.
        let handle = Handle::parse(handle)
            .map(|handle| handle.as_str().to_lowercase())
            .unwrap_or_default();
        let source = peer.limit_key();
        let key = format!("{source} {handle}");
        self.turn_for(context, &source, &key).await
    }

    /// The same for somebody who signed in and must prove it again.
    pub(crate) async fn turn_of(&self, context: &Context, account: AccountId) -> Result<Turn, TooMany> {
        let key = account.to_string();
        self.turn_for(context, &key, &key).await
    }

    /// Counts the try before its outcome is known, so that many at once are no faster than many in a row.
    async fn turn_for(&self, context: &Context, source: &str, key: &str) -> Result<Turn, TooMany> {
        let now = context.clock.now();
        let (source, handle) = (self.per_source.hit(source, now), self.per_handle.hit(key, now));
        let slow = source.and(handle).err();
        let places = if slow.is_some() {
            Some(self.wait().await?)
        } else {
            None
        };
        Ok(Turn {
            slow,
            _places: places,
        })
    }

    async fn wait(&self) -> Result<[OwnedSemaphorePermit; 2], TooMany> {
        let busy = TooMany { retry_after_s: 1 };
        let waiting = self.waiting.clone().try_acquire_owned().map_err(|_| busy)?;
        let slow = self.slow.clone().acquire_owned().await.map_err(|_| busy)?;
        tokio::time::sleep(SLOW).await;
        Ok([waiting, slow])
    }

    /// Counts a set-up link that a stranger of this source got wrong.
    ///
    /// # Errors
    /// [`TooMany`] when it was too often.
    pub(crate) fn failed(&self, context: &Context, peer: Peer) -> Result<(), TooMany> {
        self.per_source.hit(&peer.limit_key(), context.clock.now())
    }
}

impl Turn {
    /// The password was wrong.
    ///
    /// # Errors
    /// [`TooMany`] when there were too many tries before.
    pub(crate) fn failed(self) -> Result<(), TooMany> {
        self.slow.map_or(Ok(()), Err)
    }
}
