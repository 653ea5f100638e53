//! The graph: what a change of it is, and how it is read. Begin with [`Change`].

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use contracts::events::communication::Party;
use contracts::{EntityId, RawRecordId, RelationId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::RawRecord;
use crate::access::{AccessError, ScopedTx};

/// Who asserts something; decides which claim wins when they differ: user over connector over rule over agent over
/// peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, PartialOrd, Ord, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AssertedBy {
    /// Another server of the federation.
    Peer,
    /// A program that acts for the owner.
    Agent,
    /// A rule of the owner.
    Rule,
    /// A connector.
    Connector,
    /// The owner.
    User,
}

/// An address or id by which somebody or something is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Identifier {
    /// `tel`, `email`, `twilio.call` … The graph normalises what it knows how to (tel: E.164).
    pub scheme: String,
    /// The value within the scheme.
    pub value: String,
}

impl Identifier {
    /// An identifier.
    pub fn new(scheme: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            scheme: scheme.into(),
            value: value.into(),
        }
    }
}

/// Which entity a change is about.
#[derive(Debug, Clone)]
pub enum Target {
    /// This one; it must be there.
    Existing(EntityId),
    /// A new one with this id (made by the caller, so that what it writes beside can name it).
    New(EntityId),
    /// The one of that type that bears any of the change's identifiers; a new one if none does.
    Identified,
    /// The one that the change's record is about, found as by [`Target::Identified`]. The record is all that its source
    /// says of it: properties and identifiers that the source gave before and doesn't give now are taken back.
    Record,
}

/// A change of one entity.
#[derive(Debug, Clone)]
pub struct EntityChange {
    /// Which.
    pub target: Target,
    /// Its type, such as `Person`, `Place`, `Call`, `Message`, `Device`, `Reading`.
    pub kind: String,
    /// Its title, for people.
    pub title: Option<String>,
    /// The properties that the source asserts. A null takes the source's assertion back.
    pub props: Map<String, Value>,
    /// Addresses and ids by which it is known.
    pub identifiers: Vec<Identifier>,
    /// When it happened or began, for what has a time.
    pub starts_at: Option<DateTime<Utc>>,
}

/// The near end of a relation.
#[derive(Debug, Clone)]
pub struct RelationChange {
    /// From which entity.
    pub from: EntityId,
    /// What the second is to the first, such as `partner`.
    pub predicate: String,
    /// To which entity.
    pub to: EntityId,
}

/// A change of the graph: everything that one record, request or action means.
#[derive(Debug, Clone)]
pub struct Change {
    /// Who asserts it.
    pub by: AssertedBy,
    /// The source, such as `user`, `twilio/<connection>`, `rule/partner-at-work`.
    pub source: String,
    /// What it was made from.
    pub raw: Option<RawRecord>,
    /// Entities, in order.
    pub entities: Vec<EntityChange>,
    /// Relations between existing entities.
    pub relations: Vec<RelationChange>,
}

/// What a change did to one entity.
#[derive(Debug, Clone, Serialize)]
pub struct AppliedEntity {
    /// The entity.
    pub id: EntityId,
    /// Its version now.
    pub version: i64,
    /// True if it came into the graph by this change.
    pub created: bool,
}

/// What a change did.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    /// The raw record, if the change had one.
    pub raw: Option<RawRecordId>,
    /// True if this revision of the raw record was taken in before: nothing was changed.
    pub duplicate: bool,
    /// In the order of the change's entities.
    pub entities: Vec<AppliedEntity>,
    /// In the same order, to which entity each word was written: itself, where it was merged into the one that shows it.
    /// A source's relations are said of these.
    pub written_to: Vec<EntityId>,
    /// In the order of the change's relations, without those of a source about what is deleted.
    pub relations: Vec<RelationId>,
    /// Relations of a source that would have closed a ring (`part-of`, `depends-on`): they are left out. The owner's,
    /// a rule's or an agent's are refused.
    pub rings: Vec<RelationChange>,
}

/// Why the graph refused.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// The database is away.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The change is wrong: what, and what would be right.
    #[error("{0}")]
    Invalid(String),
    /// The entity is not there.
    #[error("there is no entity {0}")]
    NotFound(EntityId),
}

impl From<sqlx::Error> for GraphError {
    fn from(error: sqlx::Error) -> Self {
        Self::Access(AccessError::Database(error))
    }
}

/// Writes the graph, in the caller's transaction.
#[async_trait]
pub trait GraphWrite: Send + Sync {
    /// Applies the change: raw record, entities, claims, identifiers, relations, and the `data.*` events.
    async fn apply(&self, tx: &mut ScopedTx, change: Change) -> Result<Applied, GraphError>;

