//! A graph in memory, for tests of services that write and read one through the ports. It folds by overwriting, knows
//! raw records again, and keeps what was written even when the transaction is rolled back.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use contracts::events::communication::Party;
use contracts::events::connector::DataReceived;
use contracts::{AccountId, EntityId, RawRecordId};
use serde_json::Value;

use crate::access::ScopedTx;
use crate::ports::{
    Applied, AppliedEntity, Change, Entity, EntityChange, GraphError, GraphRead, GraphWrite, Identifier,
    KeptRecord, ParkedRecord, RawRecord, RawRecords, Target,
};

/// Source, stream, remote id and revision of a raw record.
type RawKey = (AccountId, String, String, String, String);

/// The graph.
#[derive(Debug, Default)]
pub struct MemoryGraph(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    entities: BTreeMap<(AccountId, EntityId), Entity>,
    identifiers: Vec<(AccountId, Identifier, EntityId)>,
    raw: BTreeMap<RawKey, RawRecordId>,
    parked: Vec<(RawRecordId, String, String, RawRecord)>,
}

impl MemoryGraph {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Source and reason of each parked record, oldest first.
    pub fn parked(&self) -> Vec<(String, String)> {
        let told = |(_, source, reason, _): &(RawRecordId, String, String, RawRecord)| {
            (source.clone(), reason.clone())
        };
        self.lock().parked.iter().map(told).collect()
    }

    /// The id of the newest parked record.
    pub fn newest_parked(&self) -> Option<RawRecordId> {
        self.lock().parked.last().map(|(id, ..)| *id)
    }

    /// How many raw records it holds, parked ones not among them.
    pub fn raw_records(&self) -> usize {
        self.lock().raw.len()
    }

    /// All entities of a type, of all accounts.
    pub fn all(&self, kind: &str) -> Vec<Entity> {
        self.lock()
            .entities
            .values()
            .filter(|entity| entity.kind == kind)
            .cloned()
            .collect()
    }
}

impl Inner {
    fn write(&mut self, tx: &ScopedTx, change: EntityChange) -> Result<AppliedEntity, GraphError> {
        let account = tx.account();
        let known = |identifier: &Identifier| {
            let found = self
                .identifiers
                .iter()
                .find(|(of, each, _)| *of == account && each == identifier);
            found.map(|(.., id)| *id)
        };
        let id = match change.target {
            Target::Existing(id) if !self.entities.contains_key(&(account, id)) => {
                return Err(GraphError::NotFound(id));
            }
            Target::Existing(id) | Target::New(id) => id,
            Target::Identified | Target::Record => {
                change.identifiers.iter().find_map(known).unwrap_or_default()
            }
        };
        let created = !self.entities.contains_key(&(account, id));
        let entity = self.entities.entry((account, id)).or_insert_with(|| Entity {
            id,
            kind: change.kind,
            title: None,
            props: serde_json::Map::new(),
            version: 0,
            starts_at: None,
            created_at: tx.now(),
            updated_at: tx.now(),
        });
        entity.version += 1;
        entity.updated_at = tx.now();
        entity.title = change.title.or_else(|| entity.title.take());
        entity.starts_at = change.starts_at.or(entity.starts_at);
        for (name, value) in change.props {
            match value {
                Value::Null => drop(entity.props.remove(&name)),
                value => drop(entity.props.insert(name, value)),
            }
        }
        let version = entity.version;
        self.identifiers.extend(
            change
                .identifiers
                .into_iter()
                .map(|identifier| (account, identifier, id)),
        );
        Ok(AppliedEntity { id, version, created })
    }

    fn take_in(&mut self, tx: &ScopedTx, source: &str, raw: &RawRecord) -> (RawRecordId, bool) {
        let RawRecord {
            stream,
            remote_id,
            revision,
            ..
        } = raw.clone();
        let key = (tx.account(), source.to_owned(), stream, remote_id, revision);
        let duplicate = self.raw.contains_key(&key);
        (*self.raw.entry(key).or_default(), duplicate)
    }
}

