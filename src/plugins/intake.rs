//! From a pack's record to the graph: raw record, entity and event in the caller's transaction.
//!
//! Events out: `communication.CallStarted`, `CallStatusChanged`, `MessageReceived`, `MessageStatusChanged` (and what the
//! graph publishes).
//! Invariant: one record is taken in whole or not at all, and once however often it is delivered; what can't be
//! understood is parked with its reason. Begin with [`Intake::take_in`].

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contracts::events::communication::{
    CallStarted, CallStatusChanged, MessageReceived, MessageStatusChanged, Party,
};
use contracts::{AttemptId, EntityId, EventPayload, NewEvent};
use serde_json::{Map, Value, json};
use spine::access::{AccessError, Cause, DEPTH_MAX, Scope};
use spine::ports::{
    Applied, AssertedBy, Change, Entity, EntityChange, GraphError, Identifier, RawRecord, Target,
};
use spine::{Context, ScopedTx};

use crate::manifest::Manifest;
use crate::model::Connection;
use crate::record::{self, CallRecord, MessageRecord, Origin, Record, StatusRecord};
use crate::time;

/// Records that commit together.
const BATCH: usize = 50;
/// Longer texts are cut; no provider of short messages comes near.
const TEXT_CHARS_MAX: usize = 10_000;

