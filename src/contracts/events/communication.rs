//! Calls and messages, as they happen. Hydrated by the publisher with who it is, so that a rule reads naturally.

use serde::{Deserialize, Serialize};

use super::event;
use crate::{AttemptId, ConnectionId, EntityId};

/// A side of a call or message, as the graph knew it at that moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The person or organization; `None` if the graph knows nobody by this address.
    pub id: Option<EntityId>,
    /// Their name in the graph.
    pub name: Option<String>,
    /// The normalised address: E.164 for phones.
    pub address: String,
    /// What they are to the owner: `partner`, `colleague` …
    pub relations: Vec<String>,
}

/// Somebody calls, or the owner calls somebody.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CallStarted {
    /// The Call in the graph.
    pub call: EntityId,
    /// The connection by which we know.
    pub connection: ConnectionId,
    /// `in` or `out`.
    pub direction: String,
    /// Who calls.
    pub from: Party,
    /// Who is called.
    pub to: Party,
    /// Whether it was picked up already.
    pub answered: bool,
}
event!(CallStarted, "communication.CallStarted");

/// A call's status changed: ringing, in-progress, completed, busy, no-answer, failed, canceled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CallStatusChanged {
    /// The Call in the graph.
    pub call: EntityId,
    /// Its new status.
    pub status: String,
    /// Its length so far, in seconds, if the provider says.
    pub duration_s: Option<i64>,
}
event!(CallStatusChanged, "communication.CallStatusChanged");

/// A message arrived.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MessageReceived {
    /// The Message in the graph.
    pub message: EntityId,
    /// The connection by which it came.
    pub connection: ConnectionId,
    /// `sms`, `email` …
    pub channel: String,
    /// Who wrote.
    pub from: Party,
    /// To whom.
    pub to: Party,
    /// What they wrote, as plain text.
    pub text: String,
}
event!(MessageReceived, "communication.MessageReceived");

/// A provider accepted a message of ours.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MessageSent {
    /// The Message in the graph.
    pub message: EntityId,
    /// The attempt that the provider accepted.
    pub attempt: AttemptId,
    /// The connection that it went by.
    pub connection: ConnectionId,
    /// The provider's id of it.
    pub remote_id: String,
    /// True when the provider's own records proved it, not the answer to our request.
    pub adopted: bool,
}
event!(MessageSent, "communication.MessageSent");

/// A message of ours could not be sent and will not be tried again by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MessageFailed {
    /// The Message in the graph.
    pub message: EntityId,
    /// Why, in a sentence that holds no address and no text.
    pub reason: String,
}
event!(MessageFailed, "communication.MessageFailed");

/// A provider told what became of a message of ours: sent, delivered, undelivered, failed, read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MessageStatusChanged {
    /// The Message in the graph.
    pub message: EntityId,
    /// The attempt that the provider spoke of, where its address told.
    pub attempt: Option<AttemptId>,
    /// The provider's id of the message.
    pub remote_id: String,
    /// The new status, in the provider's word.
    pub status: String,
    /// The provider's error code, if it failed.
    pub error_code: Option<String>,
}
event!(MessageStatusChanged, "communication.MessageStatusChanged");
