//! One edge of a change.
//!
//! Invariant: an edge that the owner took away stays away whoever repeats it; an edge between entities that were
//! merged is one with the same edge of what they were merged into.

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
    ) -> Result<RelationId, GraphError> {
        let RelationChange { from, predicate, to } = change.clone();
        // The lock makes two sources that say the same at once wait for each other, so that it is told once.
        let near = store::entity_root_lock(tx, from)
            .await?
            .filter(|near| near.deleted_by.is_none())
            .ok_or(GraphError::NotFound(from))?;
        let far = store::entity_root(tx, to)
            .await?
            .ok_or(GraphError::NotFound(to))?;
        let edge = store::Edge {
            from: &store::entity_members(tx, near.id).await?,
            predicate: &predicate,
            to: &store::entity_members(tx, far).await?,
        };
        let rows = store::relation_rows(tx, &edge).await?;
        let by_user = self.asserter.by == AssertedBy::User;
        if let Some(refused) = rows.iter().find(|row| row.refused).filter(|_| !by_user) {
            return Ok(refused.id);
        }
        if let Some(mine) = rows
            .iter()
            .find(|row| row.live && row.source == self.asserter.source)
        {
            return Ok(mine.id);
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
        Ok(id)
    }

    /// Connectors and peers speak of things of their own; the owner, rules and agents of what they see.
    pub(super) fn follows_record(&self) -> bool {
        matches!(self.asserter.by, AssertedBy::Connector | AssertedBy::Peer)
    }
}
