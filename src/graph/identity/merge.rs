//! A merge and how it is taken back.
//!
//! Invariant: a merge sets one redirect; no claim, identifier or relation is touched. What a source says of the
//! absorbed entity is written to that entity also while it is merged, so that it goes with it when they part; what
//! the owner says after the merge is said of the survivor, and stays there.
//! Begin with [`Work::merge_roots`].

use contracts::EntityId;
use contracts::events::data::{EntityDeleted, EntityMerged, EntityRestored, EntityUnmerged};
use spine::ports::{AppliedEntity, AssertedBy, GraphError, GraphRead};
use spine::{AccessError, ScopedTx};

use crate::Graph;
use crate::apply::Work;
use crate::apply::entity::{claim_first_source, members, timeline_anew};
use crate::model::{Content, changes, fold};
use crate::store::{self, StoredEntity};

/// So often a merge is tried that others cross.
const TRIES: usize = 3;

/// What a separation left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Separated {
    /// The one that had survived.
    pub(crate) survivor: EntityId,
    /// The one that stands for itself again.
    pub(crate) separated: EntityId,
}

impl Graph {
    /// Merges two entities because the owner says that they are one. `survivor` keeps its id, unless the other is the
    /// owner herself. Merging what is merged already changes nothing.
    pub(crate) async fn merge(
        &self,
        tx: &mut ScopedTx,
        survivor: EntityId,
        absorbed: EntityId,
    ) -> Result<EntityId, GraphError> {
        let me = self.me(tx).await.ok();
        for _ in 1..TRIES {
            let mut work = Work::new(self.types(tx).await?, AssertedBy::User, "user");
            store::savepoint(tx).await?;
            match work.merge_as_said(tx, survivor, absorbed, me).await {
                // Somebody who writes of both goes first; what was locked is free again.
                Err(error) if is_deadlock(&error) => store::savepoint_rollback(tx).await?,
                outcome => return work.end(tx, outcome).await,
            }
        }
        let mut work = Work::new(self.types(tx).await?, AssertedBy::User, "user");
        store::savepoint(tx).await?;
        let outcome = work.merge_as_said(tx, survivor, absorbed, me).await;
        work.end(tx, outcome).await
    }

    /// Takes a merge back, and remembers that the two are not the same.
    pub(crate) async fn unmerge(
        &self,
        tx: &mut ScopedTx,
        absorbed: EntityId,
    ) -> Result<Separated, GraphError> {
        let mut work = Work::new(self.types(tx).await?, AssertedBy::User, "user");
        store::savepoint(tx).await?;
        let outcome = work.separate(tx, absorbed).await;
        work.end(tx, outcome).await
    }

    /// Remembers that two entities are not the same: they are neither merged nor asked about again.
    pub(crate) async fn tell_apart(
        &self,
        tx: &mut ScopedTx,
        one: EntityId,
        other: EntityId,
    ) -> Result<(), GraphError> {
        if one == other {
            return Err(GraphError::Invalid(format!(
                "entity {one} can't be told apart from itself: name two that aren't the same"
            )));
        }
        let one = store::entity_root(tx, one)
            .await?
            .ok_or(GraphError::NotFound(one))?;
        let other = store::entity_root(tx, other)
            .await?
            .ok_or(GraphError::NotFound(other))?;
        if one == other {
            return Err(GraphError::Invalid(
                "they are merged: take the merge back, and they are told apart".to_owned(),
            ));
        }
        Ok(store::decision_set(tx, &distinct((one, other))).await?)
    }

    /// Of two entities the one to keep first: the owner herself, else the older.
    pub(crate) async fn elder_first(
        &self,
        tx: &mut ScopedTx,
        one: EntityId,
        other: EntityId,
    ) -> Result<(EntityId, EntityId), GraphError> {
        let (one, other) = living_pair(tx, one, other).await?;
        let (elder, younger) = elder_first(tx, one, other).await?;
        Ok((elder.id, younger.id))
    }

    /// Deletes an entity, with all that were merged into it, so that it can be restored. Deleting it again changes
    /// nothing.
    pub(crate) async fn delete(&self, tx: &mut ScopedTx, id: EntityId) -> Result<(), GraphError> {
        let mut work = Work::new(self.types(tx).await?, AssertedBy::User, "user");
        store::savepoint(tx).await?;
        let outcome = work.delete(tx, id).await;
        work.end(tx, outcome).await
    }

    /// Takes a deletion back.
    pub(crate) async fn restore(&self, tx: &mut ScopedTx, id: EntityId) -> Result<EntityId, GraphError> {
        let mut work = Work::new(self.types(tx).await?, AssertedBy::User, "user");
        store::savepoint(tx).await?;
        let outcome = work.restore(tx, id).await;
        work.end(tx, outcome).await
    }
}

