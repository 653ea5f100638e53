//! What a caller sees of a content.

use chrono::{DateTime, Utc};
use contracts::EntityId;
use serde::Serialize;

use crate::process::{Rendition, renditions};
use crate::store::Blob;

/// A content that is kept.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct MediaView {
    /// Its MediaObject.
    id: EntityId,
    /// What it is called.
    filename: Option<String>,
    /// What it is, by its content.
    media_type: String,
    /// What it was said to be.
    declared_type: Option<String>,
    /// True if it was said to be something else than it is.
    mismatch: bool,
    /// Its size.
    bytes: i64,
    /// SHA-256 of its content, in hexadecimal.
    sha256: String,
    /// False: it is still being looked into.
    processed: bool,
    /// What could not be made of it, and why.
    problem: Option<String>,
    /// The width of the picture as it is seen.
    width: Option<i32>,
    /// The height of the picture as it is seen.
    height: Option<i32>,
    /// A picture of a few colours, for while it loads (blurha.sh).
    blurhash: Option<String>,
    /// What was made of it.
    renditions: Vec<Rendition>,
    /// When it came.
    created_at: DateTime<Utc>,
}

/// Contents that are kept.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct MediaList {
    /// Newest first.
    pub(super) items: Vec<MediaView>,
    /// The `cursor` of the next page; absent: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

impl MediaView {
    pub(super) fn of(blob: &Blob) -> Self {
        let declared = blob.declared_type.clone();
        Self {
            id: EntityId(blob.entity),
            filename: blob.filename.clone(),
            mismatch: declared
                .as_ref()
                .is_some_and(|declared| *declared != blob.media_type && declared != crate::sniff::UNKNOWN),
            media_type: blob.media_type.clone(),
            declared_type: declared,
            bytes: blob.bytes,
            sha256: hex::encode(&blob.hash),
            processed: blob.processed_at.is_some(),
            problem: blob.problem.clone(),
            width: blob.width,
            height: blob.height,
            blurhash: blob.blurhash.clone(),
            renditions: renditions(blob),
            created_at: blob.created_at,
        }
    }
}
