//! Job payloads: ids only, never content (content lives in the graph and in the removable event bodies).

use serde::{Deserialize, Serialize};

use crate::{ConnectionId, EntityId, JobClass, JobPayload, RetryPolicy};

/// Hand the queued Message entity to its channel. Its handler lives in `channels`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendOutgoingMessage {
    /// The Message: direction `out`, with text, recipient and the channel to use.
    pub message: EntityId,
}

impl JobPayload for SendOutgoingMessage {
    const QUEUE: &'static str = "send-outgoing-message";
    const CLASS: JobClass = JobClass::Interactive;
    const RETRY: RetryPolicy = RetryPolicy {
        limit: 12,
        delay: std::time::Duration::from_secs(1),
        delay_max: std::time::Duration::from_secs(900),
        expire_in: std::time::Duration::from_secs(60),
    };
}

/// Erase an entity for good. Its handler lives in `graph`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EraseEntity {
    /// The entity.
    pub entity: EntityId,
    /// With everything on its timeline: messages, calls, events that it took part in.
    pub with_timeline: bool,
}

impl JobPayload for EraseEntity {
    const QUEUE: &'static str = "erase-entity";
    const CLASS: JobClass = JobClass::Background;
    const RETRY: RetryPolicy = RetryPolicy {
        limit: 20,
        delay: std::time::Duration::from_secs(5),
        delay_max: std::time::Duration::from_secs(900),
        expire_in: std::time::Duration::from_secs(900),
    };
}

/// Ask a connection's provider for what it may have said while the hub was away. Its handler lives in `plugins`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReconcileConnection {
    /// The connection whose history is fetched.
    pub connection: ConnectionId,
}

impl JobPayload for ReconcileConnection {
    const QUEUE: &'static str = "reconcile-connection";
    const CLASS: JobClass = JobClass::Background;
}
