//! Saying that two things of the graph are one.

use async_trait::async_trait;
use contracts::EntityId;

use super::GraphError;
use crate::access::ScopedTx;

/// Merges what a source shows to be one, in the caller's transaction. Nothing is rewritten, so the owner can take it
/// back, and then it is never done again.
#[async_trait]
pub trait GraphMerge: Send + Sync {
    /// Makes `absorbed` part of `survivor`, for a reason that the owner can read. False: they are one already, or the
    /// owner said that they are not.
    ///
    /// # Errors
    /// [`GraphError::NotFound`] when one isn't there; [`GraphError::Invalid`] when their types differ, or when it is
    /// about a person, whom only identity decides on.
    async fn unite(
        &self,
        tx: &mut ScopedTx,
        survivor: EntityId,
        absorbed: EntityId,
        reason: &str,
    ) -> Result<bool, GraphError>;
}