/// Why a record was not taken in.
#[derive(Debug)]
enum Unfit {
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
            let done = self.batch(scope, cause, batch, received).await?;
            counts.taken += done.taken;
            counts.known += done.known;
            counts.parked += done.parked;
        }
        Ok(counts)
    }

    /// A refused record leaves half of itself in the transaction, so the batch begins again without it.
    async fn batch(
        &self,
        scope: &Scope,
        cause: Cause,
        batch: &[Record],
        received: &Received<'_>,
    ) -> Result<Counts, AccessError> {
        let mut unfit: BTreeMap<usize, String> = BTreeMap::new();
        'again: loop {
            let mut tx = self.context.access.begin(scope, cause).await?;
            let mut counts = Counts::default();
            for (index, record) in batch.iter().enumerate() {
                if let Some(reason) = unfit.get(&index) {
                    self.park(&mut tx, raw(self.connection, record.origin(), received), reason)
                        .await?;
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
    async fn one(&self, tx: &mut ScopedTx, record: &Record, received: &Received<'_>) -> Result<bool, Unfit> {
        match record {
            Record::CallStarted(call) => self.call(tx, call, received, true).await,
            Record::CallStatus(call) => self.call(tx, call, received, false).await,
            Record::MessageReceived(message) => self.message(tx, message, received).await,
            Record::MessageStatus(status) => self.status(tx, status, received).await,
        }
    }

    async fn call(
        &self,
        tx: &mut ScopedTx,
        call: &CallRecord,
        received: &Received<'_>,
        started: bool,
    ) -> Result<bool, Unfit> {
        self.may_emit("Call")?;
        let at = occurred(&call.origin, tx.now())?;
        let (from, to) = (self.party(tx, &call.from).await?, self.party(tx, &call.to).await?);
        let known = self.known(tx, "Call", &call.origin.identifier).await?;
        // Callbacks may overtake each other; what ended stays ended.
        let is_late = known.as_ref().is_some_and(|entity| {
            entity
                .props
                .get("status")
                .and_then(Value::as_str)
                .is_some_and(record::is_final)
                && !record::is_final(&call.status)
        });
        let mut props = Map::from_iter([
            ("direction".to_owned(), json!(call.direction.as_str())),
            ("from".to_owned(), json!(from.address)),
            ("to".to_owned(), json!(to.address)),
            ("connection".to_owned(), json!(self.connection.id)),
            ("remote_id".to_owned(), json!(call.origin.remote_id)),
        ]);
        if !is_late {
            props.insert("status".to_owned(), json!(call.status));
            if started || call.answered {
                props.insert("answered".to_owned(), json!(call.answered));
            }
            if let Some(seconds) = call.duration_s {
                props.insert("duration_s".to_owned(), json!(seconds));
            }
        }
        let (word, other) = match call.direction {
            record::Direction::In => ("Call from", &from),
            record::Direction::Out => ("Call to", &to),
        };
        let entity = EntityChange {
            target: Target::Identified,
            kind: "Call".to_owned(),
            title: Some(title(word, other)),
            props,
            identifiers: vec![call.origin.identifier.clone()],
            starts_at: (started || known.is_none()).then_some(at),
        };
        let applied = self.apply(tx, &call.origin, received, vec![entity]).await?;
        let Some(entity) = applied.entities.first().filter(|_| !applied.duplicate) else {
            return Ok(false);
        };
        let connection = self.connection.id;
        if started {
            let direction = call.direction.as_str().to_owned();
            let event = CallStarted {
                call: entity.id,
                connection,
                direction,
                from,
                to,
                answered: call.answered,
            };
            publish(tx, &event, entity.id, at)?;
        } else if !is_late {
            let event = CallStatusChanged {
                call: entity.id,
                status: call.status.clone(),
                duration_s: call.duration_s,
            };
            publish(tx, &event, entity.id, at)?;
        }
        Ok(true)
    }

    async fn message(
        &self,
        tx: &mut ScopedTx,
        message: &MessageRecord,
        received: &Received<'_>,
    ) -> Result<bool, Unfit> {
        self.may_emit("Message")?;
        let at = occurred(&message.origin, tx.now())?;
        let (from, to) = (
            self.party(tx, &message.from).await?,
            self.party(tx, &message.to).await?,
        );
        let text: String = message
            .text
            .chars()
            .filter(|c| *c != '\0')
            .take(TEXT_CHARS_MAX)
            .collect();
        let mut props = Map::from_iter([
            ("direction".to_owned(), json!("in")),
            ("channel".to_owned(), json!(message.channel)),
            ("status".to_owned(), json!("received")),
            ("from".to_owned(), json!(from.address)),
            ("to".to_owned(), json!(to.address)),
            ("text".to_owned(), json!(text)),
            ("connection".to_owned(), json!(self.connection.id)),
            ("remote_id".to_owned(), json!(message.origin.remote_id)),
        ]);
        let extra = message
            .extra
            .iter()
            .filter(|(name, value)| name.starts_with("x_") && !value.is_null());
        props.extend(extra.map(|(name, value)| (name.clone(), value.clone())));
        let entity = EntityChange {
            target: Target::Identified,
            kind: "Message".to_owned(),
            title: Some(title("Message from", &from)),
            props,
            identifiers: vec![message.origin.identifier.clone()],
            starts_at: Some(at),
        };
        let applied = self.apply(tx, &message.origin, received, vec![entity]).await?;
        let Some(entity) = applied.entities.first().filter(|_| !applied.duplicate) else {
            return Ok(false);
        };
        let (connection, channel) = (self.connection.id, message.channel.clone());
        let event = MessageReceived {
            message: entity.id,
            connection,
            channel,
            from,
            to,
            text,
        };
        publish(tx, &event, entity.id, at)?;
        Ok(true)
    }

    /// The Message itself is changed by `channels`, which consumes the event and knows the attempt.
    async fn status(
        &self,
        tx: &mut ScopedTx,
        status: &StatusRecord,
        received: &Received<'_>,
    ) -> Result<bool, Unfit> {
        self.may_emit("Message")?;
        let at = occurred(&status.origin, tx.now())?;
        let named = match status.message {
            Some(id) => {
                let entity = self.context.ports.graph_read().entity(tx, EntityId(id)).await?;
                entity.filter(|entity| entity.kind == "Message")
            }
            None => None,
        };
        let entity = match named {
            Some(entity) => Some(entity),
            None => self.known(tx, "Message", &status.origin.identifier).await?,
        };
        let Some(entity) = entity else {
            if status.if_known {
                return Ok(false);
            }
            return Err(Unfit::Park(
                "the provider told the status of a message that the hub doesn't know".to_owned(),
            ));
        };
        let outside = tx.cause();
        let (attempt, remote_id) = (status.attempt.map(AttemptId), &status.origin.remote_id);
        let sent = self.context.ports.sent_messages();
        if let Some(cause) = sent.cause(tx, entity.id, attempt, remote_id).await? {
            // What came from outside is taken in however long the chain is already; what it sets off is refused.
            let depth = cause.depth.min(DEPTH_MAX);
            tx.follow(Cause { depth, ..cause });
        }
        let told = self.status_told(tx, status, entity.id, at, received).await;
        tx.follow(outside);
        told
    }

    async fn status_told(
        &self,
        tx: &mut ScopedTx,
        status: &StatusRecord,
        message: EntityId,
        at: DateTime<Utc>,
        received: &Received<'_>,
    ) -> Result<bool, Unfit> {
        let applied = self.apply(tx, &status.origin, received, Vec::new()).await?;
        if applied.duplicate {
            return Ok(false);
        }
        let event = MessageStatusChanged {
            message,
            attempt: status.attempt.map(AttemptId),
            remote_id: status.origin.remote_id.clone(),
            status: status.status.clone(),
            error_code: status.error_code.clone().filter(|code| !code.is_empty()),
        };
        publish(tx, &event, message, at)?;
        Ok(true)
    }

    fn may_emit(&self, kind: &str) -> Result<(), Unfit> {
        if self.manifest.entities.iter().any(|declared| declared == kind) {
            return Ok(());
        }
        Err(Unfit::Park(format!(
            "the pack's manifest does not declare that it emits {kind}"
        )))
    }

    async fn party(&self, tx: &mut ScopedTx, address: &Identifier) -> Result<Party, Unfit> {
        if let Some(problem) = record::address_problem(address) {
            return Err(Unfit::Park(problem));
        }
        match record::anonymous(address) {
            Some(party) => Ok(party),
            None => Ok(self.context.ports.graph_read().party(tx, address).await?),
        }
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
        let change = Change {
            by: AssertedBy::Connector,
            source: self.connection.source(),
            raw: Some(raw(self.connection, origin, received)),
            entities,
            relations: Vec::new(),
        };
        Ok(self.context.ports.graph_write().apply(tx, change).await?)
    }
}

fn raw(connection: &Connection, origin: &Origin, received: &Received<'_>) -> RawRecord {
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
