//! Job payloads: ids only, never content (content lives in the graph and in the removable event bodies).

use serde::{Deserialize, Serialize};

use crate::{ConnectionId, EntityId, JobClass, JobPayload, RawRecordId, RetryPolicy};

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

/// Read a stream of a connection, or a part of one, from its checkpoint on. Its handler lives in `plugins`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SyncStream {
    /// The connection.
    pub connection: ConnectionId,
    /// The stream's row.
    pub stream: uuid::Uuid,
}

impl JobPayload for SyncStream {
    const QUEUE: &'static str = "sync-stream";
    const CLASS: JobClass = JobClass::Background;
}

/// Understand a record that was taken in: map its bytes and apply what they mean. Its handler lives in `etl`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessIncomingData {
    /// The record.
    pub raw_record: RawRecordId,
}

impl JobPayload for ProcessIncomingData {
    const QUEUE: &'static str = "process-incoming-data";
    const CLASS: JobClass = JobClass::Background;
}

/// Understand every record of a source again, after its mapping improved. Its handler lives in `etl`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReprocessRecords {
    /// Only of this source, such as `import/vcard`.
    pub source: Option<String>,
}

impl JobPayload for ReprocessRecords {
    const QUEUE: &'static str = "reprocess-records";
    const CLASS: JobClass = JobClass::Background;
    const RETRY: RetryPolicy = LONG;
}

/// Take the records of an uploaded file in, from where the import stands. Its handler lives in `etl`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunImport {
    /// The import's row.
    pub import: uuid::Uuid,
}

impl JobPayload for RunImport {
    const QUEUE: &'static str = "run-import";
    const CLASS: JobClass = JobClass::Background;
    const RETRY: RetryPolicy = LONG;
}

/// Look into a content that is kept: size, thumbnails, what may be given to others. Its handler lives in `media`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessMedia {
    /// The MediaObject.
    pub media: EntityId,
}

impl JobPayload for ProcessMedia {
    const QUEUE: &'static str = "process-media";
    const CLASS: JobClass = JobClass::Background;
}

/// Remove the account's contents that nobody needs, and what uploads left behind. Its handler lives in `media`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CollectMedia {}

impl JobPayload for CollectMedia {
    const QUEUE: &'static str = "collect-media";
    const CLASS: JobClass = JobClass::Background;
    const RETRY: RetryPolicy = LONG;
}

/// Remove all bytes of an account that is erased. A job of the instance; its handler lives in `media`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveAccountMedia {
    /// The account that was.
    pub account: crate::AccountId,
}

impl JobPayload for RemoveAccountMedia {
    const QUEUE: &'static str = "remove-account-media";
    const CLASS: JobClass = JobClass::Background;
    const RETRY: RetryPolicy = LONG;
}

/// As the default, for what may take a day.
const LONG: RetryPolicy = RetryPolicy {
    expire_in: std::time::Duration::from_secs(23 * 3600),
    ..RetryPolicy::DEFAULT
};
