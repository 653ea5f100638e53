//! One entity of a change: found or made, its claims written, its fold shown.
//!
//! Invariant: a claim stays with the entity that its record is about, though that was merged; what is shown is the
//! fold over the root with all that were merged into it. What the owner deleted stays deleted.
//! Begin with [`Work::entity`].

use contracts::EntityId;
use contracts::events::data::{EntityCreated, EntityRestored, EntityUpdated};
use spine::ScopedTx;
use spine::ports::{AppliedEntity, AssertedBy, EntityChange, GraphError, Target};
use uuid::Uuid;

use super::Work;
use crate::model::{Claim, Content, assert_on, changes, fold};
use crate::participants::participants;
use crate::schema::EntityType;
use crate::store::{Named, StoredEntity};
use crate::{check, identity, store};

/// What a change is about: the entity that its words are written to, and the one that shows them.
struct Held {
    /// Bears the claim: the root, or one that was merged into it.
    node: EntityId,
    root: StoredEntity,
}

impl Work<'_> {
    pub(super) async fn entity(
        &mut self,
        tx: &mut ScopedTx,
        change: &EntityChange,
    ) -> Result<AppliedEntity, GraphError> {
        let kind = self.types.get(&change.kind).map_err(GraphError::Invalid)?;
        let joins = identity::is_somebody(&kind.name) && !change.identifiers.is_empty();
        if joins {
            self.hold_bearers(tx, kind, change).await?;
        }
        let applied = match self.target(tx, kind, change).await? {
            (_, Some(held)) => self.update(tx, kind, held, change).await?,
            (id, None) => self.create(tx, kind, id, change).await?,
        };
        if joins {
            return self.join_bearers(tx, kind, applied, change).await;
        }
        Ok(applied)
    }

    async fn target(
        &mut self,
        tx: &mut ScopedTx,
        kind: &EntityType,
        change: &EntityChange,
    ) -> Result<(EntityId, Option<Held>), GraphError> {
        let node = match change.target {
            Target::New(id) => return Ok((id, None)),
            Target::Existing(id) => id,
            Target::Identified => {
                let rows = self.rows(identity::recognised_by(&kind.name, check::strong(change)));
                let bearers = self.draft.bearers(tx, &kind.name, &rows).await?;
                match bearers.iter().find(|one| !one.deleted).or(bearers.first()) {
                    Some(bearer) => bearer.entity,
                    None => return Ok((EntityId::new(), None)),
                }
            }
        };
        let root = self
            .draft
            .root(tx, node)
            .await?
            .ok_or(GraphError::NotFound(node))?;
        if root.deleted_by.is_some() && matches!(change.target, Target::Existing(_)) {
            return Err(GraphError::NotFound(node));
        }
        let node = if self.follows_record() { node } else { root.id };
        Ok((node, Some(Held { node, root })))
    }

    async fn create(
        &mut self,
        tx: &mut ScopedTx,
        kind: &EntityType,
        id: EntityId,
        change: &EntityChange,
    ) -> Result<AppliedEntity, GraphError> {
        let content = assert_on(&Content::default(), &said(change));
        kind.complete(&content.props).map_err(GraphError::Invalid)?;
        let row = store::NewEntity {
            id,
            kind: &kind.name,
            content: &content,
            folded: !kind.single_source,
            asserter: &self.asserter,
            raw: self.raw,
        };
        let is_named = matches!(change.target, Target::New(_));
        if !self.draft.insert(tx, &row, is_named).await? {
            return Err(GraphError::Invalid(format!("there is an entity {id} already")));
        }
        if row.folded {
            let claim = self.claim(tx, id, content.clone());
            self.draft.claim(tx, &claim, self.raw).await?;
        }
        let rows = self.rows(change.identifiers.iter());
        self.draft
            .link(tx, (id, &kind.name), &[id.0], &rows, &self.asserter)
            .await?;
        self.on_timeline(tx, id, &kind.name, &Content::default(), &content)
            .await?;
        let payload = EntityCreated {
            entity: id,
            kind: kind.name.clone(),
            version: 1,
        };
        self.tell(&payload, id, 1)?;
        Ok(AppliedEntity {
            id,
            version: 1,
            created: true,
        })
    }

    async fn update(
        &mut self,
        tx: &mut ScopedTx,
        kind: &EntityType,
        Held { node, root }: Held,
        change: &EntityChange,
    ) -> Result<AppliedEntity, GraphError> {
        if root.kind != kind.name {
            return Err(GraphError::Invalid(format!(
                "entity {} is a {}, not a {}",
                root.id, root.kind, kind.name
            )));
        }
        let members = members(tx, &root).await?;
        let said = said(change);
        let (after, folded) = if said == Content::default() {
            (root.content.clone(), root.folded)
        } else if !root.folded && root.asserter == self.asserter {
            (assert_on(&root.content, &said), false)
        } else {
            (self.assert_claim(tx, node, &root, &members, &said).await?, true)
        };
        let mut changed = changes(&root.content, &after);
        if !changed.is_empty() {
            kind.complete(&after.props)
                .and_then(|()| check::props_size(&after.props))
                .map_err(GraphError::Invalid)?;
        }
        let rows = self.rows(change.identifiers.iter());
        let linked = self
            .draft
            .link(tx, (node, &kind.name), &members, &rows, &self.asserter)
            .await?;
        if linked > 0 {
            changed.push("identifiers".to_owned());
        }
        self.show(tx, root, &after, folded, changed).await
    }

    /// Writes what an entity shows now, and tells if anybody can see a difference.
    async fn show(
        &mut self,
        tx: &mut ScopedTx,
        root: StoredEntity,
        after: &Content,
        folded: bool,
        changed: Vec<String>,
    ) -> Result<AppliedEntity, GraphError> {
        let id = root.id;
        let restored = match root.deleted_by {
            None => false,
            // The owner deleted it: sources may go on talking of it, and it stays deleted.
            Some(AssertedBy::User) if self.asserter.by != AssertedBy::User => {
                self.draft.update(tx, id, after, root.version, folded).await?;
                return Ok(AppliedEntity {
                    id,
                    version: root.version,
                    created: false,
                });
            }
            Some(_) => true,
        };
        if changed.is_empty() && !restored {
            if folded != root.folded {
                self.draft.mark_folded(tx, id).await?;
            }
            return Ok(AppliedEntity {
                id,
                version: root.version,
                created: false,
            });
        }
        let version = root.version + 1;
        self.draft.update(tx, id, after, version, folded).await?;
        self.on_timeline(tx, id, &root.kind, &root.content, after).await?;
        let kind = root.kind;
        if restored {
            self.draft.leave(tx).await?;
            store::entity_delete(tx, id, version, None).await?;
            self.tell(
                &EntityRestored {
                    entity: id,
                    kind,
                    version,
                },
                id,
                version,
            )?;
        } else {
            let payload = EntityUpdated {
                entity: id,
                kind,
                version,
                changed,
            };
            self.tell(&payload, id, version)?;
        }
        Ok(AppliedEntity {
            id,
            version,
            created: false,
        })
    }

    /// Writes what this source asserts beside the others' claims; the fold of all of them is what the root shows.
    async fn assert_claim(
        &mut self,
        tx: &mut ScopedTx,
        node: EntityId,
        root: &StoredEntity,
        members: &[Uuid],
        said: &Content,
    ) -> Result<Content, GraphError> {
        // A second source speaks: what the first one said becomes a claim of its own.
        if let Some(first) = first_claim(root) {
            self.draft.claim(tx, &first, root.raw).await?;
        }
        let mut claims = self.draft.claims(tx, members).await?;
        let mine = claims
            .iter()
            .position(|claim| claim.entity == node && claim.asserter == self.asserter)
            .map(|at| claims.swap_remove(at));
        let before = mine
            .as_ref()
            .map_or_else(Content::default, |claim| claim.content.clone());
        let after = assert_on(&before, said);
        check::props_size(&after.props).map_err(GraphError::Invalid)?;
        if after.title == before.title && changes(&before, &after).is_empty() {
            claims.extend(mine);
            return Ok(fold(root.id, &claims));
        }
        if mine.is_some() {
            self.draft.claim_close(tx, node, &self.asserter).await?;
        }
        if after != Content::default() {
            let claim = self.claim(tx, node, after);
            self.draft.claim(tx, &claim, self.raw).await?;
            claims.push(claim);
        }
        Ok(fold(root.id, &claims))
    }

    fn claim(&self, tx: &ScopedTx, entity: EntityId, content: Content) -> Claim {
        Claim {
            entity,
            asserter: self.asserter.clone(),
            content,
            confidence: 1.0,
            recorded_from: tx.now(),
        }
    }

    /// Puts what has a time where its participants will look for it, if either has changed.
    async fn on_timeline(
        &mut self,
        tx: &mut ScopedTx,
        id: EntityId,
        kind: &str,
        before: &Content,
        after: &Content,
    ) -> Result<(), GraphError> {
        let Some(at) = after.starts_at else {
            return Ok(());
        };
        if before.starts_at.is_some_and(|was| was != at) {
            self.draft.write(tx).await?;
            store::timeline_move(tx, id, at).await?;
        }
        let (was, is) = (participants(&before.props), participants(&after.props));
        if before.starts_at.is_some() && was == is {
            return Ok(());
        }
        if before.starts_at.is_some() && !was.is_empty() {
            self.draft.write(tx).await?;
            store::timeline_participants_remove(tx, id).await?;
        }
        self.draft.name(is.into_iter().map(|(role, address)| Named {
            item: id,
            kind: kind.to_owned(),
            at,
            role,
            address,
        }));
        Ok(())
    }
}

/// A held entity with all that were merged into it.
pub(crate) async fn members(tx: &mut ScopedTx, root: &StoredEntity) -> Result<Vec<Uuid>, GraphError> {
    if root.absorbed == 0 {
        return Ok(vec![root.id.0]);
    }
    Ok(store::entity_members(tx, root.id).await?)
}

/// Makes a claim of what an entity's only source said, where that has none yet.
pub(crate) async fn claim_first_source(tx: &mut ScopedTx, stored: &StoredEntity) -> Result<(), GraphError> {
    if let Some(first) = first_claim(stored) {
        store::claim_insert(tx, &first, stored.raw).await?;
    }
    Ok(())
}

/// What an entity's only source said; `None`: what is said of it are claims already.
fn first_claim(stored: &StoredEntity) -> Option<Claim> {
    (!stored.folded).then(|| Claim {
        entity: stored.id,
        asserter: stored.asserter.clone(),
        content: stored.content.clone(),
        confidence: 1.0,
        recorded_from: stored.updated_at,
    })
}

fn said(change: &EntityChange) -> Content {
    Content {
        title: change.title.clone(),
        props: change.props.clone(),
        starts_at: change.starts_at,
    }
}
