//! Records that are taken in and understood together.
//!
//! Events out: as `intake`.
//! Invariant: each record means what it would mean alone, after those before it: the same code applies it, on a draft
//! that is written at once. Begin with [`Batch`].

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use contracts::events::connector::{DataReceived, RecordParked};
use contracts::{EntityId, RawRecordId};
use spine::ScopedTx;
use spine::ports::{
    Applied, Change, Entity, GraphError, GraphRead, Identifier, IntakeBatch, RawRecord, Received,
    RecordIntake,
};

use crate::apply::{ToldApart, Work};
use crate::draft::{Draft, key};
use crate::model::shown_title;
use crate::normalise::normalise;
use crate::store::{RawRow, StoredEntity};
use crate::{Graph, check, raw, store};

/// A batch under way.
pub(crate) struct Batch<'a> {
    graph: &'a Graph,
    source: String,
    /// Of one record: each step is written as it is made.
    is_alone: bool,
    draft: Draft,
    /// Of whom the next record says that they are not the same.
    told_apart: ToldApart,
    is_spoilt: bool,
}

impl<'a> Batch<'a> {
    /// A batch of about so many of a source's records, with nothing in it.
    pub(crate) fn new(graph: &'a Graph, source: &str, size: usize) -> Self {
        Self {
            graph,
            source: source.to_owned(),
            is_alone: size <= 1,
            draft: Draft::default(),
            told_apart: ToldApart::default(),
            is_spoilt: false,
        }
    }
}

impl Batch<'_> {
    /// Which of these take another revision's place, or may: those are taken in one by one, past the draft.
    async fn revised(&self, tx: &mut ScopedTx, rows: &[RawRow]) -> Result<BTreeSet<usize>, GraphError> {
        let known = store::raw_revised(tx, &self.source, rows).await?;
        let mut revised: BTreeSet<usize> = known.into_iter().collect();
        let mut places: BTreeMap<(&str, &[u8]), Vec<usize>> = BTreeMap::new();
        for (place, row) in rows.iter().enumerate() {
            let key = (row.stream.as_str(), row.remote_key.as_slice());
            places.entry(key).or_default().push(place);
        }
        revised.extend(places.into_values().filter(|places| places.len() > 1).flatten());
        Ok(revised)
    }
}

/// What is done with what a record means.
#[derive(Clone, Copy)]
enum Deed<'a> {
    Understand,
    Relate(&'a [&'static str]),
}

impl Batch<'_> {
    /// Applies a part of what a record means to the draft.
    async fn work(
        &mut self,
        tx: &mut ScopedTx,
        record: RawRecordId,
        change: Change,
        deed: Deed<'_>,
    ) -> Result<Applied, GraphError> {
        let types = self.graph.types(tx).await?;
        let change = check::change(types, tx.scope().principal(), change).map_err(GraphError::Invalid)?;
        let mut work = Work::new(types, change.by, &change.source);
        work.draft = std::mem::take(&mut self.draft);
        work.told_apart = std::mem::take(&mut self.told_apart);
        let outcome = match deed {
            Deed::Understand => work.understand(tx, record, &change).await,
            Deed::Relate(unread) => work.relate(tx, record, &change, unread).await,
        };
        self.draft = std::mem::take(&mut work.draft);
        self.is_spoilt |= outcome.is_err();
        if outcome.is_ok() {
            work.tell_all(tx)?;
        }
        outcome
    }
}