#[async_trait]
impl GraphWrite for MemoryGraph {
    async fn apply(&self, tx: &mut ScopedTx, change: Change) -> Result<Applied, GraphError> {
        let mut inner = self.lock();
        let mut applied = Applied::default();
        if let Some(raw) = change.raw {
            let (raw_record, duplicate) = inner.take_in(tx, &change.source, &raw);
            (applied.raw, applied.duplicate) = (Some(raw_record), duplicate);
            if duplicate {
                return Ok(applied);
            }
            let RawRecord {
                connection, stream, ..
            } = raw;
            tx.publish_about(
                raw_record,
                &DataReceived {
                    raw_record,
                    connection,
                    source: change.source,
                    stream,
                },
            )?;
        }
        for entity in change.entities {
            let written = inner.write(tx, entity)?;
            applied.written_to.push(written.id);
            applied.entities.push(written);
        }
        Ok(applied)
    }

    async fn park(
        &self,
        _: &mut ScopedTx,
        source: &str,
        raw: RawRecord,
        reason: &str,
    ) -> Result<RawRecordId, GraphError> {
        let id = RawRecordId::new();
        self.lock()
            .parked
            .push((id, source.to_owned(), reason.to_owned(), raw));
        Ok(id)
    }
}

#[async_trait]
impl RawRecords for MemoryGraph {
    async fn parked(&self, _: &mut ScopedTx) -> Result<Vec<ParkedRecord>, GraphError> {
        Ok(Vec::new())
    }

    async fn record(&self, _: &mut ScopedTx, id: RawRecordId) -> Result<Option<KeptRecord>, GraphError> {
        let inner = self.lock();
        let found = inner.parked.iter().find(|(each, ..)| *each == id);
        Ok(found.map(|(_, source, reason, record)| KeptRecord {
            superseded: false,
            source: source.clone(),
            parked: Some(reason.clone()),
            record: record.clone(),
        }))
    }
}

#[async_trait]
impl GraphRead for MemoryGraph {
    async fn entity(&self, tx: &mut ScopedTx, id: EntityId) -> Result<Option<Entity>, GraphError> {
        Ok(self.lock().entities.get(&(tx.account(), id)).cloned())
    }

    async fn entity_by_identifier(
        &self,
        tx: &mut ScopedTx,
        kind: &str,
        identifier: &Identifier,
    ) -> Result<Option<Entity>, GraphError> {
        let (inner, account) = (self.lock(), tx.account());
        let mut bearers = inner
            .identifiers
            .iter()
            .filter(|(of, each, _)| *of == account && each == identifier);
        let found =
            bearers.find_map(|(.., id)| inner.entities.get(&(account, *id)).filter(|one| one.kind == kind));
        Ok(found.cloned())
    }

    async fn entities(&self, tx: &mut ScopedTx, kind: &str) -> Result<Vec<Entity>, GraphError> {
        let (inner, account) = (self.lock(), tx.account());
        let own = inner
            .entities
            .iter()
            .filter(|((of, _), entity)| *of == account && entity.kind == kind);
        Ok(own.map(|(_, entity)| entity.clone()).collect())
    }

    async fn identifiers(&self, tx: &mut ScopedTx, id: EntityId) -> Result<Vec<Identifier>, GraphError> {
        let (inner, account) = (self.lock(), tx.account());
        let own = inner
            .identifiers
            .iter()
            .filter(|(of, _, bearer)| *of == account && *bearer == id);
        Ok(own.map(|(_, identifier, _)| identifier.clone()).collect())
    }

    async fn party(&self, _: &mut ScopedTx, identifier: &Identifier) -> Result<Party, GraphError> {
        let address = identifier.value.replace(' ', "");
        Ok(Party {
            id: None,
            name: None,
            address,
            relations: Vec::new(),
        })
    }

    async fn me(&self, tx: &mut ScopedTx) -> Result<EntityId, GraphError> {
        Ok(EntityId(tx.account().0))
    }
}
