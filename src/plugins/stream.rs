//! A stream's checkpoint and what follows from it: which reading comes next, when, and how far one is.
//!
//! Pure. Invariant: a reading that was interrupted goes on; only its end decides what comes next. Begin with
//! [`Stream::after`].

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use contracts::{ConnectionId, Lane};
use serde_json::Value;
use spine::ports::{Mode, SyncError};
use uuid::Uuid;

use crate::manifest::StreamSpec;
use crate::model::Health;

/// A job that reads is queued; should it get lost, the timekeeper queues another after this.
pub(crate) const LEASE: TimeDelta = TimeDelta::minutes(10);

/// Which stream of a connection, or which part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) connection: ConnectionId,
    pub(crate) stream: String,
    pub(crate) part: String,
}

/// How a stream stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stream {
    pub(crate) id: Uuid,
    pub(crate) name: Name,
    pub(crate) mode: Mode,
    pub(crate) cursor: Option<Value>,
    /// Counts the commits of pages.
    pub(crate) page: i64,
    pub(crate) under_way: bool,
    pub(crate) done: i64,
    pub(crate) busy_ms: i64,
    pub(crate) estimate: Option<i64>,
    pub(crate) taken: i64,
    pub(crate) known: i64,
    pub(crate) parked: i64,
    pub(crate) read_at: Option<DateTime<Utc>>,
    pub(crate) whole_at: Option<DateTime<Utc>>,
    /// `None`: not by itself.
    pub(crate) next_at: Option<DateTime<Utc>>,
    pub(crate) failures: i32,
    pub(crate) class: Option<Class>,
    pub(crate) reason: String,
    /// By which pack and settings all of it was read ([`crate::registry::Pack::read_by`]).
    pub(crate) read_by: String,
}

/// Whose fault an error is, and so who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The owner's to change: a setting, a secret.
    Configuration,
    /// The network's or the provider's, and perhaps only now.
    Transient,
    /// The pack's or the hub's.
    Bug,
}

impl Class {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Transient => "transient",
            Self::Bug => "bug",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Configuration, Self::Transient, Self::Bug]
            .into_iter()
            .find(|class| class.as_str() == name)
    }

    /// Of an error, with the health that the connection has by it. `None`: the database is away, which says nothing.
    pub(crate) fn of(error: &SyncError) -> Option<(Self, Health)> {
        Some(match error {
            SyncError::Access(_) => return None,
            SyncError::Refused(_) => (Self::Configuration, Health::NeedsReauthorisation),
            SyncError::Configuration(_) => (Self::Configuration, Health::Failed),
            SyncError::Transient { .. } => (Self::Transient, Health::Retrying),
            SyncError::CursorLost(_) | SyncError::Bug(_) => (Self::Bug, Health::Failed),
        })
    }

    /// How long to wait after so many failures in a row; `None`: for the owner. `chance` in 0..1 spreads it.
    pub(crate) fn delay(self, failures: i32, chance: f64) -> Option<Duration> {
        let (first, longest) = match self {
            Self::Configuration => return None,
            Self::Transient => (30, 3600),
            Self::Bug => (300, 86_400),
        };
        let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(0).min(16);
        let whole = Duration::from_secs(first << doublings).min(Duration::from_secs(longest));
        Some(whole.mul_f64(0.75 + chance / 4.0))
    }
}

/// What a page did, for the checkpoint.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Did {
    pub(crate) records: i64,
    pub(crate) taken: i64,
    pub(crate) known: i64,
    pub(crate) parked: i64,
    pub(crate) busy_ms: i64,
    pub(crate) cursor: Option<Value>,
    pub(crate) more: bool,
    pub(crate) estimate: Option<i64>,
    pub(crate) wait: Option<Duration>,
}

impl Stream {
    /// One that was never read.
    pub(crate) fn new(name: Name, now: DateTime<Utc>) -> Self {
        Self {
            id: Uuid::now_v7(),
            name,
            mode: Mode::Full,
            cursor: None,
            page: 0,
            under_way: false,
            done: 0,
            busy_ms: 0,
            estimate: None,
            taken: 0,
            known: 0,
            parked: 0,
            read_at: None,
            whole_at: None,
            next_at: Some(now),
            failures: 0,
            class: None,
            reason: String::new(),
            read_by: String::new(),
        }
    }

