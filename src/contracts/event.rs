//! The envelope of an event, outwardly CloudEvents 1.0: what happened, to whom, when, and because of what.
//!
//! Invariant: an event is a fact about the past and never changes. Its body is apart from it and may be erased;
//! readers then see `body: None`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{AccountId, CorrelationId, EventId};

/// A place in the event log: 1, 2, 3 … without gaps.
pub type Position = i64;

/// A payload type of an event. Each has a name and a version that never change.
pub trait EventPayload: Serialize + DeserializeOwned + Send + Sync {
    /// `domain.PastTense`, such as `communication.CallStarted`.
    const TYPE: &'static str;
    /// The version of the shape; readers choose by it.
    const VERSION: i16 = 1;
}

/// Live events are what happens now; backfill is history that an import brings. Each has its own positions of
/// consumers and jobs, so that a first import never stands before a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// What happens now.
    #[default]
    Live,
    /// History that an import brings.
    Backfill,
}

impl Lane {
    /// Both lanes.
    pub const ALL: [Self; 2] = [Self::Live, Self::Backfill];

    /// The name in the database: `live` or `backfill`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Backfill => "backfill",
        }
    }

    /// The lane of this name; anything unknown is backfill, which disturbs nobody.
    pub fn from_name(name: &str) -> Self {
        if name == "live" {
            Self::Live
        } else {
            Self::Backfill
        }
    }
}

/// An event as the log holds it.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Event {
    /// Its place in the log.
    pub position: Position,
    /// Its id, also the idempotency key of what is done because of it.
    pub id: EventId,
    /// `domain.PastTense`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The version of the body's shape.
    pub version: i16,
    /// Whose it is; [`AccountId::INSTANCE`] if it concerns no single account.
    pub account: AccountId,
    /// Live or backfill.
    pub lane: Lane,
    /// What it is about, such as an entity's id.
    pub subject: Option<String>,
    /// The subject's version after it; projections ignore older ones.
    pub subject_version: Option<i64>,
    /// Who did it: `user`, `token:…`, `connector:twilio/…`, `rule:partner-at-work`, `operator`, `system`.
    pub actor: String,
    /// When it happened in the world.
    pub occurred_at: DateTime<Utc>,
    /// When this hub wrote it down.
    pub recorded_at: DateTime<Utc>,
    /// Shared by everything that one occurrence set off.
    pub correlation: CorrelationId,
    /// The event because of which this one was written.
    pub causation: Option<EventId>,
    /// Length of the chain of causes; capped, so that two rules can't feed each other for ever.
    pub depth: i16,
    /// The payload; `None` once it was erased.
    pub body: Option<Value>,
}

impl Event {
    /// The body as `P`, if this is an event of that type and version and was not erased.
    pub fn payload<P: EventPayload>(&self) -> Option<Result<P, serde_json::Error>> {
        if self.kind != P::TYPE || self.version != P::VERSION {
            return None;
        }
        self.body.as_ref().map(P::deserialize)
    }
}

/// An event that is about to be published.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its id; made by the publisher, so that what it writes beside can name it.
    pub id: EventId,
    /// See [`Event::kind`].
    pub kind: &'static str,
    /// See [`Event::version`].
    pub version: i16,
    /// See [`Event::subject`].
    pub subject: Option<String>,
    /// See [`Event::subject_version`].
    pub subject_version: Option<i64>,
    /// When it happened in the world; `None`: now.
    pub occurred_at: Option<DateTime<Utc>>,
    /// `None`: the lane of the transaction.
    pub lane: Option<Lane>,
    /// The payload.
    pub body: Value,
}

impl NewEvent {
    /// An event with this payload, happening now, about nothing in particular.
    ///
    /// # Errors
    /// When the payload can't be written as JSON (a map with keys that are not strings).
    pub fn of<P: EventPayload>(payload: &P) -> Result<Self, serde_json::Error> {
        Ok(Self {
            id: EventId::new(),
            kind: P::TYPE,
            version: P::VERSION,
            subject: None,
            subject_version: None,
            occurred_at: None,
            lane: None,
            body: serde_json::to_value(payload)?,
        })
    }

    /// Says what the event is about.
    #[must_use]
    pub fn about(mut self, subject: impl ToString) -> Self {
        self.subject = Some(subject.to_string());
        self
    }

    /// Says what the event is about, and its version after it.
    #[must_use]
    pub fn about_version(mut self, subject: impl ToString, version: i64) -> Self {
        self.subject = Some(subject.to_string());
        self.subject_version = Some(version);
        self
    }

    /// Says when it happened in the world.
    #[must_use]
    pub fn occurred(mut self, at: DateTime<Utc>) -> Self {
        self.occurred_at = Some(at);
        self
    }
}
