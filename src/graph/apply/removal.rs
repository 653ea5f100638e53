//! Taking an edge away. The row stays, with the moment until which it held.

use contracts::events::data::RelationRemoved;
use contracts::{NewEvent, RelationId};
use spine::ports::{AssertedBy, GraphError, RelationChange};
use spine::{AccessError, ScopedTx};

use super::Work;
use crate::store;

impl Work<'_> {
    /// Takes a source's word about an edge back; the owner's word takes it away whoever said it, and no later import
    /// brings it back. `told`: the relation's id for the event, if the caller named one. False: nothing held.
    pub(crate) async fn unrelate(
        &mut self,
        tx: &mut ScopedTx,
        edge: &RelationChange,
        told: Option<RelationId>,
    ) -> Result<bool, GraphError> {
        // As in applying one: a source that says it at this moment waits, and then finds it refused.
        let near = store::entity_root_lock(tx, edge.from).await?;
        let from = near.map_or(edge.from, |near| near.id);
        let to = store::entity_root(tx, edge.to).await?.unwrap_or(edge.to);
        let ends = store::Edge {
            from: &store::entity_members(tx, from).await?,
            predicate: &edge.predicate,
            to: &store::entity_members(tx, to).await?,
        };
        let rows = store::relation_rows(tx, &ends).await?;
        let by_user = self.asserter.by == AssertedBy::User;
        let ends_now = |row: &&store::EdgeRow| row.live && (by_user || row.source == self.asserter.source);
        let Some(row) = rows.iter().find(ends_now) else {
            return Ok(false);
        };
        if by_user {
            store::relation_refuse(tx, &ends).await?;
        } else {
            store::relation_withdraw(tx, &ends, &self.asserter.source).await?;
        }
        if rows.iter().any(|row| row.live && !ends_now(&row)) {
            return Ok(true); // somebody else still says so
        }
        store::timeline_unrelate(tx, ends.from, ends.predicate, ends.to).await?;
        let relation = told.unwrap_or(row.id);
        let payload = RelationRemoved {
            relation,
            from,
            predicate: edge.predicate.clone(),
            to,
        };
        let event = NewEvent::of(&payload).map_err(AccessError::Payload)?;
        self.events.push(event.about(relation));
        Ok(true)
    }
}
