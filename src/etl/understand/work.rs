//! The changes of one record on their way to the graph.
//!
//! Begin with [`Work::write`].

use contracts::{EntityId, RawRecordId};
use spine::ScopedTx;
use spine::ports::{
    Applied, AssertedBy, Change, EntityChange, GraphError, Identifier, IntakeBatch, KeepMedia, MediaError,
    Ports, RelationChange, Target,
};

use crate::map::{self, Edge, Enclosure, End};

/// The changes of one record.
pub(super) struct Work<'a> {
    pub(super) ports: &'a Ports,
    pub(super) batch: &'a mut dyn IntakeBatch,
    pub(super) source: &'a str,
    record: RawRecordId,
    pub(super) entities: Vec<EntityChange>,
    pub(super) relations: Vec<RelationChange>,
    /// Predicates of which it can't be told now what the record states.
    pub(super) unread: Vec<&'static str>,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        ports: &'a Ports,
        batch: &'a mut dyn IntakeBatch,
        source: &'a str,
        record: RawRecordId,
    ) -> Self {
        Self {
            ports,
            batch,
            source,
            record,
            entities: Vec::new(),
            relations: Vec::new(),
            unread: Vec::new(),
        }
    }

    /// Writes what was collected.
    pub(super) async fn write(&mut self, tx: &mut ScopedTx) -> Result<Applied, GraphError> {
        let change = self.collected();
        self.batch.understand(tx, self.record, change).await
    }

    /// Writes the relations that were collected, in the place of those that the record stated before, but for those of
    /// which it can't be told now whether it does.
    pub(super) async fn relate(&mut self, tx: &mut ScopedTx) -> Result<(), GraphError> {
        let (change, unread) = (self.collected(), std::mem::take(&mut self.unread));
        self.batch
            .relate(tx, self.record, change, &unread)
            .await
            .map(drop)
    }

    pub(super) fn collected(&mut self) -> Change {
        Change {
            by: AssertedBy::Connector,
            source: self.source.to_owned(),
            raw: None,
            entities: std::mem::take(&mut self.entities),
            relations: std::mem::take(&mut self.relations),
        }
    }

    /// Keeps what came with the first thing, which `own` is, and `holder` shows. What isn't taken is still told of by the
    /// thing itself, and by the record.
    pub(super) async fn enclosures(
        &mut self,
        tx: &mut ScopedTx,
        (holder, own): (EntityId, EntityId),
        enclosures: Vec<Enclosure>,
    ) -> Result<(), GraphError> {
        if !enclosures.is_empty() {
            self.batch.write(tx).await?;
        }
        for enclosure in enclosures {
            let media = KeepMedia {
                bytes: enclosure.bytes,
                filename: enclosure.filename,
                declared_type: enclosure.declared_type,
                holder,
            };
            match self.ports.media_store().keep(tx, media).await {
                Ok(kept) => self.relations.push(RelationChange {
                    from: own,
                    predicate: enclosure.predicate.to_owned(),
                    to: kept.media,
                }),
                Err(MediaError::Access(error)) => return Err(error.into()),
                Err(MediaError::Refused(reason)) => {
                    self.unread.push(enclosure.predicate);
                    tracing::info!(record = %self.record, reason, "an enclosure is not kept by itself");
                }
            }
        }
        Ok(())
    }

    /// An exported entity that comes back to where it was exported is the one it was; if nothing differs, there is nothing
    /// to say.
    pub(super) async fn own_again(
        &mut self,
        tx: &mut ScopedTx,
        mut entity: EntityChange,
    ) -> Result<Option<EntityChange>, GraphError> {
        let is_owners = entity.identifiers.iter().any(map::is_owner);
        entity.identifiers.retain(|one| !map::is_owner(one));
        let Some((at, id)) = own_id(&entity.identifiers) else {
            return Ok(Some(entity));
        };
        let Some(here) = self.batch.entity(tx, id).await? else {
            if is_owners && let Some(me) = self.owner_without_data(tx).await? {
                entity.target = Target::Existing(me);
            }
            return Ok(Some(entity));
        };
        if here.kind != entity.kind {
            return Ok(Some(entity));
        }
        let is_whole = entity.identifiers.remove(at).scheme == map::EXPORTED_ID;
        if is_whole
            && here.title == entity.title
            && here.props == entity.props
            && here.starts_at == entity.starts_at
        {
            return Ok(None);
        }
        if here.props.contains_key("recurrence_start") {
            // A calendar counts from the occurrence that it was given; here the count goes on.
            entity.props.remove("recurrence");
        }
        entity.target = Target::Existing(id);
        Ok(Some(entity))
    }

    /// Whether a thing is known, and at the place that is said of it now.
    pub(super) async fn is_where_it_was(
        &mut self,
        tx: &mut ScopedTx,
        thing: &EntityChange,
    ) -> Result<bool, GraphError> {
        for identifier in &thing.identifiers {
            let found = self
                .batch
                .entity_by_identifier(tx, &thing.kind, identifier)
                .await?;
            if let Some(known) = found {
                let same = |name: &str| known.props.get(name) == thing.props.get(name);
                return Ok(["location", "latitude", "longitude"].into_iter().all(same));
            }
        }
        Ok(false)
    }

    /// The owner's Person while nothing is known of her: then an export that comes into the account is taken for her own.
    /// Later its owner is somebody like everybody else, who is recognised by addresses: it may be her partner's.
    async fn owner_without_data(&mut self, tx: &mut ScopedTx) -> Result<Option<EntityId>, GraphError> {
        self.batch.write(tx).await?;
        let read = self.ports.graph_read();
        let me = Identifier::new("allod", "me");
        let Some(me) = read.entity_by_identifier(tx, "Person", &me).await? else {
            return Ok(None);
        };
        let known = read.identifiers(tx, me.id).await?;
        Ok(known.iter().all(map::is_owner).then_some(me.id))
    }

    pub(super) async fn edge(&mut self, tx: &mut ScopedTx, edge: Edge) -> Result<(), GraphError> {
        let (from, to) = (self.end(tx, &edge.from).await?, self.end(tx, &edge.to).await?);
        // Merged into one meanwhile, there is no relation left to tell.
        if from != to {
            self.relations.push(RelationChange {
                from,
                predicate: edge.predicate,
                to,
            });
        }
        match self.write(tx).await?.rings.first() {
            None => Ok(()),
            Some(ring) => Err(GraphError::Invalid(format!(
                "the relation would close a ring of `{}`: take one of the others away first",
                ring.predicate
            ))),
        }
    }

    async fn end(&mut self, tx: &mut ScopedTx, end: &End) -> Result<EntityId, GraphError> {
        if let Some(here) = self.batch.entity(tx, EntityId(end.id)).await? {
            return Ok(here.id);
        }
        let exported = Identifier::new(map::EXPORTED_ID, end.id.to_string());
        let found = self.batch.entity_by_identifier(tx, &end.kind, &exported).await?;
        let found =
            found.ok_or_else(|| GraphError::Invalid("an end of the relation isn't here".to_owned()))?;
        Ok(found.id)
    }
}

/// The id that we gave an entity when we exported it, and which of its identifiers says so. Cards and calendars have it
/// as their UID.
pub(super) fn own_id(identifiers: &[Identifier]) -> Option<(usize, EntityId)> {
    let read = |one: &Identifier| match one.scheme.as_str() {
        map::EXPORTED_ID => one.value.parse().ok(),
        "vcard.uid" | "ical.uid" => one.value.strip_prefix("urn:uuid:")?.parse().ok(),
        _ => None,
    };
    identifiers
        .iter()
        .enumerate()
        .find_map(|(at, one)| Some((at, read(one)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_id_is_known_in_each_format_and_that_of_an_occurrence_is_none() {
        let id = EntityId::new();
        let known = |scheme: &str, value: String| own_id(&[Identifier::new(scheme, value)]);
        for scheme in ["vcard.uid", "ical.uid"] {
            assert_eq!(known(scheme, format!("urn:uuid:{id}")), Some((0, id)));
            assert_eq!(known(scheme, id.to_string()), None);
        }
        assert_eq!(known(map::EXPORTED_ID, id.to_string()), Some((0, id)));
        assert_eq!(known("ical.uid", format!("urn:uuid:{id}#2026-05-01")), None);
    }
}
