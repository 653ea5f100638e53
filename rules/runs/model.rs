//! Runs as they are kept and shown.

use chrono::{DateTime, Utc};
use contracts::{CorrelationId, EntityId, EventId, JobId, Position, RunId};
use serde::Serialize;
use serde_json::Value;

use crate::engine::host::{Entry, Kind};

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// It was right to run, but a limit, its age or the breaker kept it from acting.
    Skipped,
    /// It came to its end, and its actions are queued.
    Completed,
    /// The script failed: nothing was queued.
    Failed,
    /// The script did something else than its journal says: nothing was queued.
    Parked,
}

impl Status {
    /// The name in the database and in events.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Parked => "parked",
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The `limit` of the rule's header.
    Limit,
    /// The hub's own guard against a rule that runs away.
    Breaker,
}

impl Purpose {
    /// The name in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Breaker => "breaker",
        }
    }
}

/// A step of a run with what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) args: Value,
    pub(crate) value: Value,
    pub(crate) line: u32,
    pub(crate) message: Option<EntityId>,
    pub(crate) job: Option<JobId>,
    pub(crate) at: DateTime<Utc>,
}

impl From<Entry> for Step {
    fn from(entry: Entry) -> Self {
        let Entry {
            kind,
            name,
            args,
            value,
            line,
            at,
        } = entry;
        let (name, args, value) = (storable(name), storable_value(args), storable_value(value));
        Self {
            kind,
            name,
            args,
            value,
            line,
            message: None,
            job: None,
            at,
        }
    }
}

/// A text that the database takes: what comes in from outside may hold the character NUL, which it refuses.
pub(crate) fn storable(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

fn storable_value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(storable(text)),
        Value::Array(items) => items.into_iter().map(storable_value).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (storable(key), storable_value(value)))
            .collect(),
        plain => plain,
    }
}

/// A run.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct RunRow {
    /// The run.
    pub(crate) id: RunId,
    /// The rule's id.
    pub(crate) rule: String,
    /// The version of the rule that ran: the SHA-256 of its text.
    pub(crate) version: String,
    /// The event because of which it ran.
    pub(crate) event: EventId,
    /// The event's place in the log.
    pub(crate) event_position: Position,
    /// Shared by everything that the same occurrence set off.
    pub(crate) correlation: CorrelationId,
    /// `skipped`, `running`, `waiting`, `completed`, `failed`, `parked`.
    pub(crate) status: String,
    /// Why it was skipped, failed or parked.
    pub(crate) reason: Option<String>,
    /// How many actions it queued.
    pub(crate) actions: i32,
    /// When it began.
    pub(crate) started_at: DateTime<Utc>,
    /// When it ended.
    pub(crate) finished_at: Option<DateTime<Utc>>,
}
