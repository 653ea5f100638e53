//! Media: keeping the contents that come with something, such as a mail's attachments, and handing all of them out.

use async_trait::async_trait;
use bytes::Bytes;
use contracts::EntityId;
use futures::stream::BoxStream;

use super::GraphError;
use crate::access::{AccessError, Cause, Scope, ScopedTx};

/// A content that is to be kept.
#[derive(Debug, Clone)]
pub struct KeepMedia {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What its sender calls it; shown, and never a path.
    pub filename: Option<String>,
    /// What its sender says that it is; the content decides.
    pub declared_type: Option<String>,
    /// The entity that it came with: the content is kept for as long as this isn't deleted.
    pub holder: EntityId,
}

/// A content that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptMedia {
    /// Its MediaObject.
    pub media: EntityId,
    /// True if the account didn't have it before.
    pub created: bool,
}

/// A content that the owner brings herself, of any size that the hub allows.
pub struct BringMedia {
    /// The bytes, a piece at a time.
    pub bytes: BoxStream<'static, std::io::Result<Bytes>>,
    /// SHA-256 of the bytes; others aren't kept.
    pub sha256: [u8; 32],
    /// As its owner calls it; shown, and never a path.
    pub filename: Option<String>,
    /// What it is said to be; the content decides.
    pub declared_type: Option<String>,
}

impl std::fmt::Debug for BringMedia {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BringMedia").finish_non_exhaustive()
    }
}

/// A content that is handed out.
pub struct MediaContent {
    /// SHA-256 of the bytes.
    pub sha256: [u8; 32],
    /// How many bytes it has.
    pub size: u64,
    /// The bytes, a piece at a time, read as they are asked for.
    pub bytes: BoxStream<'static, Result<Bytes, AccessError>>,
}

impl std::fmt::Debug for MediaContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MediaContent")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Why a content is not kept.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// Database or store are away: later it may work.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// It will not be kept: it is empty, too large, or the account has no room. Says which.
    #[error("{0}")]
    Refused(String),
}

impl From<GraphError> for MediaError {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Access(error) => Self::Access(error),
            refused => Self::Refused(refused.to_string()),
        }
    }
}

/// Keeps contents, in the caller's transaction.
#[async_trait]
pub trait MediaStore: Send + Sync {
    /// Keeps a content for its holder, with a MediaObject of its own; what the account has already, it has once. The
    /// bytes lie in the store before the caller commits; should he not, the next sweep removes them.
    async fn keep(&self, tx: &mut ScopedTx, media: KeepMedia) -> Result<KeptMedia, MediaError>;

    /// Keeps a content as if the owner had uploaded it, in a transaction of its own. The same one again adds nothing.
    async fn bring(&self, scope: &Scope, cause: Cause, media: BringMedia) -> Result<KeptMedia, MediaError>;

    /// The next content of the account after a hash, in the order of hashes; `None`: there are no more. What is about to
    /// go, and what the store has lost, is not among them.
    async fn next_after(
        &self,
        tx: &mut ScopedTx,
        after: Option<[u8; 32]>,
    ) -> Result<Option<MediaContent>, AccessError>;
}
