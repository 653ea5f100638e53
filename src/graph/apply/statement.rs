//! All the relations that a record states, in the place of those that it stated before.
//!
//! Events out: `data.RelationAdded`, `data.RelationRemoved`.
//! Invariant: a relation that a source stated holds as long as the newest revision of any of its records states it;
//! somebody else's word about it is untouched. Who states a relation and who takes it back hold the entity where it
//! begins, so that of two at once the later one sees what the other did. Begin with [`Work::relate`].

use std::collections::BTreeSet;

use contracts::events::data::RelationRemoved;
use contracts::{EntityId, NewEvent, RawRecordId, RelationId};
use spine::ports::{Applied, Change, GraphError, RelationChange};
use spine::{AccessError, ScopedTx};
use uuid::Uuid;

use super::Work;
use crate::store::{self, Stated};

impl Work<'_> {
    /// Says which relations a record states: these, and no others but what it stated by a predicate that is `unread`.
    pub(crate) async fn relate(
        &mut self,
        tx: &mut ScopedTx,
        record: RawRecordId,
        change: &Change,
        unread: &[&'static str],
    ) -> Result<Applied, GraphError> {
        let mut applied = Applied {
            raw: Some(record),
            ..Applied::default()
        };
        self.raw = Some(record);
        self.write(tx, change, &mut applied).await?;
        if self.draft.records.is_first(record) {
            self.restate(record); // it has said nothing before
            return Ok(applied);
        }
        self.draft.write(tx).await?;
        // What leads to something that was deleted is stated, though nothing comes of it.
        let is_stated = |one: &Stated| {
            applied.relations.contains(&one.id)
                || unread.contains(&one.predicate.as_str())
                || change.relations.iter().any(|edge| is_same(edge, one))
        };
        let revisions = store::raw_revisions(tx, record).await?;
        let before = store::stated_list(tx, &revisions).await?;
        let (kept, gone): (Vec<Stated>, Vec<Stated>) = before.into_iter().partition(is_stated);
        let is_as_it_was = self.restated.is_empty() && kept.iter().all(|one| one.raw == Some(record.0));
        if gone.is_empty() && is_as_it_was {
            return Ok(applied);
        }
        self.hold_begins(tx, &gone).await?;
        self.draft.leave(tx).await?; // which edges hold is in the database
        // One that came while this one waited is among them.
        let revisions = store::raw_revisions(tx, record).await?;
        let kept = kept.iter().map(|one| one.id.0);
        let stated: Vec<Uuid> = kept.chain(applied.relations.iter().map(|id| id.0)).collect();
        store::restate(tx, record, &revisions, &stated).await?;
        self.unstate(tx, &revisions, &gone).await?;
        Ok(applied)
    }

    /// Says that a record states these relations, too.
    pub(crate) async fn relate_too(
        &mut self,
        tx: &mut ScopedTx,
        record: RawRecordId,
        change: &Change,
    ) -> Result<Applied, GraphError> {
        let mut applied = Applied {
            raw: Some(record),
            ..Applied::default()
        };
        self.raw = Some(record);
        self.write(tx, change, &mut applied).await?;
        self.restate(record);
        Ok(applied)
    }

    /// Ends what a source states of what an entity is related to: in any revision of this record, and in none. False: it
    /// stated nothing.
    pub(crate) async fn take_back(
        &mut self,
        tx: &mut ScopedTx,
        node: EntityId,
        record: Option<Uuid>,
    ) -> Result<bool, GraphError> {
        let mut gone = store::unrecorded_list(tx, node, &self.asserter).await?;
        let mut revisions = Vec::new();
        if let Some(record) = record.map(RawRecordId) {
            revisions = store::raw_revisions(tx, record).await?;
            gone.extend(store::stated_list(tx, &revisions).await?);
            store::restate(tx, record, &revisions, &[]).await?;
        }
        self.hold_begins(tx, &gone).await?;
        self.unstate(tx, &revisions, &gone).await?;
        Ok(!gone.is_empty())
    }

    /// Whoever states one of them again holds where it begins: either sees what the other said.
    async fn hold_begins(&mut self, tx: &mut ScopedTx, gone: &[Stated]) -> Result<(), GraphError> {
        let begins: BTreeSet<Uuid> = gone.iter().map(|one| one.from).collect();
        for from in begins {
            self.draft.root_head(tx, EntityId(from)).await?;
        }
        Ok(())
    }

    async fn unstate(
        &mut self,
        tx: &mut ScopedTx,
        revisions: &[Uuid],
        gone: &[Stated],
    ) -> Result<(), GraphError> {
        let unstated: Vec<Uuid> = gone.iter().map(|one| one.id.0).collect();
        let ended = store::unstate(tx, revisions, &unstated).await?;
        for one in gone.iter().filter(|one| ended.contains(&one.id)) {
            self.tell_ended(tx, one).await?;
        }
        Ok(())
    }

    /// Tells of the end of a relation that nobody states any more, of what its ends are now.
    async fn tell_ended(&mut self, tx: &mut ScopedTx, ended: &Stated) -> Result<(), GraphError> {
        let Stated {
            id,
            from,
            predicate,
            to,
            ..
        } = ended;
        let (from, to) = (EntityId(*from), EntityId(*to));
        let near = store::entity_root_of(tx, from).await?;
        let far = store::entity_root_of(tx, to).await?;
        let ends = store::Edge {
            from: &store::entity_members(tx, near).await?,
            predicate,
            to: &store::entity_members(tx, far).await?,
        };
        if store::relation_rows(tx, &ends).await?.iter().any(|row| row.live) {
            return Ok(());
        }
        store::timeline_unrelate(tx, ends.from, ends.predicate, ends.to).await?;
        let payload = RelationRemoved {
            relation: *id,
            from,
            predicate: predicate.clone(),
            to,
        };
        let event = NewEvent::of(&payload).map_err(AccessError::Payload)?;
        self.events.push(event.about(id));
        Ok(())
    }

    /// What other records of the source said first, this one says, too.
    pub(super) fn restate(&mut self, record: RawRecordId) {
        let restated = std::mem::take(&mut self.restated);
        self.draft.restate(record, &restated);
    }

    /// Another record of the source stated it before.
    pub(super) fn say_again(&mut self, relation: RelationId) {
        self.restated.push(relation);
    }
}

fn is_same(edge: &RelationChange, one: &Stated) -> bool {
    (edge.from.0, edge.predicate.as_str(), edge.to.0) == (one.from, one.predicate.as_str(), one.to)
}
