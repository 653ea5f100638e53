//! A graph that remembers what it is told and knows Sam.

use std::sync::Mutex;

use async_trait::async_trait;
use contracts::events::communication::Party;
use contracts::{AttemptId, EntityId, RawRecordId};
use spine::ports::{
    Applied, AppliedEntity, Change, Entity, GraphError, GraphRead, GraphWrite, Identifier, KeptRecord,
    ParkedRecord, RawRecord, RawRecords, SentMessages, Target,
};
use spine::{AccessError, Cause, ScopedTx};

use super::SAM;

#[derive(Default)]
pub(super) struct Memory {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    raw: Vec<(String, String, String, String)>,
    entities: Vec<(Vec<Identifier>, Entity)>,
    parked: Vec<(RawRecordId, RawRecord, String)>,
    attempts: Vec<(AttemptId, Cause)>,
}

impl Memory {
    pub(super) fn entities(&self, kind: &str) -> Vec<Entity> {
        let inner = self.inner.lock().unwrap();
        inner
            .entities
            .iter()
            .map(|(_, entity)| entity.clone())
            .filter(|entity| entity.kind == kind)
            .collect()
    }

    pub(super) fn parked(&self) -> Vec<(RawRecord, String)> {
        self.inner
            .lock()
            .unwrap()
            .parked
            .iter()
            .map(|(_, raw, reason)| (raw.clone(), reason.clone()))
            .collect()
    }

    pub(super) fn newest_parked(&self) -> RawRecordId {
        self.inner.lock().unwrap().parked.last().unwrap().0
    }

    /// As if it had been parked for a reason that holds no more.
    pub(super) fn park_by_hand(&self, raw: RawRecord) {
        self.inner.lock().unwrap().parked.push((
            RawRecordId::new(),
            raw,
            "an older hub did not understand it".into(),
        ));
    }

    /// An attempt to send, and because of what it was made.
    pub(super) fn attempt(&self, id: AttemptId, cause: Cause) {
        self.inner.lock().unwrap().attempts.push((id, cause));
    }

    /// Alice's message on its way out.
    pub(super) fn message(&self, id: EntityId) {
        let entity = entity(id, "Message");
        self.inner.lock().unwrap().entities.push((Vec::new(), entity));
    }
}

fn entity(id: EntityId, kind: &str) -> Entity {
    let at = chrono::DateTime::from_timestamp(0, 0).unwrap();
    let props = serde_json::Map::new();
    Entity {
        id,
        kind: kind.into(),
        title: None,
        props,
        version: 1,
        starts_at: None,
        created_at: at,
        updated_at: at,
    }
}

#[async_trait]
impl GraphWrite for Memory {
    async fn apply(&self, _: &mut ScopedTx, change: Change) -> Result<Applied, GraphError> {
        let mut inner = self.inner.lock().unwrap();
        let mut applied = Applied::default();
        if let Some(raw) = &change.raw {
            let key = (
                change.source.clone(),
                raw.stream.clone(),
                raw.remote_id.clone(),
                raw.revision.clone(),
            );
            if inner.raw.contains(&key) {
                applied.duplicate = true;
                return Ok(applied);
            }
            inner.parked.retain(|(_, parked, _)| {
                (&parked.stream, &parked.remote_id, &parked.revision)
                    != (&raw.stream, &raw.remote_id, &raw.revision)
            });
            inner.raw.push(key);
            applied.raw = Some(RawRecordId::new());
        }
        for one in change.entities {
            assert!(matches!(one.target, Target::Identified));
            let known = inner
                .entities
                .iter()
                .position(|(known, _)| known.iter().any(|id| one.identifiers.contains(id)));
            let created = known.is_none();
            let index = known.unwrap_or_else(|| {
                inner
                    .entities
                    .push((one.identifiers.clone(), entity(EntityId::new(), &one.kind)));
                inner.entities.len() - 1
            });
            let stored = &mut inner.entities[index].1;
            stored.props.extend(one.props);
            stored.starts_at = one.starts_at.or(stored.starts_at);
            applied.entities.push(AppliedEntity {
                id: stored.id,
                version: 1,
                created,
            });
        }
        Ok(applied)
    }

