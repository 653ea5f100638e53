//! Applies a change: raw record, entities with their claims and identifiers, relations; then tells what happened.
//!
//! Events out: `connector.DataReceived`, `data.EntityCreated`, `data.EntityUpdated`, `data.RelationAdded`.
//! Invariant: all of it or, when it is refused, nothing, so that the caller may park the record in the same
//! transaction. Two deliveries at once wait for each other at the raw record or at an identifier's row.
//! Begin with [`Work::run`].

use std::collections::BTreeMap;

use async_trait::async_trait;
use contracts::events::connector::DataReceived;
use contracts::events::data::{EntityCreated, EntityUpdated, RelationAdded};
use contracts::{EntityId, NewEvent, RawRecordId, RelationId};
use spine::ports::{
    Applied, AppliedEntity, AssertedBy, Change, EntityChange, GraphError, GraphWrite, Identifier, RawRecord,
    RelationChange, Target,
};
use spine::{AccessError, ScopedTx};
use uuid::Uuid;

use crate::model::{Asserter, Claim, Content, assert_on, changes, fold};
use crate::schema::{EntityType, Types};
use crate::{Graph, check, raw, store};

#[async_trait]
impl GraphWrite for Graph {
    async fn apply(&self, tx: &mut ScopedTx, change: Change) -> Result<Applied, GraphError> {
        let types = self.types(tx).await?;
        let change = check::change(types, tx.scope().principal(), change).map_err(GraphError::Invalid)?;
        let mut work = Work::new(types, &change);
        store::savepoint(tx).await?;
        match work.run(self, tx, &change).await {
            Ok(applied) => {
                store::savepoint_release(tx).await?;
                for event in work.events {
                    tx.publish(event)?;
                }
                Ok(applied)
            }
            Err(refused @ (GraphError::Invalid(_) | GraphError::NotFound(_))) => {
                store::savepoint_rollback(tx).await?;
                Err(refused)
            }
            Err(away) => Err(away),
        }
    }

    async fn park(
        &self,
        tx: &mut ScopedTx,
        source: &str,
        raw: RawRecord,
        reason: &str,
    ) -> Result<RawRecordId, GraphError> {
        raw::park(self, tx, source, raw, reason).await
    }
}

impl Graph {
    pub(crate) async fn types(&self, tx: &mut ScopedTx) -> Result<&Types, GraphError> {
        self.types
            .get_or_try_init(|| async {
                let rows = store::entity_type_list(tx).await?;
                Types::new(rows).map_err(|error| GraphError::Access(AccessError::Payload(error)))
            })
            .await
    }
}

/// A change on its way into the graph.
struct Work<'a> {
    types: &'a Types,
    asserter: Asserter,
    raw: Option<RawRecordId>,
    /// The rows of all identifiers of the change, locked.
    identifiers: BTreeMap<(String, String), Uuid>,
    /// What will be told once everything is written.
    events: Vec<NewEvent>,
}

