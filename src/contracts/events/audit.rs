//! The audit: who did what, in the same sealed log as everything else.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event;
use crate::ConnectionId;

/// Somebody wrote, acted or read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccessRecorded {
    /// `read`, `write` or `act`.
    pub action: String,
    /// What on: a noun and an id, such as `rule/partner-at-work`, or a query.
    pub on: String,
    /// How many things were read, for reads.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub count: Option<u64>,
}
event!(AccessRecorded, "audit.AccessRecorded");

/// Webhooks with a wrong or missing signature were refused: one entry per connection, source and minute.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WebhooksRefused {
    /// The connection that they were addressed to.
    pub connection: ConnectionId,
    /// The peer's address as the hub's socket saw it.
    pub source: String,
    /// The minute in which they came.
    pub minute: DateTime<Utc>,
    /// How many came in that minute.
    pub count: u64,
}
event!(WebhooksRefused, "audit.WebhooksRefused");

/// Sign-ins with a wrong token or password were refused: one entry per source and minute.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignInsRefused {
    /// The peer's address as the hub's socket saw it.
    pub source: String,
    /// The minute in which they came.
    pub minute: DateTime<Utc>,
    /// How many came in that minute.
    pub count: u64,
}
event!(SignInsRefused, "audit.SignInsRefused");
