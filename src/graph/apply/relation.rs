//! One edge of a change.
//!
//! Invariant: an edge that the owner took away stays away whoever repeats it; an edge between entities that were
//! merged is one with the same edge of what they were merged into.

use contracts::events::data::RelationAdded;
use contracts::{NewEvent, RelationId};
use spine::ports::{AssertedBy, GraphError, RelationChange};
use spine::{AccessError, ScopedTx};

use super::Work;
use crate::store::{self, NewEdge};

impl Work<'_> {
    pub(super) async fn relation(
        &mut self,
        tx: &mut ScopedTx,
        change: &RelationChange,
    ) -> Result<RelationId, GraphError> {
        let RelationChange { from, predicate, to } = change.clone();
        // The lock makes two sources that say the same at once wait for each other, so that it is told once.
        let near = self
            .draft
            .root_head(tx, from)
            .await?
            .filter(|near| near.deleted_by.is_none())
            .ok_or(GraphError::NotFound(from))?;
        let far = self
            .draft
            .far_head(tx, to)
            .await?
            .ok_or(GraphError::NotFound(to))?;
        let edge = store::Edge {
            from: &near.members(tx).await?,
            predicate: &predicate,
            to: &far.members(tx).await?,
        };
        let rows = self.draft.edges(tx, &edge).await?;
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
            (near.id, far.id)
        };
        let id = RelationId::new();
        self.draft.relate(NewEdge {
            id,
            from: from.0,
            predicate: predicate.clone(),
            to: to.0,
            asserter: self.asserter.clone(),
            raw: self.raw,
        });
        if by_user && rows.iter().any(|row| row.refused) {
            self.draft.write(tx).await?;
            store::relation_unrefuse(tx, &edge).await?;
        }
        if !rows.iter().any(|row| row.live) {
            let payload = RelationAdded {
                relation: id,
                from: near.id,
                predicate,
                to: far.id,
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
