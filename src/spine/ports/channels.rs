//! Channels: how the sending job hands a message to a provider, and finds out what became of it.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use contracts::{AttemptId, ConnectionId, EntityId};

use crate::access::{AccessError, Cause, Scope, ScopedTx};

/// The connection that a message goes by.
#[derive(Debug, Clone)]
pub struct Route {
    /// The connection.
    pub connection: ConnectionId,
    /// Its plugin.
    pub plugin: String,
    /// How long the provider's records may lag: absence there proves nothing before.
    pub grace: std::time::Duration,
    /// What the driver knows of it already, so that it need not look again a moment later. Nobody else reads it.
    pub known: Option<Arc<dyn Any + Send + Sync>>,
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