/// PostgreSQL's `deadlock_detected`.
fn is_deadlock(error: &GraphError) -> bool {
    match error {
        GraphError::Access(AccessError::Database(sqlx::Error::Database(error))) => {
            error.code().is_some_and(|code| code == "40P01")
        }
        _ => false,
    }
}

fn distinct(pair: (EntityId, EntityId)) -> store::Decision<'static> {
    store::Decision {
        pair,
        standing: "distinct",
        reason: "the owner said so",
        score: 0.0,
        by: "user",
    }
}

/// The one that stays first: the owner herself, else the older.
pub(super) async fn elder_first(
    tx: &mut ScopedTx,
    one: StoredEntity,
    other: StoredEntity,
) -> Result<(StoredEntity, StoredEntity), GraphError> {
    let me = spine::ports::Identifier::new("allod", "me");
    let me = store::entity_by_identifier(tx, &one.kind, &me).await?;
    let age = |entity: &StoredEntity| (Some(entity.id) != me, entity.created_at, entity.id.0);
    Ok(if age(&other) < age(&one) {
        (other, one)
    } else {
        (one, other)
    })
}

impl Work<'_> {
    async fn merge_as_said(
        &mut self,
        tx: &mut ScopedTx,
        survivor: EntityId,
        absorbed: EntityId,
        me: Option<EntityId>,
    ) -> Result<EntityId, GraphError> {
        if survivor == absorbed {
            return Err(GraphError::Invalid(format!(
                "entity {survivor} can't be merged into itself: name two that you take for one"
            )));
        }
        let (survivor, absorbed) = living_pair(tx, survivor, absorbed).await?;
        if survivor.id == absorbed.id {
            return Ok(survivor.id);
        }
        if survivor.kind != absorbed.kind {
            return Err(GraphError::Invalid(format!(
                "a {} and a {} can't be one",
                survivor.kind, absorbed.kind
            )));
        }
        let (survivor, absorbed) = if Some(absorbed.id) == me {
            (absorbed, survivor)
        } else {
            (survivor, absorbed)
        };
        let pair = (survivor.id, absorbed.id);
        let (one, other) = (members(tx, &survivor).await?, members(tx, &absorbed).await?);
        self.merge_roots(tx, survivor, absorbed).await?;
        store::decision_turn(tx, &one, &other, ("distinct", "merged")).await?;
        store::decision_turn(tx, &one, &other, ("suggested", "merged")).await?;
        let decision = store::Decision {
            pair,
            standing: "merged",
            reason: "the owner said so",
            score: 1.0,
            by: "user",
        };
        store::decision_set(tx, &decision).await?;
        Ok(pair.0)
    }

    /// Redirects one root to another, both held, and shows the fold of both.
    pub(super) async fn merge_roots(
        &mut self,
        tx: &mut ScopedTx,
        survivor: StoredEntity,
        absorbed: StoredEntity,
    ) -> Result<AppliedEntity, GraphError> {
        for entity in [&survivor, &absorbed] {
            claim_first_source(tx, entity).await?;
            if !entity.folded {
                store::entity_mark_folded(tx, entity.id).await?;
            }
        }
        store::entity_merge(tx, absorbed.id, survivor.id).await?;
        let after = shown(tx, survivor.id).await?;
        let version = survivor.version + 1;
        store::entity_update(tx, survivor.id, &after, version, true).await?;
        if survivor
            .content
            .starts_at
            .or(absorbed.content.starts_at)
            .is_some()
        {
            timeline_anew(tx, survivor.id, &survivor.kind, &after).await?;
        }
        let payload = EntityMerged {
            entity: survivor.id,
            kind: survivor.kind,
            version,
            absorbed: absorbed.id,
            changed: changes(&survivor.content, &after),
        };
        self.tell(&payload, survivor.id, version)?;
        Ok(AppliedEntity {
            id: survivor.id,
            version,
            created: false,
        })
    }

    async fn separate(&mut self, tx: &mut ScopedTx, id: EntityId) -> Result<Separated, GraphError> {
        let absorbed = store::entity_lock(tx, id)
            .await?
            .ok_or(GraphError::NotFound(id))?;
        let Some(into) = absorbed.merged_into else {
            return Err(GraphError::Invalid(format!(
                "entity {id} is not merged into another: name the one that was merged, not the one that stayed"
            )));
        };
        let root = living(tx, into).await?;
        store::entity_unmerge(tx, id, into).await?;
        for (entity, version) in [(root.id, root.version), (id, absorbed.version)] {
            let after = shown(tx, entity).await?;
            store::entity_update(tx, entity, &after, version + 1, true).await?;
            if root.content.starts_at.or(absorbed.content.starts_at).is_some() {
                timeline_anew(tx, entity, &root.kind, &after).await?;
            }
        }
        let one = store::entity_members(tx, root.id).await?;
        let other = store::entity_members(tx, id).await?;
        store::decision_turn(tx, &one, &other, ("merged", "distinct")).await?;
        store::decision_set(tx, &distinct((root.id, id))).await?;
        let payload = EntityUnmerged {
            entity: root.id,
            kind: root.kind.clone(),
            version: root.version + 1,
            separated: id,
            separated_version: absorbed.version + 1,
        };
        self.tell(&payload, root.id, payload.version)?;
        self.delete_if_forsaken(tx, (root.id, &root.kind, root.version + 1), &one)
            .await?;
        self.delete_if_forsaken(tx, (id, &root.kind, absorbed.version + 1), &other)
            .await?;
        Ok(Separated {
            survivor: root.id,
            separated: id,
        })
    }

    /// What its source took back while it was merged stands for nothing when it stands alone: it is deleted in the name of
    /// who spoke of it last, and comes back when that does.
    async fn delete_if_forsaken(
        &mut self,
        tx: &mut ScopedTx,
        (id, kind, version): (EntityId, &str, i64),
        members: &[uuid::Uuid],
    ) -> Result<(), GraphError> {
        let last = store::claim_last_word(tx, members).await?;
        let Some(by) = last.filter(|by| *by != AssertedBy::User) else {
            return Ok(());
        };
        store::entity_delete(tx, id, version + 1, Some(by)).await?;
        let payload = EntityDeleted {
            entity: id,
            kind: kind.to_owned(),
            version: version + 1,
        };
        self.tell(&payload, id, payload.version)
    }

    async fn delete(&mut self, tx: &mut ScopedTx, id: EntityId) -> Result<(), GraphError> {
        let root = store::entity_root_lock(tx, id)
            .await?
            .ok_or(GraphError::NotFound(id))?;
        if root.deleted_by == Some(AssertedBy::User) {
            return Ok(());
        }
        let me = spine::ports::Identifier::new("allod", "me");
        if store::entity_by_identifier(tx, &root.kind, &me).await? == Some(root.id) {
            return Err(GraphError::Invalid(
                "this is your own Person: it goes with the account".to_owned(),
            ));
        }
        let version = root.version + 1;
        store::entity_delete(tx, root.id, version, Some(AssertedBy::User)).await?;
        let payload = EntityDeleted {
            entity: root.id,
            kind: root.kind,
            version,
        };
        self.tell(&payload, root.id, version)
    }

    async fn restore(&mut self, tx: &mut ScopedTx, id: EntityId) -> Result<EntityId, GraphError> {
        let root = store::entity_root_lock(tx, id)
            .await?
            .ok_or(GraphError::NotFound(id))?;
        if root.deleted_by.is_none() {
            return Ok(root.id);
        }
        let version = root.version + 1;
        store::entity_delete(tx, root.id, version, None).await?;
        let payload = EntityRestored {
            entity: root.id,
            kind: root.kind,
            version,
        };
        self.tell(&payload, root.id, version)?;
        Ok(root.id)
    }
}

