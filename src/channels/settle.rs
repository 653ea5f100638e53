//! What becomes of an attempt and of its Message, in the caller's transaction: attempt, Message and event together.
//!
//! Invariant: `communication.MessageSent` is published once an attempt that a provider has, whoever brings the proof
//! first (the answer, a callback, the provider's records).

use contracts::events::communication::{MessageFailed, MessageSent};
use contracts::{EntityId, NewEvent};
use serde_json::{Map, Value, json};
use spine::ports::{AssertedBy, Change, Entity, EntityChange, GraphError, GraphWrite, Identifier, Target};
use spine::{AccessError, ScopedTx};

use crate::model::{Attempt, AttemptState, MessageStatus, may_become};
use crate::store;

/// One source for all that this service asserts of a Message, so that its statuses replace each other.
pub(crate) const SOURCE: &str = "channels";

/// What a provider says of a message that it has.
#[derive(Debug)]
pub(crate) struct Proof<'a> {
    /// Its id of it.
    pub(crate) remote_id: &'a str,
    /// Its word for where the message is.
    pub(crate) status: &'a str,
    /// Its error code, if it failed.
    pub(crate) error: Option<&'a str>,
}

/// The provider has the message. False: the attempt was settled before.
pub(crate) async fn accepted(
    tx: &mut ScopedTx,
    graph: &dyn GraphWrite,
    message: &Entity,
    attempt: &Attempt,
    state: AttemptState,
    proof: &Proof<'_>,
) -> Result<bool, GraphError> {
    let event = sent_event(message, attempt, state, proof)?;
    if !store::attempt_prove(tx, attempt.id, state, proof.remote_id, event.id).await? {
        return Ok(false);
    }
    message_sent(tx, graph, message, attempt, proof).await?;
    tx.publish(event)?;
    Ok(true)
}

/// Tells that the message of an attempt, whose row says so already, is at the provider.
pub(crate) async fn sent(
    tx: &mut ScopedTx,
    graph: &dyn GraphWrite,
    message: &Entity,
    attempt: &Attempt,
    state: AttemptState,
    proof: &Proof<'_>,
) -> Result<(), GraphError> {
    message_sent(tx, graph, message, attempt, proof).await?;
    let event = tx.publish(sent_event(message, attempt, state, proof)?)?;
    store::attempt_followed_by(tx, attempt.id, event).await?;
    Ok(())
}

fn sent_event(
    message: &Entity,
    attempt: &Attempt,
    state: AttemptState,
    proof: &Proof<'_>,
) -> Result<NewEvent, AccessError> {
    let event = MessageSent {
        message: message.id,
        attempt: attempt.id,
        connection: attempt.connection,
        remote_id: proof.remote_id.to_owned(),
        adopted: state == AttemptState::Adopted,
    };
    Ok(NewEvent::of(&event)?.about(message.id))
}

async fn message_sent(
    tx: &mut ScopedTx,
    graph: &dyn GraphWrite,
    message: &Entity,
    attempt: &Attempt,
    proof: &Proof<'_>,
) -> Result<(), GraphError> {
    // It has the message, whatever its word for that is.
    let known = MessageStatus::from_provider(proof.status).map_or("sent", |_| proof.status);
    let mut props = status_props(
        message,
        &Proof {
            status: known,
            ..*proof
        },
    )
    .unwrap_or_default();
    props.insert("remote_id".to_owned(), proof.remote_id.into());
    // By this the provider's later words about it find it, those that reconciling brings too.
    let known_as = Identifier::new(format!("{}.message", attempt.plugin), proof.remote_id);
    message_update(tx, graph, message.id, props, vec![known_as]).await
}

/// Moves the Message's status on, if the provider's word does.
pub(crate) async fn status_moved(
    tx: &mut ScopedTx,
    graph: &dyn GraphWrite,
    message: &Entity,
    proof: &Proof<'_>,
) -> Result<(), GraphError> {
    match status_props(message, proof) {
        Some(props) => message_update(tx, graph, message.id, props, Vec::new()).await,
        None => Ok(()),
    }
}

/// The message will not be tried again by itself.
pub(crate) async fn failed(
    tx: &mut ScopedTx,
    graph: &dyn GraphWrite,
    message: EntityId,
    reason: &str,
) -> Result<(), GraphError> {
    let props = object(json!({ "status": MessageStatus::Failed.as_str(), "error": reason }));
    message_update(tx, graph, message, props, Vec::new()).await?;
    tx.publish_about(
        message,
        &MessageFailed {
            message,
            reason: reason.to_owned(),
        },
    )?;
    Ok(())
}

fn status_props(message: &Entity, proof: &Proof<'_>) -> Option<Map<String, Value>> {
    let status = MessageStatus::from_provider(proof.status)?;
    let from = message
        .props
        .get("status")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let proven = message.props.contains_key("remote_id");
    may_become(from, proven, status)
        .then(|| object(json!({ "status": status.as_str(), "error": null, "error_code": proof.error })))
}

async fn message_update(
    tx: &mut ScopedTx,
    graph: &dyn GraphWrite,
    message: EntityId,
    props: Map<String, Value>,
    identifiers: Vec<Identifier>,
) -> Result<(), GraphError> {
    let entity = EntityChange {
        target: Target::Existing(message),
        kind: "Message".to_owned(),
        title: None,
        props,
        identifiers,
        starts_at: None,
    };
    let change = Change {
        by: AssertedBy::Connector,
        source: SOURCE.to_owned(),
        raw: None,
        entities: vec![entity],
        relations: Vec::new(),
    };
    graph.apply(tx, change).await?;
    Ok(())
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
