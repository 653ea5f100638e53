//! Applies a change: raw record, entities with their claims and identifiers, relations; then tells what happened.
//!
//! Events out: `connector.DataReceived`, `data.EntityCreated`, `data.EntityUpdated`, `data.EntityRestored`,
//! `data.EntityMerged`, `data.RelationAdded`, `data.RelationRemoved`.
//! Invariant: all of it or, when it is refused, nothing, so that the caller may park the record in the same
//! transaction. Two deliveries at once wait for each other at the raw record or at an identifier's row.
//! Begin with [`Work::run`], then `entity`.

pub(crate) mod entity;
pub(crate) mod made;
mod new;
mod relation;
mod removal;
pub(crate) mod rings;
mod statement;

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use contracts::events::connector::DataReceived;
use contracts::{EntityId, EventPayload, NewEvent, RawRecordId, RelationId};
use spine::ports::{
    Applied, AssertedBy, Change, EntityChange, GraphError, GraphWrite, Identifier, RawRecord, RelationChange,
    Target, Until,
};
use spine::{AccessError, ScopedTx};
use uuid::Uuid;

use crate::draft::{Draft, Key, key};
use crate::model::Asserter;
use crate::schema::Types;
use crate::{Graph, check, raw, store};

#[async_trait]
impl GraphWrite for Graph {
    async fn apply(&self, tx: &mut ScopedTx, change: Change) -> Result<Applied, GraphError> {
        self.apply_until(tx, change, &[]).await
    }

    async fn apply_until(
        &self,
        tx: &mut ScopedTx,
        change: Change,
        until: &[Until],
    ) -> Result<Applied, GraphError> {
        let types = self.types(tx).await?;
        let change = check::change(types, tx.scope().principal(), change).map_err(GraphError::Invalid)?;
        check::born(&change, tx.now()).map_err(GraphError::Invalid)?;
        if until.is_empty()
            && let [entity] = change.entities.as_slice()
            && let Target::New(id) = entity.target
            && new::fits(&change)
            && let Some(applied) = Work::new(types, change.by, &change.source)
                .add(self, tx, &change, id)
                .await?
        {
            return Ok(applied);
        }
        let mut work = Work::new(types, change.by, &change.source);
        work.until = until;
        if is_refused_unwritten(&change) {
            // There is nothing to go back to.
            let applied = work.run(self, tx, &change).await?;
            work.draft.write(tx).await?;
            work.tell_all(tx)?;
            return Ok(applied);
        }
        store::savepoint(tx).await?;
        let outcome = work.run(self, tx, &change).await;
        work.end(tx, outcome).await
    }

    async fn unrelate(
        &self,
        tx: &mut ScopedTx,
        by: AssertedBy,
        source: &str,
        edge: &RelationChange,
    ) -> Result<bool, GraphError> {
        check::name("source", source).map_err(GraphError::Invalid)?;
        let mut work = Work::new(self.types(tx).await?, by, source);
        store::savepoint(tx).await?;
        let outcome = work.unrelate(tx, edge, None).await;
        work.end(tx, outcome).await
    }

    async fn apply_new(&self, tx: &mut ScopedTx, change: &Change) -> Result<Option<Applied>, GraphError> {
        let types = self.types(tx).await?;
        let change =
            check::change(types, tx.scope().principal(), change.clone()).map_err(GraphError::Invalid)?;
        if !new::fits(&change) {
            return Ok(None);
        }
        let id = match change.entities.first().map(|entity| &entity.target) {
            Some(Target::New(id)) => *id,
            Some(Target::Identified) => EntityId::new(),
            Some(Target::Existing(_) | Target::Record) | None => return Ok(None),
        };
        Work::new(types, change.by, &change.source)
            .add(self, tx, &change, id)
            .await
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

/// Of whom a record says that they are not the same: by what one is known, by what the others are.
pub(crate) type ToldApart = HashMap<Key, Vec<Identifier>>;

/// A change on its way into the graph.
pub(crate) struct Work<'a> {
    pub(crate) types: &'a Types,
    pub(crate) asserter: Asserter,
    raw: Option<RawRecordId>,
    /// What is said only until the other sources' word changes.
    until: &'a [Until],
    /// Who isn't the same as whom.
    pub(crate) told_apart: ToldApart,
    /// What is read and not yet written.
    pub(crate) draft: Draft,
    /// What will be told once everything is written.
    pub(crate) events: Vec<NewEvent>,
    /// What a source said that would have closed a ring.
    rings: Vec<RelationChange>,
    /// Relations that hold by the word of another record of the source.
    restated: Vec<RelationId>,
}

impl<'a> Work<'a> {
    pub(crate) fn new(types: &'a Types, by: AssertedBy, source: &str) -> Self {
        Self {
            types,
            asserter: Asserter {
                by,
                source: source.to_owned(),
            },
            raw: None,
            until: &[],
            told_apart: ToldApart::default(),
            draft: Draft::default(),
            events: Vec::new(),
            rings: Vec::new(),
            restated: Vec::new(),
        }
    }