/// The root of an entity, held; refused if it is deleted.
pub(super) async fn living(tx: &mut ScopedTx, id: EntityId) -> Result<StoredEntity, GraphError> {
    store::entity_root_lock(tx, id)
        .await?
        .filter(|root| root.deleted_by.is_none())
        .ok_or(GraphError::NotFound(id))
}

/// The roots of two entities, held in the order of their ids, so that crossing merges wait for each other in a line;
/// refused if one is deleted.
pub(super) async fn living_pair(
    tx: &mut ScopedTx,
    one: EntityId,
    other: EntityId,
) -> Result<(StoredEntity, StoredEntity), GraphError> {
    let root =
        async |tx: &mut ScopedTx, id| store::entity_root(tx, id).await?.ok_or(GraphError::NotFound(id));
    let (mut a, mut b) = (root(tx, one).await?, root(tx, other).await?);
    loop {
        let mut roots = [a, b];
        roots.sort_by_key(|id| id.0);
        for id in roots {
            store::entity_lock(tx, id).await?;
        }
        // Whoever was waited for may have merged one of them into another: then that is held, too.
        let now = (root(tx, one).await?, root(tx, other).await?);
        if now == (a, b) {
            return Ok((living(tx, a).await?, living(tx, b).await?));
        }
        (a, b) = now;
    }
}

/// What a root shows, by the claims of all that it stands for.
async fn shown(tx: &mut ScopedTx, root: EntityId) -> Result<Content, GraphError> {
    let members = store::entity_members(tx, root).await?;
    Ok(fold(root, &store::claim_current_list(tx, &members).await?))
}
