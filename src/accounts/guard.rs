//! What guessing passwords costs: after some tries of a source more are taken slowly, one behind the other.
//!
//! Invariant: a right password opens, however often it was guessed wrong before: whoever shares an address with a
//! guesser waits for some seconds at the most, or not at all where the handle was signed in with from there before.
//! Each source waits in a line of its own, which is short: strangers elsewhere delay nobody, and of those who guess at
//! once from one address all but [`WAITING_MAX`] are sent away unread. Slow tries of all sources together keep one
//! place of the hasher busy, never both.
//! Begin with [`Guard::turn`].

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
pub(crate) const TRIES_PER_SOURCE_MAX: u32 = 60;
/// A slow try holds its source's line for so long before the password is looked at.
const SLOW: Duration = Duration::from_secs(1);
/// Slow tries of one source that wait or are looked at.
pub(crate) const WAITING_MAX: usize = 4;
/// Sources with a line of their own; more share one.
const LINES_MAX: usize = 256;
/// Handles that are remembered with the source from which they were signed in with.
const KNOWN_MAX: usize = 10_000;

/// Counts tries and slows down. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Guard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    per_handle: MinuteLimit,
    per_source: MinuteLimit,
    /// Source and handle of right passwords since the start.
    known: Mutex<HashSet<String>>,
    lines: Mutex<HashMap<String, Line>>,
    /// For the password of a slow try to be looked at.
    look: Arc<Semaphore>,
}

/// Where the slow tries of one source wait.
#[derive(Debug)]
struct Line {
    waiting: Arc<Semaphore>,
    pace: Arc<Semaphore>,
}

impl Default for Guard {
    fn default() -> Self {
        Self(Arc::new(Inner {
            per_handle: MinuteLimit::new(TRIES_PER_HANDLE_MAX),
            per_source: MinuteLimit::new(TRIES_PER_SOURCE_MAX),
            known: Mutex::default(),
            lines: Mutex::default(),
            look: Arc::new(Semaphore::new(1)),
        }))
    }
}

impl Default for Line {
    fn default() -> Self {
        Self {
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            pace: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Line {
    fn is_empty(&self) -> bool {
        self.waiting.available_permits() == WAITING_MAX
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to have one password looked at.
#[derive(Debug)]
pub(crate) struct Turn {
    guard: Guard,
    /// Source and handle.
    key: String,
    slow: Option<TooMany>,
    _places: Option<[OwnedSemaphorePermit; 3]>,
}

impl Guard {
    /// Waits for a turn: not at all, unless this source has tried too often in this minute.
    ///
    /// # Errors
    /// [`TooMany`] when too many of this source wait already.
    pub(crate) async fn turn(&self, context: &Context, peer: Peer, handle: &str) -> Result<Turn, TooMany> {
        // Only handles that could exist make a key of their own.
        let handle = Handle::parse(handle)
            .map(|handle| handle.as_str().to_lowercase())
            .unwrap_or_default();
        let source = peer.limit_key();
        let key = format!("{source} {handle}");
        self.turn_for(context, source, key).await
    }

    /// The same for somebody who signed in and must prove it again.
    pub(crate) async fn turn_of(&self, context: &Context, account: AccountId) -> Result<Turn, TooMany> {
        let key = account.to_string();
        self.turn_for(context, key.clone(), key).await
    }

    /// Counts the try before its outcome is known, so that many at once are no faster than many in a row.
    async fn turn_for(&self, context: &Context, source: String, key: String) -> Result<Turn, TooMany> {
        let (now, inner) = (context.clock.now(), &self.0);
        // What others try from where somebody is at home is none of their failures.
        let known = lock(&inner.known).contains(&key);
        let by_source = inner.per_source.hit(&source, now);
        let by_source = if known { Ok(()) } else { by_source };
        let slow = by_source.and(inner.per_handle.hit(&key, now)).err();
        let places = if slow.is_some() {
            Some(self.wait(source).await?)
        } else {
            None
        };
        Ok(Turn {
            guard: self.clone(),
            key,
            slow,
            _places: places,
        })
    }

    async fn wait(&self, source: String) -> Result<[OwnedSemaphorePermit; 3], TooMany> {
        let busy = TooMany { retry_after_s: 1 };
        let (waiting, pace) = self.enter(source).ok_or(busy)?;
        let pace = pace.acquire_owned().await.map_err(|_| busy)?;
        tokio::time::sleep(SLOW).await;
        let look = self.0.look.clone().acquire_owned().await.map_err(|_| busy)?;
        Ok([waiting, pace, look])
    }

    /// A place in the source's line, and the line's pace. `None`: it is full.
    fn enter(&self, source: String) -> Option<(OwnedSemaphorePermit, Arc<Semaphore>)> {
        let mut lines = lock(&self.0.lines);
        if !lines.contains_key(&source) && lines.len() >= LINES_MAX {
            lines.retain(|_, line| !line.is_empty());
        }
        let full = lines.len() >= LINES_MAX && !lines.contains_key(&source);
        let line = lines
            .entry(if full { String::new() } else { source })
            .or_default();
        let waiting = line.waiting.clone().try_acquire_owned().ok()?;
        Some((waiting, line.pace.clone()))
    }

    /// Counts a set-up link that a stranger of this source got wrong.
    ///
    /// # Errors
    /// [`TooMany`] when it was too often.
    pub(crate) fn failed(&self, context: &Context, peer: Peer) -> Result<(), TooMany> {
        self.0.per_source.hit(&peer.limit_key(), context.clock.now())
    }
}

impl Turn {
    /// The password was right.
    pub(crate) fn succeeded(self) {
        let mut known = lock(&self.guard.0.known);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(self.key);
    }

    /// The password was wrong.
    ///
    /// # Errors
    /// [`TooMany`] when there were too many tries before.
    pub(crate) fn failed(self) -> Result<(), TooMany> {
        self.slow.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_keeps_its_line_as_long_as_somebody_waits_and_strangers_without_number_share_one() {
        let guard = Guard::default();
        let waits = |source: &str| guard.enter(source.to_owned());
        let alices: Vec<_> = (0..WAITING_MAX).map(|_| waits("alice").unwrap()).collect();
        assert!(waits("alice").is_none(), "hers is full");
        let others: Vec<_> = (1..LINES_MAX)
            .map(|n| waits(&format!("stranger {n}")).unwrap())
            .collect();
        let shared: Vec<_> = (0..WAITING_MAX)
            .map(|n| waits(&format!("late {n}")).unwrap())
            .collect();
        assert!(waits("later").is_none(), "the shared one is full, too");
        assert!(waits("stranger 1").is_some(), "who has a line keeps it");
        drop((others, shared));
        assert!(waits("later").is_some());
        assert!(waits("alice").is_none(), "and so does she");
        drop(alices);
        assert!(waits("alice").is_some());
        assert!(lock(&guard.0.lines).len() <= LINES_MAX + 1);
    }
}
