//! What connectors take in, before and beside what it means.

use serde::{Deserialize, Serialize};

use super::event;
use crate::{ConnectionId, RawRecordId};

/// A record came from a source and was written down as received.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DataReceived {
    /// The raw record.
    pub raw_record: RawRecordId,
    /// The connection that it came by.
    pub connection: Option<ConnectionId>,
    /// The source, such as `twilio/0190…` or `owntracks/0190…`.
    pub source: String,
    /// The stream within the source, such as `calls`.
    pub stream: String,
}
event!(DataReceived, "connector.DataReceived");

/// A record could not be understood; it is kept, with its reason, and can be retried.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordParked {
    /// The raw record.
    pub raw_record: RawRecordId,
    /// The source that it came from.
    pub source: String,
    /// Why, in a sentence.
    pub reason: String,
}
event!(RecordParked, "connector.RecordParked");

/// A connection's health changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConnectionHealthChanged {
    /// The connection.
    pub connection: ConnectionId,
    /// `active`, `retrying`, `needs-reauthorisation`, `failed`, `paused`.
    pub health: String,
    /// Why, in a sentence.
    pub reason: String,
}
event!(ConnectionHealthChanged, "connector.ConnectionHealthChanged");

/// A connection was made by the owner.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConnectionCreated {
    /// The connection.
    pub connection: ConnectionId,
    /// Its plugin.
    pub plugin: String,
}
event!(ConnectionCreated, "connector.ConnectionCreated");

/// A connection was removed by the owner, with its secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConnectionRemoved {
    /// The connection.
    pub connection: ConnectionId,
    /// Its plugin.
    pub plugin: String,
}
event!(ConnectionRemoved, "connector.ConnectionRemoved");