    async fn park(
        &self,
        _: &mut ScopedTx,
        _: &str,
        raw: RawRecord,
        reason: &str,
    ) -> Result<RawRecordId, GraphError> {
        let mut inner = self.inner.lock().unwrap();
        let known = |(_, parked, _): &(RawRecordId, RawRecord, String)| {
            (&parked.stream, &parked.remote_id, &parked.revision)
                == (&raw.stream, &raw.remote_id, &raw.revision)
        };
        if let Some(known) = inner.parked.iter().find(|parked| known(parked)) {
            return Ok(known.0);
        }
        let id = RawRecordId::new();
        inner.parked.push((id, raw, reason.to_owned()));
        Ok(id)
    }
}

#[async_trait]
impl GraphRead for Memory {
    async fn entity(&self, _: &mut ScopedTx, id: EntityId) -> Result<Option<Entity>, GraphError> {
        let inner = self.inner.lock().unwrap();
        Ok(inner
            .entities
            .iter()
            .map(|(_, entity)| entity.clone())
            .find(|entity| entity.id == id))
    }

    async fn entity_by_identifier(
        &self,
        _: &mut ScopedTx,
        kind: &str,
        identifier: &Identifier,
    ) -> Result<Option<Entity>, GraphError> {
        let inner = self.inner.lock().unwrap();
        let found = inner
            .entities
            .iter()
            .find(|(known, entity)| entity.kind == kind && known.contains(identifier));
        Ok(found.map(|(_, entity)| entity.clone()))
    }

    async fn entities(&self, _: &mut ScopedTx, kind: &str) -> Result<Vec<Entity>, GraphError> {
        Ok(Self::entities(self, kind))
    }

    async fn identifiers(&self, _: &mut ScopedTx, _: EntityId) -> Result<Vec<Identifier>, GraphError> {
        Ok(Vec::new())
    }

    async fn party(&self, _: &mut ScopedTx, identifier: &Identifier) -> Result<Party, GraphError> {
        let sam = identifier.value == SAM;
        Ok(Party {
            id: sam.then(EntityId::new),
            name: sam.then(|| "Sam".to_owned()),
            address: identifier.value.clone(),
            relations: if sam {
                vec!["partner".to_owned()]
            } else {
                Vec::new()
            },
        })
    }

    async fn me(&self, _: &mut ScopedTx) -> Result<EntityId, GraphError> {
        Ok(EntityId::new())
    }
}

#[async_trait]
impl SentMessages for Memory {
    async fn cause(
        &self,
        tx: &mut ScopedTx,
        _: EntityId,
        attempt: Option<AttemptId>,
        _: &str,
    ) -> Result<Option<Cause>, AccessError> {
        let inner = self.inner.lock().unwrap();
        let found = inner.attempts.iter().find(|(known, _)| Some(*known) == attempt);
        let lane = tx.cause().lane;
        Ok(found.map(|(_, cause)| Cause { lane, ..*cause }))
    }
}

#[async_trait]
impl RawRecords for Memory {
    async fn parked(&self, _: &mut ScopedTx) -> Result<Vec<ParkedRecord>, GraphError> {
        Ok(Vec::new())
    }

    async fn record(&self, _: &mut ScopedTx, id: RawRecordId) -> Result<Option<KeptRecord>, GraphError> {
        let inner = self.inner.lock().unwrap();
        let found = inner.parked.iter().find(|(known, ..)| *known == id);
        Ok(found.map(|(_, record, reason)| KeptRecord {
            source: "twilio/any".to_owned(),
            parked: Some(reason.clone()),
            superseded: false,
            record: record.clone(),
        }))
    }
}
