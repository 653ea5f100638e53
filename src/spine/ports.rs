//! Ports: synchronous questions between services, and the graph write. Wired in the hub, so that nobody imports a
//! sibling. Sending anything is a job, never a port: [`ChannelDriver`] is asked by the sending job alone.
//!
//! Invariant: traits and plain data only.
//! Begin with [`GraphWrite`].

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use contracts::events::communication::Party;
use contracts::{AccountId, AttemptId, ConnectionId, EntityId, Position, RawRecordId, RelationId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::access::{AccessError, Cause, Scope, ScopedTx};

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

/// What came from a source, as received, before it meant anything.
#[derive(Debug, Clone)]
pub struct RawRecord {
    /// The connection that it came by, if by one.
    pub connection: Option<ConnectionId>,
    /// The stream within the source, such as `calls`.
    pub stream: String,
    /// The source's own id of the thing.
    pub remote_id: String,
    /// Distinguishes revisions of the same thing, such as an etag or a status; empty when there is but one.
    pub revision: String,
    /// The media type of the body.
    pub media_type: String,
    /// The bytes as received. Stored sealed.
    pub body: Vec<u8>,
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
    /// In the order of the change's relations.
    pub relations: Vec<RelationId>,
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

    /// Keeps a record that can't be understood, with its reason, and publishes `connector.RecordParked`.
    async fn park(
        &self,
        tx: &mut ScopedTx,
        source: &str,
        raw: RawRecord,
        reason: &str,
    ) -> Result<RawRecordId, GraphError>;
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

    /// Entities of a type, oldest first, at most 1,000.
    async fn entities(&self, tx: &mut ScopedTx, kind: &str) -> Result<Vec<Entity>, GraphError>;

    /// The addresses and ids of an entity.
    async fn identifiers(&self, tx: &mut ScopedTx, id: EntityId) -> Result<Vec<Identifier>, GraphError>;

    /// Who is behind an address, with what they are to the owner. Somebody unknown is a party with an address alone.
    async fn party(&self, tx: &mut ScopedTx, identifier: &Identifier) -> Result<Party, GraphError>;

    /// The owner's own Person.
    async fn me(&self, tx: &mut ScopedTx) -> Result<EntityId, GraphError>;
}

/// A raw record that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRecord {
    /// The record.
    pub id: RawRecordId,
    /// The connection that it came by, if by one.
    pub connection: Option<ConnectionId>,
    /// The source that it came from.
    pub source: String,
    /// The stream within the source.
    pub stream: String,
    /// Why it was parked.
    pub reason: String,
    /// How often it was tried.
    pub tries: i32,
    /// When it came.
    pub received_at: DateTime<Utc>,
}

/// A raw record as received, opened.
#[derive(Debug, Clone)]
pub struct KeptRecord {
    /// The source that it came from.
    pub source: String,
    /// Why it is parked; `None`: it was processed.
    pub parked: Option<String>,
    /// The record. Given to [`GraphWrite::apply`] again, a parked one becomes processed.
    pub record: RawRecord,
}

/// Reads raw records, so that the service that maps them can try a parked one again.
#[async_trait]
pub trait RawRecords: Send + Sync {
    /// The account's parked records, oldest first, at most 500.
    async fn parked(&self, tx: &mut ScopedTx) -> Result<Vec<ParkedRecord>, GraphError>;

    /// A record with its bytes; `None`: it isn't there.
    async fn record(&self, tx: &mut ScopedTx, id: RawRecordId) -> Result<Option<KeptRecord>, GraphError>;
}

/// A fact about the present (or about what was the present at a position of the log).
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Fact {
    /// Such as `me.place`.
    pub key: String,
    /// Such as `"Work"`.
    pub value: Value,
    /// Since when it holds, in the world.
    pub since: DateTime<Utc>,
    /// What told it.
    pub source: String,
    /// 0 to 1.
    pub confidence: f64,
    /// From which position of the log on it holds.
    pub position: Position,
}

/// Reads the present state.
#[async_trait]
pub trait StateRead: Send + Sync {
    /// The fact as of a position of the log; `None`: nothing is known.
    async fn fact(&self, tx: &mut ScopedTx, key: &str, as_of: Position) -> Result<Option<Fact>, AccessError>;
}

/// The connection that a message goes by.
#[derive(Debug, Clone)]
pub struct Route {
    /// The connection.
    pub connection: ConnectionId,
    /// Its plugin.
    pub plugin: String,
    /// How long the provider's records may lag: absence there proves nothing before.
    pub grace: std::time::Duration,
}

/// A message on its way out.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The Message entity.
    pub message: EntityId,
    /// This attempt; it travels in the address of the provider's callback.
    pub attempt: AttemptId,
    /// The recipient's address, normalised.
    pub to: String,
    /// The text.
    pub text: String,
}

/// What became of a request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// The provider has it.
    Accepted {
        /// The provider's id of it.
        remote_id: String,
        /// The status in the provider's word.
        status: String,
    },
    /// The provider (or our own limits) certainly did not take it.
    Refused {
        /// Why; holds no address and no text.
        reason: String,
        /// True if trying again as it is can't help.
        permanent: bool,
        /// When the provider says that trying again makes sense.
        retry_after: Option<std::time::Duration>,
    },
    /// It may or may not have it.
    Unknown {
        /// Why we don't know.
        reason: String,
    },
}

