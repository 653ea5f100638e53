//! One edge of a change.
//!
//! Invariant: an edge that the owner took away stays away whoever repeats it, as does one of an entity that was deleted;
//! an edge between entities that were merged is one with the same edge of what they were merged into. An edge that would
//! close a ring is refused; a source's is left out, and the rest of its record holds.

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
    ) -> Result<Option<RelationId>, GraphError> {
        let RelationChange { from, predicate, to } = change.clone();
        // The lock makes two sources that say the same at once wait for each other, so that it is told once.
        let near = self
            .draft
            .root_head(tx, from)
            .await?
            .ok_or(GraphError::NotFound(from))?;
        let far = self.draft.far_head(tx, to).await?;
        // Sources may go on talking of what was deleted, and nothing comes of it.
        if self.follows_record() && (near.deleted_by.is_some() || far.is_none()) {
            return Ok(None);
        }
        let far = far.ok_or(GraphError::NotFound(to))?;
        if near.deleted_by.is_some() {
            return Err(GraphError::NotFound(from));
        }
        if !self.follows_record() && near.id == far.id {
            return Err(GraphError::Invalid(format!(
                "entity {} can't be related to itself: both were merged",
                near.id
            )));
        }
        let edge = store::Edge {
            from: &near.members(tx).await?,
            predicate: &predicate,
            to: &far.members(tx).await?,
        };
        let rows = self.draft.edges(tx, &edge).await?;
        let by_user = self.asserter.by == AssertedBy::User;
        if let Some(refused) = rows.iter().find(|row| row.refused).filter(|_| !by_user) {
            return Ok(Some(refused.id));
        }
        // Like claims, what a record says stays with the entity that it is about, whatever that was merged into; what the
        // owner says after a merge is said of the survivor, also if she had said it of the absorbed one.
        let (from, to) = if self.follows_record() {
            (from, to)
        } else {
            (near.id, far.id)
        };
        let is_mine = |row: &&store::EdgeRow| {
            row.live && row.source == self.asserter.source && (row.from, row.to) == (from.0, to.0)
        };
        if let Some(mine) = rows.iter().find(is_mine) {
            if mine.raw != self.raw {
                self.say_again(mine.id);
            }
            return Ok(Some(mine.id));
        }
        // What holds already by another source's word makes no ring that isn't there.
        if !rows.iter().any(|row| row.live)
            && let Some(ring) = self.ring(tx, near.id, &predicate, far.id).await?
        {
            if !self.follows_record() {
                return Err(GraphError::Invalid(ring.refusal(&predicate)));
            }
            self.rings.push(change.clone());
            return Ok(None);
        }
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
            // As it was written, so that whoever keeps it can tell whose it is once a merge is taken back.
            let payload = RelationAdded {
                relation: id,
                from,
                predicate,
                to,
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