    /// Keeps what was done, or, when it was refused, nothing of it. The savepoint was made before the work began.
    pub(crate) async fn end<T>(
        mut self,
        tx: &mut ScopedTx,
        outcome: Result<T, GraphError>,
    ) -> Result<T, GraphError> {
        match outcome {
            Ok(done) => {
                self.draft.write(tx).await?;
                store::savepoint_release(tx).await?;
                self.tell_all(tx)?;
                Ok(done)
            }
            Err(refused @ (GraphError::Invalid(_) | GraphError::NotFound(_))) => {
                store::savepoint_rollback(tx).await?;
                Err(refused)
            }
            Err(away) => Err(away),
        }
    }

    /// Publishes what was remembered.
    pub(crate) fn tell_all(self, tx: &mut ScopedTx) -> Result<(), AccessError> {
        for event in self.events {
            tx.publish(event)?;
        }
        Ok(())
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
        self.write(tx, change, &mut applied).await?;
        Ok(applied)
    }

    /// Applies what a record means that was taken in before.
    pub(crate) async fn understand(
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
        self.draft.records.understood(record);
        Ok(applied)
    }

    async fn write(
        &mut self,
        tx: &mut ScopedTx,
        change: &Change,
        applied: &mut Applied,
    ) -> Result<(), GraphError> {
        self.hold(tx, &change.entities).await?;
        for entity in &change.entities {
            let (shown, written_to) = self.entity(tx, entity).await?;
            applied.entities.push(shown);
            applied.written_to.push(written_to);
        }
        for relation in &change.relations {
            applied.relations.extend(self.relation(tx, relation).await?);
        }
        applied.rings.append(&mut self.rings);
        for ring in &applied.rings {
            let (source, predicate) = (&self.asserter.source, &ring.predicate);
            tracing::warn!(source, predicate, from = %ring.from, to = %ring.to, "a relation that would close a ring is left out");
        }
        Ok(())
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

    /// Remembers to tell of a version of an entity.
    pub(crate) fn tell<P: EventPayload>(
        &mut self,
        payload: &P,
        entity: EntityId,
        version: i64,
    ) -> Result<(), GraphError> {
        let event = NewEvent::of(payload).map_err(AccessError::Payload)?;
        self.events.push(event.about_version(entity, version));
        Ok(())
    }

    pub(crate) async fn hold(
        &mut self,
        tx: &mut ScopedTx,
        entities: &[EntityChange],
    ) -> Result<(), GraphError> {
        let keys = entities.iter().flat_map(|entity| &entity.identifiers).map(key);
        let kinds: BTreeSet<String> = entities.iter().map(|entity| entity.kind.clone()).collect();
        self.draft.hold(tx, keys.collect(), &kinds).await
    }

    /// The rows of identifiers of the change.
    pub(crate) fn rows<'i>(&self, identifiers: impl Iterator<Item = &'i Identifier>) -> Vec<Uuid> {
        identifiers
            .filter_map(|identifier| self.draft.row(identifier))
            .collect()
    }
}

/// Whether the change, if it is refused at all, is refused before anything of it is written: a record alone, or one
/// entity that is there, without a record or identifiers.
fn is_refused_unwritten(change: &Change) -> bool {
    let is_there =
        |entity: &EntityChange| matches!(entity.target, Target::Existing(_)) && entity.identifiers.is_empty();
    change.relations.is_empty()
        && match change.entities.as_slice() {
            [] => true,
            [entity] => change.raw.is_none() && is_there(entity),
            _ => false,
        }
}
