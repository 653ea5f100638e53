//! Changes of the knowledge graph. The envelope's subject is the entity and its version.

use serde::{Deserialize, Serialize};

use super::event;
use crate::{EntityId, RelationId};

/// An entity came into the graph.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EntityCreated {
    /// The entity.
    pub entity: EntityId,
    /// Its type, such as `Person`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its version: 1.
    pub version: i64,
}
event!(EntityCreated, "data.EntityCreated");

/// An entity's folded properties changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EntityUpdated {
    /// The entity.
    pub entity: EntityId,
    /// Its type, such as `Person`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its version after the change.
    pub version: i64,
    /// The names of the properties that changed.
    pub changed: Vec<String>,
}
event!(EntityUpdated, "data.EntityUpdated");

/// An entity was deleted (softly: history keeps it).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EntityDeleted {
    /// The entity.
    pub entity: EntityId,
    /// Its type, such as `Person`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its version after the deletion.
    pub version: i64,
}
event!(EntityDeleted, "data.EntityDeleted");

/// A relation between two entities was asserted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RelationAdded {
    /// The relation.
    pub relation: RelationId,
    /// From which entity.
    pub from: EntityId,
    /// What the second is to the first, such as `partner`.
    pub predicate: String,
    /// To which entity.
    pub to: EntityId,
}
event!(RelationAdded, "data.RelationAdded");

/// The owner said that a relation doesn't hold, whichever source had asserted it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RelationRemoved {
    /// The relation.
    pub relation: RelationId,
    /// From which entity.
    pub from: EntityId,
    /// What the second was to the first.
    pub predicate: String,
    /// To which entity.
    pub to: EntityId,
}
event!(RelationRemoved, "data.RelationRemoved");
