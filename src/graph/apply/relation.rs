//! One edge of a change.
//!
//! Invariant: an edge that the owner took away stays away whoever repeats it, as does one of an entity that was deleted;
//! an edge between entities that were merged is one with the same edge of what they were merged into.

use contracts::events::data::RelationAdded;
use contracts::{NewEvent, RelationId};
use spine::ports::{AssertedBy, GraphError, RelationChange};
use spine::{AccessError, ScopedTx};

use super::Work;
use crate::store;

impl Work<'_> {
    pub(super) async fn relation(
        &mut self,
        tx: &mut ScopedTx,
        change: &RelationChange,
    ) -> Result<Option<RelationId>, GraphError> {
        let RelationChange { from, predicate, to } = change.clone();
        // The lock makes two sources that say the same at once wait for each other, so that it is told once.
        let near = store::entity_root_lock(tx, from)
            .await?
            .ok_or(GraphError::NotFound(from))?;
        let far = store::entity_root(tx, to).await?;
        // Sources may go on talking of what was deleted, and nothing comes of it.
        if self.follows_record() && (near.deleted_by.is_some() || far.is_none()) {
            return Ok(None);
        }
        let far = far.ok_or(GraphError::NotFound(to))?;
        if near.deleted_by.is_some() {
            return Err(GraphError::NotFound(from));
        }
        let edge = store::Edge {
            from: &store::entity_members(tx, near.id).await?,
            predicate: &predicate,
            to: &store::entity_members(tx, far).await?,
        };
        let rows = store::relation_rows(tx, &edge).await?;
        let by_user = self.asserter.by == AssertedBy::User;
        if let Some(refused) = rows.iter().find(|row| row.refused).filter(|_| !by_user) {
            return Ok(Some(refused.id));
        }
        if let Some(mine) = rows
            .iter()
            .find(|row| row.live && row.source == self.asserter.source)
        {
            return Ok(Some(mine.id));
        }
        // Like claims, what a record says stays with the entity that it is about, whatever that was merged into.
        let (from, to) = if self.follows_record() {
            (from, to)
        } else {
            (near.id, far)
        };
        let written = RelationChange {
            from,
            predicate: predicate.clone(),
            to,
        };
        let id = RelationId::new();
        store::relation_insert(tx, id, &written, &self.asserter, self.raw).await?;
        store::timeline_relate(tx, from, &predicate, to).await?;
        if by_user && rows.iter().any(|row| row.refused) {
            store::relation_unrefuse(tx, &edge).await?;
        }
        if !rows.iter().any(|row| row.live) {
            let payload = RelationAdded {
                relation: id,
                from: near.id,
                predicate,
                to: far,
            };
            self.events
                .push(NewEvent::of(&payload).map_err(AccessError::Payload)?.about(id));
        }
        Ok(Some(id))
    }

    /// Connectors and peers speak of things of their own; the owner, rules and agents of what they see.
    pub(super) fn follows_record(&self) -> bool {
        matches!(self.asserter.by, AssertedBy::Connector | AssertedBy::Peer)
    }
}