#[async_trait]
impl IntakeBatch for Batch<'_> {
    async fn receive(
        &mut self,
        tx: &mut ScopedTx,
        records: Vec<RawRecord>,
    ) -> Result<Vec<Result<Received, GraphError>>, GraphError> {
        check::name("source", &self.source).map_err(GraphError::Invalid)?;
        if self.is_alone {
            let mut outcome = Vec::with_capacity(records.len());
            for record in records {
                outcome.push(match self.graph.receive(tx, &self.source, record).await {
                    Err(GraphError::Access(away)) => return Err(away.into()),
                    own => own,
                });
            }
            return Ok(outcome);
        }
        let (mut rows, mut refused, mut streams) = (Vec::new(), Vec::new(), Vec::new());
        for (place, record) in records.iter().enumerate() {
            match raw::row(self.graph, tx, &self.source, record, "received", None) {
                Ok(row) => {
                    streams.push((record.connection, row.stream.clone()));
                    rows.push(row);
                }
                Err(error) => refused.push((place, error)),
            }
        }
        // What was received before may be of the same things.
        self.draft.write(tx).await?;
        let revised = self.revised(tx, &rows).await?;
        let mut outcome = Vec::with_capacity(records.len());
        let mut fresh = Vec::new();
        for (place, row) in rows.into_iter().enumerate() {
            if !revised.contains(&place) {
                fresh.push(row);
            }
        }
        let mut fresh = self
            .draft
            .records
            .receive(tx, &self.source, fresh)
            .await?
            .into_iter();
        let taken = records
            .iter()
            .enumerate()
            .filter(|(place, _)| refused.iter().all(|(one, _)| one != place));
        for (nth, ((_, record), (connection, stream))) in taken.zip(streams).enumerate() {
            if revised.contains(&nth) {
                let received = self.graph.receive(tx, &self.source, record.clone()).await;
                if let Ok(received) = &received {
                    self.draft.records.is_revised(received.id);
                }
                outcome.push(received);
                continue;
            }
            let Some((id, known, parked)) = fresh.next() else {
                break;
            };
            if !known {
                let payload = DataReceived {
                    raw_record: id,
                    connection,
                    source: self.source.clone(),
                    stream,
                };
                tx.publish_about(id, &payload)?;
            }
            outcome.push(Ok(Received {
                id,
                known,
                parked,
                before: None,
            }));
        }
        for (place, error) in refused {
            outcome.insert(place, Err(error));
        }
        Ok(outcome)
    }

    async fn expect(
        &mut self,
        tx: &mut ScopedTx,
        known_by: Vec<(String, Identifier)>,
    ) -> Result<(), GraphError> {
        if self.is_alone {
            return Ok(());
        }
        let kinds: BTreeSet<String> = known_by.iter().map(|(kind, _)| kind.clone()).collect();
        let keys = known_by.iter().filter_map(|(_, one)| normalise(one).ok());
        self.draft
            .hold(tx, keys.map(|one| key(&one)).collect(), &kinds)
            .await
    }

    async fn entity(&mut self, tx: &mut ScopedTx, id: EntityId) -> Result<Option<Entity>, GraphError> {
        if let Some(held) = self.draft.held(id) {
            return Ok(Some(held).filter(|held| held.deleted_by.is_none()).map(shown));
        }
        self.draft.write(tx).await?;
        self.graph.entity(tx, id).await
    }

    async fn entity_by_identifier(
        &mut self,
        tx: &mut ScopedTx,
        kind: &str,
        identifier: &Identifier,
    ) -> Result<Option<Entity>, GraphError> {
        let Ok(identifier) = normalise(identifier) else {
            return Ok(None);
        };
        if let Some(found) = self.draft.known_bearer(kind, &identifier) {
            return Ok(found.map(shown));
        }
        self.draft.write(tx).await?;
        self.graph.entity_by_identifier(tx, kind, &identifier).await
    }

    async fn understand(
        &mut self,
        tx: &mut ScopedTx,
        record: RawRecordId,
        change: Change,
    ) -> Result<Applied, GraphError> {
        if self.is_alone {
            let told_apart = std::mem::take(&mut self.told_apart);
            return self.graph.understand_apart(tx, record, change, told_apart).await;
        }
        if !self.draft.records.hold(tx, record).await? {
            return Err(GraphError::Invalid(format!("there is no record {record}")));
        }
        self.work(tx, record, change, Deed::Understand).await
    }

    fn tell_apart(&mut self, one: Identifier, others: Vec<Identifier>) {
        self.told_apart.insert(key(&one), others);
    }

    async fn relate(
        &mut self,
        tx: &mut ScopedTx,
        record: RawRecordId,
        change: Change,
        unread: &[&'static str],
    ) -> Result<Applied, GraphError> {
        if self.is_alone {
            return self.graph.relate(tx, record, change, unread).await;
        }
        self.work(tx, record, change, Deed::Relate(unread)).await
    }

    async fn park(&mut self, tx: &mut ScopedTx, record: RawRecordId, reason: &str) -> Result<(), GraphError> {
        let reason = raw::reason(reason);
        let Some(source) = self.draft.records.park(record, &reason) else {
            return self.graph.park_received(tx, record, &reason).await;
        };
        let payload = RecordParked {
            raw_record: record,
            source,
            reason,
        };
        tx.publish_about(record, &payload)?;
        Ok(())
    }

    fn is_spoilt(&self) -> bool {
        self.is_spoilt
    }

    async fn write(&mut self, tx: &mut ScopedTx) -> Result<(), GraphError> {
        self.draft.leave(tx).await
    }
}

/// An entity that is held, as readers see it.
fn shown(held: &StoredEntity) -> Entity {
    Entity {
        id: held.id,
        kind: held.kind.clone(),
        title: shown_title(&held.content),
        props: held.content.props.clone(),
        version: held.version,
        starts_at: held.content.starts_at,
        created_at: held.created_at,
        updated_at: held.updated_at,
    }
}
