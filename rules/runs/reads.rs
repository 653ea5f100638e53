//! Answers to what scripts ask, on the transaction's own connection.

use contracts::{EntityId, Position};
use serde_json::{Value, json};
use spine::access::ScopedTx;
use spine::log::consumer::HandleError;
use spine::ports::{GraphError, Ports};

use crate::engine::host::Read;

/// What a read answers: the present as of the event's position, the graph as it is now. Nothing known is null.
pub(crate) async fn answer(
    ports: &Ports,
    tx: &mut ScopedTx,
    read: &Read,
    as_of: Position,
) -> Result<Value, HandleError> {
    let arg = read.args().get(0).and_then(Value::as_str).unwrap_or_default();
    match read.name() {
        "state" => {
            let fact = ports.state_read().fact(tx, arg, as_of).await?;
            Ok(fact.map_or(Value::Null, |fact| fact.value))
        }
        "person" => match arg.parse() {
            Ok(id) => person(ports, tx, id).await,
            Err(_) => Ok(Value::Null),
        },
        other => Err(HandleError::Poison(format!("there is no read `{other}`"))),
    }
}

async fn person(ports: &Ports, tx: &mut ScopedTx, id: EntityId) -> Result<Value, HandleError> {
    let Some(entity) = ports.graph_read().entity(tx, id).await.map_err(handle_error)? else {
        return Ok(Value::Null);
    };
    let identifiers = ports
        .graph_read()
        .identifiers(tx, id)
        .await
        .map_err(handle_error)?;
    let of = |scheme: &str| -> Vec<&str> {
        identifiers
            .iter()
            .filter(|one| one.scheme == scheme)
            .map(|one| one.value.as_str())
            .collect()
    };
    Ok(json!({
        "id": entity.id, "type": entity.kind, "name": entity.title, "props": entity.props,
        "tel": of("tel"), "email": of("email"),
    }))
}

/// How a refusal of the graph ends the handling of an event.
pub(crate) fn handle_error(error: GraphError) -> HandleError {
    match error {
        GraphError::Access(error) => HandleError::Access(error),
        other => HandleError::Poison(other.to_string()),
    }
}
