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
use crate::model::{Claim, Content, assert_on, changes, fold, fold_under, note_until};
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

/// What a source's word makes of an entity.
struct Words {
    /// What it shows then.
    after: Content,
    /// The claims that change.
    replaced: store::Replaced,
}

impl Work<'_> {
    /// Applies it; says how its root stands then, and to which entity it was written.
    pub(super) async fn entity(
        &mut self,
        tx: &mut ScopedTx,
        change: &EntityChange,
    ) -> Result<(AppliedEntity, EntityId), GraphError> {
        let kind = self.types.get(&change.kind).map_err(GraphError::Invalid)?;
        let joins = identity::is_somebody(&kind.name) && !change.identifiers.is_empty();
        if joins {
            self.hold_bearers(tx, kind, change).await?;
        }
        let is_subject = matches!(change.target, Target::Record);
        let (node, held) = self.target(tx, kind, change).await?;
        let mut applied = match held {
            Some(held) => {
                if let Some(record) = self.raw {
                    self.draft.spoke(record, node, is_subject);
                }
                self.update(tx, kind, held, change).await?
            }
            None => {
                // What a record made names it.
                if let Some(record) = self.raw.filter(|_| is_subject) {
                    self.draft.spoke(record, node, true);
                }
                self.create(tx, kind, node, change).await?
            }
        };
        if !self.told_apart.is_empty() {
            self.keep_apart(tx, node, change).await?;
        }
        if joins {
            applied = self.join_bearers(tx, kind, applied, change).await?;
        }
        Ok((applied, node))
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
            Target::Identified | Target::Record => {
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

    pub(super) async fn create(
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
        let bears = store::Bears {
            entity: id,
            members: &[id.0],
            identifiers: &rows,
            is_all: false,
        };
        self.draft.link(tx, &kind.name, &bears, &self.asserter).await?;
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
        let (said, nothing) = (said(change), Content::default());
        let is_all = matches!(change.target, Target::Record);
        let mut words = None;
        let after = if said == nothing {
            root.content.clone()
        } else if !root.folded && root.asserter == self.asserter {
            assert_on(if is_all { &nothing } else { &root.content }, &said)
        } else {
            let asserted = self
                .assert_claim(tx, node, &root, &members, (&said, is_all))
                .await?;
            words.insert(asserted).after.clone()
        };
        let folded = root.folded || words.is_some();
        let mut changed = changes(&root.content, &after);
        if !changed.is_empty() {
            kind.complete(&after.props)
                .and_then(|()| check::props_size(&after.props))
                .map_err(GraphError::Invalid)?;
        }
        // From here on nothing is refused.
        if let Some(words) = words {
            self.draft
                .claims_replace(tx, node, &self.asserter, words.replaced)
                .await?;
        }
        let rows = self.rows(change.identifiers.iter());
        let bears = store::Bears {
            entity: node,
            members: &members,
            identifiers: &rows,
            is_all,
        };
        if self.draft.link(tx, &kind.name, &bears, &self.asserter).await? > 0 {
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
        if root.content.starts_at.is_some() == after.starts_at.is_some() {
            self.on_timeline(tx, id, &root.kind, &root.content, after).await?;
        } else {
            self.draft.leave(tx).await?;
            timeline_anew(tx, id, &root.kind, after).await?;
        }
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

    /// What this source asserts, in place of or on top of what it asserted before, beside the others' claims, and the fold
    /// of all of them, which the root will show. Writes nothing.
    async fn assert_claim(
        &mut self,
        tx: &mut ScopedTx,
        node: EntityId,
        root: &StoredEntity,
        members: &[Uuid],
        (said, is_all): (&Content, bool),
    ) -> Result<Words, GraphError> {
        let mut claims = self.draft.claims(tx, members).await?;
        let mut replaced = store::Replaced::default();
        if let Some(first) = first_claim(root) {
            // A second source speaks: what the first one said becomes a claim of its own.
            claims.push(first.clone());
            replaced.written.push((first, root.raw));
        }
        let mine = claims
            .iter()
            .position(|claim| claim.entity == node && claim.asserter == self.asserter)
            .map(|at| claims.swap_remove(at));
        let before = mine
            .as_ref()
            .map_or_else(Content::default, |claim| claim.content.clone());
        let base = if is_all {
            Content::default()
        } else {
            before.clone()
        };
        let mut after = assert_on(&base, said);
        let under = match self.until {
            [] => Content::default(),
            _ => fold_under(root.id, &claims, &self.claim(tx, node, Content::default())),
        };
        note_until(&mut after, said, self.until, &under);
        check::props_size(&after.props).map_err(GraphError::Invalid)?;
        if after.title == before.title && changes(&before, &after).is_empty() {
            claims.extend(mine);
            let after = fold(root.id, &claims);
            return Ok(Words { after, replaced });
        }
        replaced.closes = mine.is_some();
        if after != Content::default() {
            let claim = self.claim(tx, node, after);
            replaced.written.push((claim.clone(), self.raw));
            claims.push(claim);
        }
        let after = fold(root.id, &claims);
        Ok(Words { after, replaced })
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

/// Puts an entity on timelines as it is now, with all that were merged into it, wherever it or they stood before.
pub(crate) async fn timeline_anew(
    tx: &mut ScopedTx,
    root: EntityId,
    kind: &str,
    shown: &Content,
) -> Result<(), GraphError> {
    let members = store::entity_members(tx, root).await?;
    store::timeline_remove(tx, &members).await?;
    if let Some(at) = shown.starts_at {
        let named = participants(&shown.props);
        let named = named.into_iter().map(|(role, address)| Named {
            item: root,
            kind: kind.to_owned(),
            at,
            role,
            address,
        });
        let named: Vec<Named> = named.collect();
        if !named.is_empty() {
            store::timeline_named_all(tx, &named).await?;
        }
        store::timeline_relations_add(tx, root, &members).await?;
    }
    Ok(())
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

pub(super) fn said(change: &EntityChange) -> Content {
    Content {
        title: change.title.clone(),
        props: change.props.clone(),
        starts_at: change.starts_at,
    }
}
