//! The Device that a token stands for.

use contracts::{EntityId, TokenId};
use serde_json::{Map, Value, json};
use spine::ScopedTx;
use spine::ports::{AssertedBy, Change, EntityChange, GraphError, GraphRead, GraphWrite, Identifier, Target};

/// By which device a report came.
#[derive(Debug)]
pub(crate) struct Sender {
    /// Its token.
    pub(crate) token: TokenId,
    /// The name that it gives itself.
    pub(crate) name: Option<String>,
}

/// The graph, as far as a report needs it.
pub(crate) struct Graph<'a> {
    pub(crate) read: &'a dyn GraphRead,
    pub(crate) write: &'a dyn GraphWrite,
}

/// The Device of the token; made by its first report, and the owner's to rename from then on.
pub(crate) async fn device(
    tx: &mut ScopedTx,
    graph: &Graph<'_>,
    sender: &Sender,
    source: &str,
    tracker_id: Option<&str>,
) -> Result<EntityId, GraphError> {
    let identifier = Identifier::new("allod.device", sender.token.to_string());
    if let Some(device) = graph.read.entity_by_identifier(tx, "Device", &identifier).await? {
        return Ok(device.id);
    }
    let title = sender.name.as_deref().or(tracker_id).unwrap_or("Phone");
    let made = EntityChange {
        target: Target::Identified,
        kind: "Device".to_owned(),
        title: Some(title.to_owned()),
        props: object(json!({ "tracker_id": tracker_id })),
        identifiers: vec![identifier],
        starts_at: None,
    };
    let change = Change {
        by: AssertedBy::Connector,
        source: source.to_owned(),
        raw: None,
        entities: vec![made],
        relations: Vec::new(),
    };
    let applied = graph.write.apply(tx, change).await?;
    let device = applied.entities.first().map(|entity| entity.id);
    device.ok_or_else(|| GraphError::Invalid("the graph made no Device".to_owned()))
}

/// The properties that are there; nulls are left out.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => Map::new(),
    }
}