impl<'a> Work<'a> {
    fn new(types: &'a Types, change: &Change) -> Self {
        Self {
            types,
            asserter: Asserter {
                by: change.by,
                source: change.source.clone(),
            },
            raw: None,
            identifiers: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    async fn run(
        &mut self,
        graph: &Graph,
        tx: &mut ScopedTx,
        change: &Change,
    ) -> Result<Applied, GraphError> {
        let mut applied = Applied::default();
        if let Some(record) = &change.raw {
            let taken = raw::take_in(graph, tx, &change.source, record).await?;
            applied.raw = Some(taken.id);
            if taken.known {
                applied.duplicate = true;
                return Ok(applied);
            }
            self.raw = Some(taken.id);
            self.received(taken.id, &change.source, record)?;
        }
        self.lock_identifiers(tx, &change.entities).await?;
        for entity in &change.entities {
            applied.entities.push(self.entity(tx, entity).await?);
        }
        for relation in &change.relations {
            applied.relations.push(self.relation(tx, relation).await?);
        }
        Ok(applied)
    }

    fn received(&mut self, id: RawRecordId, source: &str, record: &RawRecord) -> Result<(), GraphError> {
        let payload = DataReceived {
            raw_record: id,
            connection: record.connection,
            source: source.to_owned(),
            stream: record.stream.clone(),
        };
        self.events
            .push(NewEvent::of(&payload).map_err(AccessError::Payload)?.about(id));
        Ok(())
    }

    /// All at once and in order, so that two changes that share several identifiers can't wait for each other in a ring.
    async fn lock_identifiers(
        &mut self,
        tx: &mut ScopedTx,
        entities: &[EntityChange],
    ) -> Result<(), GraphError> {
        let mut keys: Vec<(String, String)> = entities
            .iter()
            .flat_map(|entity| &entity.identifiers)
            .map(key)
            .collect();
        keys.sort();
        keys.dedup();
        if !keys.is_empty() {
            self.identifiers = store::identifier_lock(tx, &keys).await?;
        }
        Ok(())
    }

    fn rows<'i>(&self, identifiers: impl Iterator<Item = &'i Identifier>) -> Vec<Uuid> {
        identifiers
            .filter_map(|identifier| self.identifiers.get(&key(identifier)).copied())
            .collect()
    }

    async fn entity(
        &mut self,
        tx: &mut ScopedTx,
        change: &EntityChange,
    ) -> Result<AppliedEntity, GraphError> {
        let kind = self.types.get(&change.kind).map_err(GraphError::Invalid)?;
        let (id, found) = match change.target {
            Target::Existing(id) => (
                id,
                Some(
                    store::entity_lock(tx, id)
                        .await?
                        .ok_or(GraphError::NotFound(id))?,
                ),
            ),
            Target::New(id) => (id, None),
            Target::Identified => {
                let bearer = store::entity_bearer(tx, &kind.name, &self.rows(check::strong(change))).await?;
                match bearer {
                    Some(id) => (id, store::entity_lock(tx, id).await?),
                    None => (EntityId::new(), None),
                }
            }
        };
        match found {
            Some(stored) => self.update(tx, kind, id, stored, change).await,
            None => self.create(tx, kind, id, change).await,
        }
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
        if !store::entity_insert(tx, &row).await? {
            return Err(GraphError::Invalid(format!("there is an entity {id} already")));
        }
        if row.folded {
            store::claim_insert(tx, id, &self.claim(tx, content), self.raw).await?;
        }
        store::identifier_link(tx, id, &self.rows(change.identifiers.iter()), &self.asserter).await?;
        let payload = EntityCreated {
            entity: id,
            kind: kind.name.clone(),
            version: 1,
        };
        self.events.push(
            NewEvent::of(&payload)
                .map_err(AccessError::Payload)?
                .about_version(id, 1),
        );
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
        id: EntityId,
        stored: store::StoredEntity,
        change: &EntityChange,
    ) -> Result<AppliedEntity, GraphError> {
        if stored.kind != kind.name {
            return Err(GraphError::Invalid(format!(
                "entity {id} is a {}, not a {}",
                stored.kind, kind.name
            )));
        }
        let said = said(change);
        let (after, folded) = if said == Content::default() {
            (stored.content.clone(), stored.folded)
        } else if !stored.folded && stored.asserter == self.asserter {
            (assert_on(&stored.content, &said), false)
        } else {
            (self.assert_claim(tx, id, &stored, &said).await?, true)
        };
        let mut changed = changes(&stored.content, &after);
        if !changed.is_empty() {
            kind.complete(&after.props)
                .and_then(|()| check::props_size(&after.props))
                .map_err(GraphError::Invalid)?;
        }
        let linked =
            store::identifier_link(tx, id, &self.rows(change.identifiers.iter()), &self.asserter).await?;
        if linked > 0 {
            changed.push("identifiers".to_owned());
        }
        if changed.is_empty() {
            if folded != stored.folded {
                store::entity_mark_folded(tx, id).await?;
            }
            return Ok(AppliedEntity {
                id,
                version: stored.version,
                created: false,
            });
        }
        let version = stored.version + 1;
        store::entity_update(tx, id, &after, version, folded).await?;
        let payload = EntityUpdated {
            entity: id,
            kind: kind.name.clone(),
            version,
            changed,
        };
        self.events.push(
            NewEvent::of(&payload)
                .map_err(AccessError::Payload)?
                .about_version(id, version),
        );
        Ok(AppliedEntity {
            id,
            version,
            created: false,
        })
    }

    /// Writes what this source asserts beside the others' claims; the fold of all of them is the entity.
    async fn assert_claim(
        &self,
        tx: &mut ScopedTx,
        id: EntityId,
        stored: &store::StoredEntity,
        said: &Content,
    ) -> Result<Content, GraphError> {
        if !stored.folded {
            // A second source speaks: what the first one said becomes a claim of its own.
            let first = Claim {
                asserter: stored.asserter.clone(),
                content: stored.content.clone(),
                confidence: 1.0,
                recorded_from: stored.updated_at,
            };
            store::claim_insert(tx, id, &first, stored.raw).await?;
        }
        let mut claims = store::claim_current_list(tx, id).await?;
        let mine = claims
            .iter()
            .position(|claim| claim.asserter == self.asserter)
            .map(|at| claims.swap_remove(at));
        let before = mine
            .as_ref()
            .map_or_else(Content::default, |claim| claim.content.clone());
        let after = assert_on(&before, said);
        check::props_size(&after.props).map_err(GraphError::Invalid)?;
        if after.title == before.title && changes(&before, &after).is_empty() {
            claims.extend(mine);
            return Ok(fold(&claims));
        }
        if mine.is_some() {
            store::claim_close(tx, id, &self.asserter).await?;
        }
        if after != Content::default() {
            let claim = self.claim(tx, after);
            store::claim_insert(tx, id, &claim, self.raw).await?;
            claims.push(claim);
        }
        Ok(fold(&claims))
    }

    fn claim(&self, tx: &ScopedTx, content: Content) -> Claim {
        Claim {
            asserter: self.asserter.clone(),
            content,
            confidence: 1.0,
            recorded_from: tx.now(),
        }
    }

    async fn relation(
        &mut self,
        tx: &mut ScopedTx,
        change: &RelationChange,
    ) -> Result<RelationId, GraphError> {
        // The lock makes two sources that say the same at once wait for each other, so that it is told once.
        if !store::entity_hold(tx, change.from).await? {
            return Err(GraphError::NotFound(change.from));
        }
        if !store::entity_exists(tx, change.to).await? {
            return Err(GraphError::NotFound(change.to));
        }
        let rows = store::relation_rows(tx, change).await?;
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
        let id = RelationId::new();
        store::relation_insert(tx, id, change, &self.asserter, self.raw).await?;
        if by_user && rows.iter().any(|row| row.refused) {
            store::relation_unrefuse(tx, change).await?;
        }
        if !rows.iter().any(|row| row.live) {
            let RelationChange { from, predicate, to } = change.clone();
            let payload = RelationAdded {
                relation: id,
                from,
                predicate,
                to,
            };
            self.events
                .push(NewEvent::of(&payload).map_err(AccessError::Payload)?.about(id));
        }
        Ok(id)
    }
}

fn key(identifier: &Identifier) -> (String, String) {
    (identifier.scheme.clone(), identifier.value.clone())
}

fn said(change: &EntityChange) -> Content {
    Content {
        title: change.title.clone(),
        props: change.props.clone(),
        starts_at: change.starts_at,
    }
}