    /// Takes a source's word back that one thing is something to another; as the owner's, says that it isn't, whoever
    /// said it was, and no later import brings it back. History keeps from when until when it held. False: nothing
    /// held, as always in a graph that keeps no relations.
    async fn unrelate(
        &self,
        _tx: &mut ScopedTx,
        _by: AssertedBy,
        _source: &str,
        _edge: &RelationChange,
    ) -> Result<bool, GraphError> {
        Ok(false)
    }

    /// As [`GraphWrite::apply`], if the change is of one entity and record, entity and identifiers are all new. `None`:
    /// something of it is there already, and nothing was written; or the graph can't tell so shortly.
    async fn apply_new(&self, _tx: &mut ScopedTx, _change: &Change) -> Result<Option<Applied>, GraphError> {
        Ok(None)
    }

    /// As [`Self::apply`], but some fields hold only until what the other sources say changes: for what follows from
    /// their word, such as the next occurrence of a calendar's series.
    async fn apply_until(
        &self,
        tx: &mut ScopedTx,
        change: Change,
        until: &[Until],
    ) -> Result<Applied, GraphError> {
        // Where one source speaks alone, nothing of others can change.
        let _ = until;
        self.apply(tx, change).await
    }

    /// Keeps a record that can't be understood, with its reason, and publishes `connector.RecordParked`.
    async fn park(
        &self,
        tx: &mut ScopedTx,
        source: &str,
        raw: RawRecord,
        reason: &str,
    ) -> Result<RawRecordId, GraphError>;
}

/// How long a field of a change holds against sources that weigh less: until any of the watched fields isn't what these
/// said when the change was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Until {
    /// A property, or `starts_at`.
    pub field: &'static str,
    /// Properties, or `starts_at`.
    pub watched: &'static [&'static str],
}

/// An entity as the graph folds it.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Entity {
    /// Its id.
    pub id: EntityId,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its title.
    pub title: Option<String>,
    /// The fold of what is asserted of it.
    pub props: Map<String, Value>,
    /// Counts its changes.
    pub version: i64,
    /// When it happened or began.
    pub starts_at: Option<DateTime<Utc>>,
    /// When it came into the graph.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// A relation as seen from one of its ends.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Relation {
    /// Its id.
    pub id: RelationId,
    /// From which entity.
    pub from: EntityId,
    /// What the second is to the first.
    pub predicate: String,
    /// To which entity.
    pub to: EntityId,
}

/// An Event of a calendar: one, or a series of them.
#[derive(Debug, Clone)]
pub struct CalendarEvent {
    /// The Event. Of a series its first one, with `recurrence` or `recurrence_dates`.
    pub event: Entity,
    /// Occurrences of the series that are Events of their own, as their `recurrence_id` says.
    pub replaced: Vec<String>,
}

/// Reads the graph, in the caller's transaction.
#[async_trait]
pub trait GraphRead: Send + Sync {
    /// The entity, unless it is deleted.
    async fn entity(&self, tx: &mut ScopedTx, id: EntityId) -> Result<Option<Entity>, GraphError>;

    /// The entity of a type that bears this identifier. The value is normalised first; what can't be is borne by none.
    async fn entity_by_identifier(
        &self,
        tx: &mut ScopedTx,
        kind: &str,
        identifier: &Identifier,
    ) -> Result<Option<Entity>, GraphError>;

    /// All entities of a type, oldest first: for types of which an account has few, such as Place and Device.
    async fn entities(&self, tx: &mut ScopedTx, kind: &str) -> Result<Vec<Entity>, GraphError>;

    /// Events that begin from one moment until before another, the soonest 1,000; of those that began in the year before
    /// and may not be over then, the latest 200; and the newest 1,000 series that began before the end. None in a graph that keeps no calendar.
    async fn calendar(
        &self,
        _tx: &mut ScopedTx,
        _since: DateTime<Utc>,
        _until: DateTime<Utc>,
    ) -> Result<Vec<CalendarEvent>, GraphError> {
        Ok(Vec::new())
    }

    /// The addresses and ids of an entity.
    async fn identifiers(&self, tx: &mut ScopedTx, id: EntityId) -> Result<Vec<Identifier>, GraphError>;

    /// Who is behind an address, with what they are to the owner. Somebody unknown is a party with an address alone.
    async fn party(&self, tx: &mut ScopedTx, identifier: &Identifier) -> Result<Party, GraphError>;

    /// As [`GraphRead::party`], for several addresses at once, in their order.
    async fn parties(&self, tx: &mut ScopedTx, identifiers: &[Identifier]) -> Result<Vec<Party>, GraphError> {
        let mut parties = Vec::with_capacity(identifiers.len());
        for identifier in identifiers {
            parties.push(self.party(tx, identifier).await?);
        }
        Ok(parties)
    }

    /// The owner's own Person.
    async fn me(&self, tx: &mut ScopedTx) -> Result<EntityId, GraphError>;
}
