//! Media: keeping the contents that come with something, such as a mail's attachments.

use async_trait::async_trait;
use contracts::EntityId;

use super::GraphError;
use crate::access::{AccessError, ScopedTx};

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
}
