//! What nobody knew yet: one entity, with its record, identifiers and timeline, by one question to the database.
//!
//! Invariant: writes what `entity` would, or nothing; a person or organization with an address goes the long way, since
//! who bears the address already may turn out to be the same.

use contracts::EntityId;
use contracts::events::data::EntityCreated;
use spine::ScopedTx;
use spine::ports::{Applied, AppliedEntity, Change, GraphError};

use super::{Work, key};
use crate::model::{Content, assert_on};
use crate::participants::participants;
use crate::{Graph, identity, raw, store};

/// Whether a change can be applied so: one entity that is nobody, and nothing else.
pub(super) fn fits(change: &Change) -> bool {
    let [entity] = change.entities.as_slice() else {
        return false;
    };
    let joins = identity::is_somebody(&entity.kind) && !entity.identifiers.is_empty();
    change.relations.is_empty() && !joins
}

impl Work<'_> {
    /// Writes the change's entity as a new one. `None`: it, its record or an identifier of it is there, and nothing was
    /// written.
    pub(super) async fn add(
        mut self,
        graph: &Graph,
        tx: &mut ScopedTx,
        change: &Change,
        id: EntityId,
    ) -> Result<Option<Applied>, GraphError> {
        let [entity] = change.entities.as_slice() else {
            return Ok(None);
        };
        let kind = self.types.get(&entity.kind).map_err(GraphError::Invalid)?;
        let content = assert_on(&Content::default(), &super::entity::said(entity));
        kind.complete(&content.props).map_err(GraphError::Invalid)?;
        let record = match &change.raw {
            Some(record) => Some(raw::row(graph, tx, &change.source, record, "processed", None)?),
            None => None,
        };
        let mut identifiers: Vec<_> = entity.identifiers.iter().map(key).collect();
        identifiers.sort();
        identifiers.dedup();
        let timed = content.starts_at.is_some();
        let addition = store::Addition {
            entity: store::NewEntity {
                id,
                kind: &kind.name,
                content: &content,
                folded: !kind.single_source,
                asserter: &self.asserter,
                raw: record.as_ref().map(|record| record.id),
            },
            record: record.as_ref(),
            identifiers: &identifiers,
            participants: &if timed {
                participants(&content.props)
            } else {
                Vec::new()
            },
        };
        if !store::entity_add(tx, &addition).await? {
            return Ok(None);
        }
        let raw = record.map(|record| record.id);
        if let Some((id, record)) = raw.zip(change.raw.as_ref()) {
            self.received(id, &change.source, record)?;
        }
        let (kind, version) = (kind.name.clone(), 1);
        let payload = EntityCreated {
            entity: id,
            kind,
            version,
        };
        self.tell(&payload, id, version)?;
        self.tell_all(tx)?;
        Ok(Some(Applied {
            raw,
            entities: vec![AppliedEntity {
                id,
                version,
                created: true,
            }],
            written_to: vec![id],
            ..Applied::default()
        }))
    }
}
