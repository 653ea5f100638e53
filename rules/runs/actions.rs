//! Recorded effects become messages and jobs, in the transaction of the run.
//!
//! Jobs out: `SendOutgoingMessage`, one an effect.
//! Invariant: no effect is queued without the grant of its name, whatever the script or a linter said before.

use contracts::EntityId;
use contracts::jobs::SendOutgoingMessage;
use serde_json::{Map, Value, json};
use spine::access::ScopedTx;
use spine::log::consumer::HandleError;
use spine::ports::{AssertedBy, Change, EntityChange, Ports, Target};
use spine::queue::JobOptions;

use super::model::Step;
use super::reads::handle_error;
use crate::engine::action::{self, Message};
use crate::engine::header::RuleHeader;
use crate::engine::host::Kind;

/// The first of the effects that the rule has no grant for.
pub(crate) fn ungranted<'a>(header: &RuleHeader, steps: &'a [Step]) -> Option<&'a str> {
    let effects = steps.iter().filter(|step| step.kind == Kind::Effect);
    effects
        .map(|step| step.name.as_str())
        .find(|name| !header.grants.iter().any(|grant| grant == name))
}

/// Queues every effect and notes in its step what it became. How many there are.
pub(crate) async fn queue(
    ports: &Ports,
    tx: &mut ScopedTx,
    rule: &str,
    steps: &mut [Step],
) -> Result<i32, HandleError> {
    let mut count = 0;
    for step in steps.iter_mut().filter(|step| step.kind == Kind::Effect) {
        let args = step.args.as_array().map(Vec::as_slice).unwrap_or_default();
        let message = action::message(&step.name, args).map_err(HandleError::Poison)?;
        let id = EntityId::new();
        write(ports, tx, rule, id, &message).await?;
        tx.audit("act", format!("message/{id}"), None)?;
        // The run is new, and its event's only one: no other transaction queues this.
        step.job = tx
            .enqueue(&SendOutgoingMessage { message: id }, JobOptions::default())
            .await?;
        step.message = Some(id);
        count += 1;
    }
    Ok(count)
}

/// The Message comes into the graph before anything is sent, so that it can be seen, and sent by its id alone.
async fn write(
    ports: &Ports,
    tx: &mut ScopedTx,
    rule: &str,
    id: EntityId,
    message: &Message,
) -> Result<(), HandleError> {
    let change = Change {
        by: AssertedBy::Rule,
        source: format!("rule/{rule}"),
        raw: None,
        entities: vec![EntityChange {
            target: Target::New(id),
            kind: "Message".to_owned(),
            title: None,
            props: props(message),
            identifiers: Vec::new(),
            starts_at: Some(tx.now()),
        }],
        relations: Vec::new(),
    };
    ports
        .graph_write()
        .apply(tx, change)
        .await
        .map_err(handle_error)?;
    Ok(())
}

fn props(message: &Message) -> Map<String, Value> {
    let mut props = Map::new();
    for (key, value) in [
        ("direction", json!("out")),
        ("channel", json!(message.channel)),
        ("status", json!("queued")),
        ("to", json!(message.to)),
        ("text", json!(message.text)),
    ] {
        props.insert(key.to_owned(), value);
    }
    if let Some(connection) = message.connection {
        props.insert("connection".to_owned(), json!(connection));
    }
    props
}
