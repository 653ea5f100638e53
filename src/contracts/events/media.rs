//! Contents that an account keeps: pictures, documents, recordings. The envelope's subject is the MediaObject.

use serde::{Deserialize, Serialize};

use super::event;
use crate::EntityId;

/// A content is kept that wasn't before.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MediaStored {
    /// The MediaObject.
    pub media: EntityId,
    /// What the content says that it is, such as `image/jpeg`.
    pub media_type: String,
    /// Its size.
    pub bytes: u64,
}
event!(MediaStored, "media.MediaStored");

/// A content was looked into: its renditions are there now, or the reason why there are none.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MediaProcessed {
    /// The MediaObject.
    pub media: EntityId,
    /// The names of what was made of it, such as `thumb-320` and `public`.
    pub renditions: Vec<String>,
    /// What could not be made of it, and why.
    pub problem: Option<String>,
}
event!(MediaProcessed, "media.MediaProcessed");

/// A content and everything that was made of it is gone for good.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MediaRemoved {
    /// The MediaObject that it was of.
    pub media: EntityId,
    /// How much room it took.
    pub bytes: u64,
}
event!(MediaRemoved, "media.MediaRemoved");
