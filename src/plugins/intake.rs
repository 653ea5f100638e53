//! From a pack's record to the graph: raw record, entity and event in the caller's transaction.
//!
//! Events out: `communication.CallStarted`, `CallStatusChanged`, `MessageReceived`, `MessageStatusChanged` (and what the
//! graph publishes).
//! Invariant: one record is taken in whole or not at all, and once however often it is delivered; what can't be
//! understood is parked with its reason. Begin with [`Intake::take_in`].

mod call;
mod entity;
mod message;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contracts::events::communication::Party;
use contracts::{EntityId, EventPayload, NewEvent};
use spine::access::{AccessError, Cause, Scope};
use spine::ports::{Applied, AssertedBy, Change, Entity, EntityChange, GraphError, Identifier, RawRecord};
use spine::{Context, ScopedTx};

use crate::manifest::Manifest;
use crate::model::Connection;
use crate::record::{self, Origin, Record};
use crate::time;
pub(crate) use entity::{gone_of, write_thing};

/// Records that commit together.
const BATCH: usize = 50;
/// Why a record was not taken in.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// It can't be understood: parked with this reason.
    Park(String),
    /// Nothing can be taken in now.
    Away(AccessError),
}

impl From<GraphError> for Unfit {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Access(error) => Self::Away(error),
            error => Self::Park(error.to_string()),
        }
    }
}

impl From<AccessError> for Unfit {
    fn from(error: AccessError) -> Self {
        Self::Away(error)
    }
}

/// What a record was made from.
#[derive(Debug, Clone)]
pub(crate) struct Received<'a> {
    pub(crate) media_type: &'a str,
    pub(crate) body: &'a [u8],
}

/// What became of records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) taken: usize,
    pub(crate) known: usize,
    pub(crate) parked: usize,
}

impl Counts {
    pub(crate) fn add(&mut self, more: Self) {
        self.taken += more.taken;
        self.known += more.known;
        self.parked += more.parked;
    }
}

/// Takes in what one connection brings.
#[derive(Debug)]
pub(crate) struct Intake<'a> {
    pub(crate) context: &'a Context,
    pub(crate) manifest: &'a Manifest,
    pub(crate) connection: &'a Connection,
}

