//! Any entity of the model that a pack tells of, with what it is to others; and that one is gone.
//!
//! Invariant: of an entity the record is all that its stream says: what it said before and doesn't say now is taken back.

use contracts::RawRecordId;
use spine::ScopedTx;
use spine::ports::{
    AssertedBy, Change, EntityChange, Gone, GraphError, IntakeBatch, RawRecord, RelationChange, Target,
    Thing, Withdrawal, speaks_as,
};

use super::{Intake, Received, Unfit, occurred, raw};
use crate::record::{Described, EntityRecord, GoneRecord, Origin};
use crate::{store, time};

/// Things that one record may speak of.
const RELATED_MAX: usize = 100;

impl Intake<'_> {
    /// What the record means, or why it can't be taken.
    pub(crate) fn thing(&self, record: &EntityRecord, received: &Received<'_>) -> Result<Thing, Unfit> {
        let now = self.context.clock.now();
        let origin = &record.origin;
        let at = occurred(origin, now)?;
        if record.relations.len() > RELATED_MAX {
            return Err(Unfit::Park(format!(
                "a record has at most {RELATED_MAX} relations"
            )));
        }
        let mut first = self.described(&record.entity, Target::Record)?;
        first.identifiers.insert(0, origin.identifier.clone());
        first.starts_at = (!origin.occurred_at.is_null()).then_some(at);
        let (mut entities, mut relations) = (vec![first], Vec::new());
        for (at, related) in record.relations.iter().enumerate() {
            entities.push(self.described(&related.to, Target::Identified)?);
            let (from, to) = if related.inverse { (at + 1, 0) } else { (0, at + 1) };
            relations.push((from, related.predicate.clone(), to));
        }
        Ok(Thing {
            record: self.entity_raw(record, received),
            entities,
            relations,
        })
    }

    /// The record as it is kept, parked or not.
    pub(crate) fn entity_raw(&self, record: &EntityRecord, received: &Received<'_>) -> RawRecord {
        let mut kept = raw(self.connection, &record.origin, received);
        if kept.revision.is_empty() {
            kept.revision = self.revision(record);
        }
        kept
    }

    /// What has no revision of its own is known again by what is said of it.
    fn revision(&self, record: &EntityRecord) -> String {
        let (origin, entity) = (&record.origin, &record.entity);
        let related: Vec<_> = record
            .relations
            .iter()
            .map(|one| {
                (
                    &one.predicate,
                    one.inverse,
                    &one.to.kind,
                    &one.to.title,
                    &one.to.props,
                    &one.to.identifiers,
                )
            })
            .collect();
        let said = serde_json::json!([
            origin.occurred_at,
            origin.identifier,
            entity.kind,
            entity.title,
            entity.props,
            entity.identifiers,
            related
        ]);
        let hash = self
            .context
            .vault
            .pseudonym("plugins.revision", said.to_string().as_bytes());
        hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    fn described(&self, one: &Described, target: Target) -> Result<EntityChange, Unfit> {
        self.may_emit(&one.kind)?;
        Ok(EntityChange {
            target,
            kind: one.kind.clone(),
            title: one.title.clone(),
            props: one.props.clone(),
            identifiers: one.identifiers.clone(),
            starts_at: None,
        })
    }

    /// False: it was taken in before.
    pub(super) async fn entity(
        &self,
        tx: &mut ScopedTx,
        record: &EntityRecord,
        received: &Received<'_>,
    ) -> Result<bool, Unfit> {
        let mut thing = self.thing(record, received)?;
        let is_current = self.is_current(tx, &record.origin).await?;
        if !is_current {
            // The same may be said again of a later moment, and hold then.
            thing.record.revision += &format!("@{}", record.origin.as_of);
        }
        let (ports, source) = (&self.context.ports, self.connection.source());
        let mut batch = ports.record_intake().batch(&source, 1);
        let received = batch.receive(tx, vec![thing.record.clone()]).await?;
        let Some(received) = received.into_iter().next().transpose()? else {
            return Ok(false);
        };
        if received.known && !received.parked {
            return Ok(false);
        }
        if !is_current {
            let intake = ports.record_intake();
            intake.pass_over(tx, received.id, received.before).await?;
            return Ok(true);
        }
        self.settle(tx, received.before).await?;
        write_thing(batch.as_mut(), tx, &source, received.id, thing).await?;
        batch.write(tx).await?;
        Ok(true)
    }

    /// False: of a later moment a word about the same is known. Holds what it says of the moment.
    pub(crate) async fn is_current(&self, tx: &mut ScopedTx, origin: &Origin) -> Result<bool, Unfit> {
        if origin.as_of.is_null() {
            return Ok(true);
        }
        let as_of = time::parse(&origin.as_of)
            .ok_or_else(|| Unfit::Park("the provider gave a moment that can't be read (as_of)".to_owned()))?;
        let named = format!("{}\n{}", origin.stream, origin.remote_id);
        let thing = tx.pseudonym("plugins.told", named.as_bytes());
        Ok(store::told_as_of(tx, self.connection.id, &thing, as_of).await?)
    }

    /// A revision whose place another one took is not to be understood any more.
    pub(crate) async fn settle(
        &self,
        tx: &mut ScopedTx,
        before: Option<RawRecordId>,
    ) -> Result<(), GraphError> {
        let Some(before) = before else { return Ok(()) };
        let ports = &self.context.ports;
        let kept = match ports.raw_records().record(tx, before).await {
            Err(GraphError::Invalid(_)) => None, // it can't be opened any more
            kept => kept?,
        };
        match kept.and_then(|kept| kept.parked) {
            Some(_) => ports.record_intake().pass_over(tx, before, None).await,
            None => Ok(()),
        }
    }

    /// Takes the stream's word about something back. False: there was none.
    pub(crate) async fn gone(&self, tx: &mut ScopedTx, gone: &Gone) -> Result<bool, Unfit> {
        let withdrawal = Withdrawal {
            by: AssertedBy::Connector,
            source: speaks_as(&self.connection.source(), &gone.stream),
            kind: gone.kind.clone(),
            identifier: gone.identifier.clone(),
        };
        let done = self
            .context
            .ports
            .record_intake()
            .withdraw(tx, withdrawal)
            .await?;
        Ok(done.is_some())
    }
}

/// What a pack's word that something is gone means.
pub(crate) fn gone_of(record: &GoneRecord) -> Gone {
    Gone {
        stream: record.origin.stream.clone(),
        kind: record.kind.clone(),
        identifier: record.origin.identifier.clone(),
    }
}

/// Applies what a received record means: its entities, then what they are to each other.
pub(crate) async fn write_thing(
    batch: &mut dyn IntakeBatch,
    tx: &mut ScopedTx,
    source: &str,
    id: RawRecordId,
    thing: Thing,
) -> Result<(), GraphError> {
    let change = |entities, relations| Change {
        by: AssertedBy::Connector,
        source: speaks_as(source, &thing.record.stream),
        raw: None,
        entities,
        relations,
    };
    let applied = batch
        .understand(tx, id, change(thing.entities, Vec::new()))
        .await?;
    let own = |at: usize| applied.written_to.get(at).copied();
    let mut edges = Vec::new();
    for (from, predicate, to) in thing.relations {
        let (Some(from), Some(to)) = (own(from), own(to)) else {
            return Err(GraphError::Invalid(
                "a relation names a thing that the record doesn't have".to_owned(),
            ));
        };
        if from != to {
            edges.push(RelationChange { from, predicate, to });
        }
    }
    batch
        .relate(tx, id, change(Vec::new(), edges), &[])
        .await
        .map(drop)
}