    /// As the reading that begins now has it: once in a while all is read again, and when what couldn't be understood may
    /// be now, since pack or settings changed.
    pub(crate) fn begun(mut self, spec: &StreamSpec, read_by: &str, now: DateTime<Utc>) -> Self {
        let is_due = |every: Duration| {
            let every = TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX);
            self.whole_at.is_some_and(|at| now - at >= every)
        };
        if !self.under_way && self.mode == Mode::Incremental && spec.reconcile_every.is_some_and(is_due) {
            (self.mode, self.cursor) = (Mode::Reconcile, None);
        }
        if !self.under_way && self.parked > 0 && self.read_by != read_by {
            (self.mode, self.cursor) = (Mode::Full, None);
        }
        if self.cursor.is_none() {
            read_by.clone_into(&mut self.read_by);
        }
        if !self.under_way {
            (self.done, self.busy_ms, self.estimate) = (0, 0, None);
        }
        self
    }

    /// In which lane its records are told: what a first reading brings is history, and so is what is read again.
    pub(crate) fn lane(&self, spec: &StreamSpec) -> Lane {
        let is_again = self.mode == Mode::Full && spec.modes.contains(&Mode::Incremental);
        if self.whole_at.is_none() || self.mode == Mode::Reconcile || is_again {
            Lane::Backfill
        } else {
            spec.lane
        }
    }

    /// The stream after a page.
    pub(crate) fn after(&self, spec: &StreamSpec, did: &Did, now: DateTime<Utc>) -> Self {
        let mut after = self.clone();
        after.page += 1;
        after.done += did.records;
        after.busy_ms += did.busy_ms;
        after.taken += did.taken;
        after.known += did.known;
        after.parked += did.parked;
        after.estimate = did.estimate.or(self.estimate).map(|all| all.max(after.done));
        (after.failures, after.class, after.reason) = (0, None, String::new());
        after.under_way = did.more;
        after.cursor = did.cursor.clone().or_else(|| self.cursor.clone());
        let wait = did.wait.and_then(|wait| TimeDelta::from_std(wait).ok());
        if did.more {
            after.next_at = Some(now + wait.unwrap_or_default().max(LEASE));
            return after;
        }
        after.read_at = Some(now);
        if self.mode != Mode::Incremental {
            after.whole_at = Some(now);
        }
        after.mode = if spec.modes.contains(&Mode::Incremental) && after.cursor.is_some() {
            Mode::Incremental
        } else {
            after.cursor = None;
            Mode::Full
        };
        let every = spec.every.and_then(|every| TimeDelta::from_std(every).ok());
        after.next_at = every.map(|every| now + every.max(wait.unwrap_or_default()));
        after
    }

    /// The stream after no page came.
    pub(crate) fn failed(&self, error: &SyncError, class: Class, now: DateTime<Utc>, chance: f64) -> Self {
        let mut after = self.clone();
        after.failures = after.failures.saturating_add(1);
        (after.class, after.reason) = (Some(class), error.to_string());
        let said = match error {
            SyncError::Transient { retry_after, .. } => *retry_after,
            _ => None,
        };
        let wait = class
            .delay(after.failures, chance)
            .map(|delay| said.unwrap_or(delay));
        after.next_at = wait.and_then(|wait| Some(now + TimeDelta::from_std(wait).ok()?));
        after
    }

    /// Read from its beginning, since the source doesn't know the place any more.
    pub(crate) fn anew(&self) -> Self {
        Self {
            mode: Mode::Full,
            cursor: None,
            under_way: false,
            page: self.page + 1,
            ..self.clone()
        }
    }

    /// Seconds until the reading is at its end, at the pace so far.
    pub(crate) fn remaining_s(&self) -> Option<i64> {
        let left = self.estimate? - self.done;
        let is_known = self.under_way && self.done > 0 && self.busy_ms > 0;
        is_known.then(|| left.max(0).saturating_mul(self.busy_ms) / self.done / 1000)
    }

    /// How far the reading is, in words: `12,400 of about 58,000, 6 min left`. None if none is under way.
    pub(crate) fn progress(&self) -> Option<String> {
        if !self.under_way {
            return None;
        }
        let mut text = grouped(self.done);
        if let Some(all) = self.estimate {
            text += &format!(" of about {}", grouped(all));
        }
        if let Some(left) = self.remaining_s() {
            text += &match left {
                0..60 => format!(", {left} s left"),
                60..7200 => format!(", {} min left", (left + 30) / 60),
                _ => format!(", {} h left", (left + 1800) / 3600),
            };
        }
        Some(text)
    }
}

/// With commas: 12,400.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
