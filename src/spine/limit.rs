//! Counting per minute, in memory: how often a source may try.
//!
//! Invariant: bounded. A stranger who invents keys makes them share one counter; a new minute begins empty.
//! Begin with [`MinuteLimit::hit`].

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

/// More keys than this in one minute share a counter.
const KEYS_MAX: usize = 10_000;

/// At most so many of something per key and minute.
#[derive(Debug)]
pub struct MinuteLimit {
    max: u32,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    minute: i64,
    counts: HashMap<String, u32>,
}

/// There were too many in this minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many in this minute")]
pub struct TooMany {
    /// Seconds until the next minute begins.
    pub retry_after_s: u64,
}

impl MinuteLimit {
    /// At most `max` per key and minute.
    pub fn new(max: u32) -> Self {
        Self {
            max,
            window: Mutex::default(),
        }
    }

    /// Counts one.
    ///
    /// # Errors
    /// [`TooMany`] when the key had its share.
    pub fn hit(&self, key: &str, now: DateTime<Utc>) -> Result<(), TooMany> {
        self.with(key, now, |count| {
            *count = count.saturating_add(1);
            *count <= self.max
        })
    }

    /// Counts nothing.
    ///
    /// # Errors
    /// [`TooMany`] when the key has had its share already.
    pub fn check(&self, key: &str, now: DateTime<Utc>) -> Result<(), TooMany> {
        self.with(key, now, |count| *count < self.max)
    }

    fn with(
        &self,
        key: &str,
        now: DateTime<Utc>,
        decide: impl FnOnce(&mut u32) -> bool,
    ) -> Result<(), TooMany> {
        let second = now.timestamp();
        let minute = second.div_euclid(60);
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.minute != minute {
            *window = Window {
                minute,
                counts: HashMap::new(),
            };
        }
        let full = window.counts.len() >= KEYS_MAX && !window.counts.contains_key(key);
        let count = window
            .counts
            .entry(if full { String::new() } else { key.to_owned() })
            .or_default();
        if decide(count) {
            return Ok(());
        }
        Err(TooMany {
            retry_after_s: 60 - second.rem_euclid(60).unsigned_abs(),
        })
    }
}

impl From<TooMany> for contracts::Problem {
    fn from(error: TooMany) -> Self {
        let mut problem = Self::new(axum::http::StatusCode::TOO_MANY_REQUESTS, "too many tries");
        problem.retry_after_s = u32::try_from(error.retry_after_s).ok();
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    #[test]
    fn who_tries_too_often_waits_for_the_next_minute() {
        let limit = MinuteLimit::new(2);
        assert_eq!(limit.hit("a", at(0)), Ok(()));
        assert_eq!(limit.hit("a", at(10)), Ok(()));
        assert_eq!(limit.hit("a", at(20)), Err(TooMany { retry_after_s: 40 }));
        assert_eq!(limit.hit("b", at(20)), Ok(()), "another key has its own share");
        assert_eq!(limit.hit("a", at(60)), Ok(()));
    }

    #[test]
    fn looking_counts_nothing() {
        let limit = MinuteLimit::new(1);
        assert_eq!(limit.check("a", at(0)), Ok(()));
        assert_eq!(limit.check("a", at(0)), Ok(()));
        assert_eq!(limit.hit("a", at(0)), Ok(()));
        assert!(limit.check("a", at(1)).is_err());
    }

    #[test]
    fn invented_keys_share_a_counter_once_there_are_too_many() {
        let limit = MinuteLimit::new(1);
        for key in 0..KEYS_MAX {
            assert_eq!(limit.hit(&key.to_string(), at(0)), Ok(()));
        }
        assert_eq!(limit.hit("one more", at(0)), Ok(()));
        assert!(limit.hit("and another", at(0)).is_err());
        assert!(limit.window.lock().unwrap().counts.len() <= KEYS_MAX + 1);
    }
}