/// A message in the provider's own records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The provider's id of it.
    pub remote_id: String,
    /// When the provider made it.
    pub created_at: DateTime<Utc>,
    /// The status in the provider's word.
    pub status: String,
}

/// Why a channel could not be used at all.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The database is away.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// There is no connection that serves this channel, or it is paused; says what to do.
    #[error("{0}")]
    Configuration(String),
    /// The provider can't be asked now.
    #[error("{0}")]
    Transient(String),
    /// The pack misbehaved.
    #[error("{0}")]
    Bug(String),
}

/// Hands messages to providers; implemented by the plugin manager, asked by the sending job alone.
#[async_trait]
pub trait ChannelDriver: Send + Sync {
    /// The connection that serves a channel (`sms`, `log` …): the one asked for, else the account's oldest active one.
    async fn route(
        &self,
        tx: &mut ScopedTx,
        channel: &str,
        connection: Option<ConnectionId>,
    ) -> Result<Route, ChannelError>;

    /// Hands the message over. At most one request to send leaves the hub.
    async fn send(
        &self,
        scope: &Scope,
        route: &Route,
        message: &Outgoing,
    ) -> Result<SendOutcome, ChannelError>;

    /// Messages in the provider's records with the same recipient and text, created after a moment.
    async fn find(
        &self,
        scope: &Scope,
        route: &Route,
        message: &Outgoing,
        after: DateTime<Utc>,
    ) -> Result<Vec<Found>, ChannelError>;
}

/// Knows the attempts to send.
#[async_trait]
pub trait SentMessages: Send + Sync {
    /// Because of what a provider speaks of a message of ours, so that its word joins the chain of events that led to
    /// the message. By the attempt where the callback's address told it, else by the provider's id. `None`: it is of
    /// no attempt that this hub made.
    async fn cause(
        &self,
        tx: &mut ScopedTx,
        message: EntityId,
        attempt: Option<AttemptId>,
        remote_id: &str,
    ) -> Result<Option<Cause>, AccessError>;
}

/// Tells whom a name means and in which zone an account lives.
#[async_trait]
pub trait AccountDirectory: Send + Sync {
    /// The account with this handle or id.
    async fn account_by_name(&self, handle_or_id: &str) -> Result<Option<AccountId>, AccessError>;

    /// Whom the operator means by naming nobody: the hub's owner, else the only account.
    async fn account_by_default(&self) -> Result<Option<AccountId>, AccessError>;

    /// The account's time zone, by IANA name; UTC for who has none.
    async fn zone(&self, tx: &mut ScopedTx) -> Result<chrono_tz::Tz, AccessError>;
}

/// The wired ports. Services provide theirs while they are built and ask others' once everything runs.
#[derive(Clone, Default)]
pub struct Ports {
    inner: Arc<Slots>,
}

#[derive(Default)]
struct Slots {
    graph_write: OnceLock<Arc<dyn GraphWrite>>,
    graph_read: OnceLock<Arc<dyn GraphRead>>,
    raw_records: OnceLock<Arc<dyn RawRecords>>,
    state_read: OnceLock<Arc<dyn StateRead>>,
    channel_driver: OnceLock<Arc<dyn ChannelDriver>>,
    sent_messages: OnceLock<Arc<dyn SentMessages>>,
    account_directory: OnceLock<Arc<dyn AccountDirectory>>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").field("missing", &self.missing()).finish()
    }
}

macro_rules! ports {
    ($($name:ident, $provide:ident: $port:ident;)+) => {
        impl Ports {
            $(
                #[doc = concat!("The wired [`", stringify!($port), "`].")]
                ///
                /// The hub refuses to start while [`Ports::missing`] names one, so a running service always finds it.
                pub fn $name(&self) -> &dyn $port {
                    match self.inner.$name.get() {
                        Some(port) => port.as_ref(),
                        None => unreachable!(concat!("the hub starts with ", stringify!($name), " wired")),
                    }
                }

                #[doc = concat!("Wires the [`", stringify!($port), "`]. The first one stays.")]
                pub fn $provide(&self, port: Arc<dyn $port>) {
                    let _ = self.inner.$name.set(port);
                }
            )+

            /// Ports that nobody provided.
            pub fn missing(&self) -> Vec<&'static str> {
                let mut missing = Vec::new();
                $(if self.inner.$name.get().is_none() { missing.push(stringify!($name)); })+
                missing
            }
        }
    };
}

ports! {
    graph_write, provide_graph_write: GraphWrite;
    graph_read, provide_graph_read: GraphRead;
    raw_records, provide_raw_records: RawRecords;
    state_read, provide_state_read: StateRead;
    channel_driver, provide_channel_driver: ChannelDriver;
    sent_messages, provide_sent_messages: SentMessages;
    account_directory, provide_account_directory: AccountDirectory;
}
