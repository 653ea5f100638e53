//! A message that came in, and what a provider says of one of ours.

use chrono::{DateTime, Utc};
use contracts::events::communication::{MessageReceived, MessageStatusChanged};
use contracts::{AttemptId, EntityId};
use serde_json::{Map, json};
use spine::ScopedTx;
use spine::access::{Cause, DEPTH_MAX};
use spine::ports::{EntityChange, Target};

use super::{Intake, Received, Unfit, occurred, publish, title};
use crate::record::{MessageRecord, StatusRecord};

/// Longer texts are cut; no provider of short messages comes near.
const TEXT_CHARS_MAX: usize = 10_000;

impl Intake<'_> {
    pub(super) async fn message(
        &self,
        tx: &mut ScopedTx,
        message: &MessageRecord,
        received: &Received<'_>,
    ) -> Result<bool, Unfit> {
        self.may_emit("Message")?;
        let at = occurred(&message.origin, tx.now())?;
        let (from, to) = self.parties(tx, &message.from, &message.to).await?;
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
    pub(super) async fn status(
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
}