impl Intake<'_> {
    /// Takes records in, some a commit. What can't be understood is parked.
    pub(crate) async fn take_in(
        &self,
        scope: &Scope,
        cause: Cause,
        records: &[Record],
        received: &Received<'_>,
    ) -> Result<Counts, AccessError> {
        let mut counts = Counts::default();
        for batch in records.chunks(BATCH) {
            counts.add(self.batch((scope, cause), None, batch, received).await?);
        }
        Ok(counts)
    }

    /// As [`Intake::take_in`]; the first commit is that of a transaction in which nothing was written yet.
    pub(crate) async fn take_in_begun(
        &self,
        tx: ScopedTx,
        records: &[Record],
        received: &Received<'_>,
    ) -> Result<Counts, AccessError> {
        let (scope, cause) = (tx.scope().clone(), tx.cause());
        let (mut counts, mut begun) = (Counts::default(), Some(tx));
        for batch in records.chunks(BATCH) {
            counts.add(self.batch((&scope, cause), begun.take(), batch, received).await?);
        }
        Ok(counts)
    }

    /// A refused record leaves half of itself in the transaction, so the batch begins again without it.
    async fn batch(
        &self,
        (scope, cause): (&Scope, Cause),
        mut begun: Option<ScopedTx>,
        batch: &[Record],
        received: &Received<'_>,
    ) -> Result<Counts, AccessError> {
        let mut unfit: BTreeMap<usize, String> = BTreeMap::new();
        'again: loop {
            let mut tx = match begun.take() {
                Some(tx) => tx,
                None => self.context.access.begin(scope, cause).await?,
            };
            let mut counts = Counts::default();
            for (index, record) in batch.iter().enumerate() {
                if let Some(reason) = unfit.get(&index) {
                    self.park(&mut tx, self.raw_of(record, received), reason).await?;
                    counts.parked += 1;
                    continue;
                }
                match self.one(&mut tx, record, received).await {
                    Ok(true) => counts.taken += 1,
                    Ok(false) => counts.known += 1,
                    Err(Unfit::Park(reason)) => {
                        unfit.insert(index, reason);
                        continue 'again;
                    }
                    Err(Unfit::Away(error)) => return Err(error),
                }
            }
            if counts.taken + counts.parked > 0 {
                tx.commit().await?;
            }
            return Ok(counts);
        }
    }

    /// The record as it is kept.
    pub(crate) fn raw_of(&self, record: &Record, received: &Received<'_>) -> RawRecord {
        match record {
            Record::Entity(entity) => self.entity_raw(entity, received),
            other => raw(self.connection, other.origin(), received),
        }
    }

    /// Keeps something that can't be understood.
    pub(crate) async fn park(
        &self,
        tx: &mut ScopedTx,
        raw: RawRecord,
        reason: &str,
    ) -> Result<(), AccessError> {
        match self
            .context
            .ports
            .graph_write()
            .park(tx, &self.connection.source(), raw, reason)
            .await
        {
            Ok(_) => Ok(()),
            Err(GraphError::Access(error)) => Err(error),
            Err(error) => {
                // A record that can't even be parked is not worth refusing the others for.
                tracing::error!(connection = %self.connection.id, %error, "a record could not be parked");
                Ok(())
            }
        }
    }

    /// False: it was taken in before.
    pub(crate) async fn one(
        &self,
        tx: &mut ScopedTx,
        record: &Record,
        received: &Received<'_>,
    ) -> Result<bool, Unfit> {
        match record {
            Record::CallStarted(call) => self.call(tx, call, received, true).await,
            Record::CallStatus(call) => self.call(tx, call, received, false).await,
            Record::MessageReceived(message) => self.message(tx, message, received).await,
            Record::MessageStatus(status) => self.status(tx, status, received).await,
            Record::Entity(entity) => self.entity(tx, entity, received).await,
            Record::Gone(gone) if !self.is_current(tx, &gone.origin).await? => Ok(false),
            Record::Gone(told) => {
                // That it is gone is to be known even before it came.
                let is_dated = !told.origin.as_of.is_null();
                Ok(self.gone(tx, &gone_of(told)).await? || is_dated)
            }
        }
    }

    fn may_emit(&self, kind: &str) -> Result<(), Unfit> {
        if self.manifest.entities.iter().any(|declared| declared == kind) {
            return Ok(());
        }
        Err(Unfit::Park(format!(
            "the pack's manifest does not declare that it emits {kind}"
        )))
    }

    /// Who they are at both ends.
    async fn parties(
        &self,
        tx: &mut ScopedTx,
        from: &Identifier,
        to: &Identifier,
    ) -> Result<(Party, Party), Unfit> {
        let ends = [from, to];
        if let Some(problem) = ends.into_iter().find_map(record::address_problem) {
            return Err(Unfit::Park(problem));
        }
        let [from, to] = ends.map(record::anonymous);
        let named = ends.into_iter().zip([&from, &to]);
        let named: Vec<_> = named
            .filter(|(_, anonymous)| anonymous.is_none())
            .map(|(end, _)| end.clone())
            .collect();
        let mut known = self
            .context
            .ports
            .graph_read()
            .parties(tx, &named)
            .await?
            .into_iter();
        let [from, to] = [from, to].map(|anonymous| anonymous.or_else(|| known.next()));
        let missing = || Unfit::Park("the graph knows nothing of an address".to_owned());
        Ok((from.ok_or_else(missing)?, to.ok_or_else(missing)?))
    }

    async fn known(
        &self,
        tx: &mut ScopedTx,
        kind: &str,
        identifier: &Identifier,
    ) -> Result<Option<Entity>, Unfit> {
        Ok(self
            .context
            .ports
            .graph_read()
            .entity_by_identifier(tx, kind, identifier)
            .await?)
    }

    async fn apply(
        &self,
        tx: &mut ScopedTx,
        origin: &Origin,
        received: &Received<'_>,
        entities: Vec<EntityChange>,
    ) -> Result<Applied, Unfit> {
        let change = self.change(origin, received, entities);
        Ok(self.context.ports.graph_write().apply(tx, change).await?)
    }

    /// As [`Intake::apply`], if record and entity are new; `None`: nothing was written.
    async fn apply_new(
        &self,
        tx: &mut ScopedTx,
        origin: &Origin,
        received: &Received<'_>,
        entity: EntityChange,
    ) -> Result<Option<Applied>, Unfit> {
        let change = self.change(origin, received, vec![entity]);
        Ok(self.context.ports.graph_write().apply_new(tx, &change).await?)
    }

    fn change(&self, origin: &Origin, received: &Received<'_>, entities: Vec<EntityChange>) -> Change {
        Change {
            by: AssertedBy::Connector,
            source: self.connection.source(),
            raw: Some(raw(self.connection, origin, received)),
            entities,
            relations: Vec::new(),
        }
    }
}

pub(crate) fn raw(connection: &Connection, origin: &Origin, received: &Received<'_>) -> RawRecord {
    let (media_type, body) = if origin.raw.is_null() {
        (received.media_type.to_owned(), received.body.to_vec())
    } else {
        ("application/json".to_owned(), origin.raw.to_string().into_bytes())
    };
    RawRecord {
        connection: Some(connection.id),
        stream: origin.stream.clone(),
        remote_id: origin.remote_id.clone(),
        revision: origin.revision.clone(),
        media_type,
        body,
    }
}

/// When it happened; a time that can't be read is a mistake, a missing one means now.
fn occurred(origin: &Origin, now: DateTime<Utc>) -> Result<DateTime<Utc>, Unfit> {
    if origin.remote_id.is_empty() {
        return Err(Unfit::Park(
            "the provider gave no id of what it tells of".to_owned(),
        ));
    }
    if origin.occurred_at.is_null() {
        return Ok(now);
    }
    time::parse(&origin.occurred_at)
        .ok_or_else(|| Unfit::Park("the provider gave a time that can't be read".to_owned()))
}

fn title(word: &str, party: &Party) -> String {
    format!("{word} {}", party.name.as_deref().unwrap_or(&party.address))
}

fn publish<P: EventPayload>(
    tx: &mut ScopedTx,
    payload: &P,
    about: EntityId,
    at: DateTime<Utc>,
) -> Result<(), AccessError> {
    tx.publish(NewEvent::of(payload)?.about(about).occurred(at))?;
    Ok(())
}
