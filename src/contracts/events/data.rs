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

/// An entity was erased for good, with everything that spoke of it: the receipt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EntityErased {
    /// The entity.
    pub entity: EntityId,
    /// What had been merged into it, and went with it.
    pub merged: Vec<EntityId>,
    /// Its type, such as `Person`.
    #[serde(rename = "type")]
    pub kind: String,
    /// One more than its last version.
    pub version: i64,
    /// How many rows went, by table.
    pub rows: std::collections::BTreeMap<String, u64>,
    /// Keyed hashes of the names that it alone bore: what is called so elsewhere goes, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}
event!(EntityErased, "data.EntityErased");

/// A deletion was taken back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EntityRestored {
    /// The entity.
    pub entity: EntityId,
    /// Its type, such as `Person`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its version now.
    pub version: i64,
}
event!(EntityRestored, "data.EntityRestored");

/// Two entities turned out to be one. What asks for the absorbed one is answered with the survivor from now on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EntityMerged {
    /// The one that stays.
    pub entity: EntityId,
    /// Its type, such as `Person`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its version after the merge.
    pub version: i64,
    /// The one that leads to it now.
    pub absorbed: EntityId,
    /// The names of the survivor's properties that changed.
    pub changed: Vec<String>,
}
event!(EntityMerged, "data.EntityMerged");

/// What had been merged is two entities again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EntityUnmerged {
    /// The one that had survived.
    pub entity: EntityId,
    /// Its type, such as `Person`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its version now.
    pub version: i64,
    /// The one that stands for itself again.
    pub separated: EntityId,
    /// The version of that one.
    pub separated_version: i64,
}
event!(EntityUnmerged, "data.EntityUnmerged");

/// Two entities may be one: the owner is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MergeSuggested {
    /// The decision that is open.
    pub decision: uuid::Uuid,
    /// One.
    pub first: EntityId,
    /// The other.
    pub second: EntityId,
    /// How likely it is, 0 to 1.
    pub score: f32,
}
event!(MergeSuggested, "data.MergeSuggested");

/// A relation between two entities was asserted. Its ends are as it was said: one that was merged meanwhile stands for what
/// it was merged into, and has the relation again when the merge is taken back.
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
