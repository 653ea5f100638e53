//! Who holds contents is deleted, comes back, is merged, or is erased.
//!
//! Events in: `data.EntityDeleted|Restored|Erased|Merged|Unmerged`. Jobs out: `collect-media`, `erase-entity`.
//! Invariant: what a deleted holder alone held stays for the grace; what an erased one alone held goes at once, with its
//! MediaObject; and a content goes with its erased MediaObject, whoever holds it. Begin with [`Holders::erased`].

use async_trait::async_trait;
use contracts::events::data::{EntityDeleted, EntityErased, EntityMerged, EntityRestored, EntityUnmerged};
use contracts::jobs::{CollectMedia, EraseEntity};
use contracts::{EntityId, Event, EventPayload};
use spine::ports::{GraphError, Ports};
use spine::queue::JobOptions;
use spine::{Consumer, HandleError, ScopedTx};
use uuid::Uuid;

use crate::caretaker::at_once;
use crate::collect::mark_if_unneeded;
use crate::store;

/// The consumer `media.holders`.
#[derive(Debug)]
pub(crate) struct Holders(pub(crate) Ports);

impl Holders {
    /// A holder was deleted or came back. What it is now counts, and not the event: the lanes are read each for itself,
    /// so that a deletion may be heard of after what took it back.
    async fn changed(&self, tx: &mut ScopedTx, holder: EntityId) -> Result<(), HandleError> {
        let lives = match self.0.graph_read().entity(tx, holder).await {
            Ok(found) => found.is_some(),
            Err(GraphError::Access(error)) => return Err(error.into()),
            Err(error) => return Err(HandleError::Poison(error.to_string())),
        };
        let at = tx.now();
        Ok(store::holder_release(tx, holder.0, (!lives).then_some(at)).await?)
    }

    async fn erased(&self, tx: &mut ScopedTx, erased: EntityErased) -> Result<(), HandleError> {
        let gone: Vec<Uuid> = std::iter::once(erased.entity)
            .chain(erased.merged)
            .map(|id| id.0)
            .collect();
        store::removed_forget(tx, &gone).await?;
        let mut marked = false;
        for (hash, entity) in store::blobs_of(tx, &gone).await? {
            let Ok(hash) = hash.try_into() else { continue };
            store::hash_lock(tx, &hash).await?;
            let is_itself = gone.contains(&entity);
            if is_itself {
                store::references_delete(tx, &hash).await?;
            } else {
                store::holders_delete(tx, &hash, &gone).await?;
            }
            if !mark_if_unneeded(tx, &hash).await? {
                continue;
            }
            marked = true;
            if !is_itself {
                let order = EraseEntity {
                    entity: EntityId(entity),
                    with_timeline: false,
                };
                tx.enqueue(&order, JobOptions::default()).await?;
            }
        }
        if marked {
            tx.enqueue(&CollectMedia {}, at_once()).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Consumer for Holders {
    fn name(&self) -> &'static str {
        "media.holders"
    }

    fn types(&self) -> Vec<String> {
        [
            EntityDeleted::TYPE,
            EntityRestored::TYPE,
            EntityErased::TYPE,
            EntityMerged::TYPE,
            EntityUnmerged::TYPE,
        ]
        .map(str::to_owned)
        .to_vec()
    }

    async fn handle(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError> {
        if let Some(deleted) = event.payload::<EntityDeleted>() {
            self.changed(tx, deleted?.entity).await?;
        } else if let Some(restored) = event.payload::<EntityRestored>() {
            self.changed(tx, restored?.entity).await?;
        } else if let Some(merged) = event.payload::<EntityMerged>() {
            let merged = merged?;
            store::holder_merge(tx, merged.absorbed.0, merged.entity.0).await?;
            store::removed_merge(tx, merged.absorbed.0, merged.entity.0).await?;
        } else if let Some(unmerged) = event.payload::<EntityUnmerged>() {
            store::holder_unmerge(tx, unmerged?.separated.0).await?;
        } else if let Some(erased) = event.payload::<EntityErased>() {
            self.erased(tx, erased?).await?;
        }
        Ok(())
    }
}
