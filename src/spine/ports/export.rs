//! Reading a whole account of the graph in order, page by page: for exports, and to understand records again.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use contracts::RawRecordId;
use serde_json::Value;
use uuid::Uuid;

use super::GraphError;
use crate::access::ScopedTx;

/// An entity as it is exported.
#[derive(Debug, Clone)]
pub struct ExportedEntity {
    /// Its id.
    pub id: Uuid,
    /// Its type.
    pub kind: String,
    /// Its title.
    pub title: Option<String>,
    /// The fold of what is asserted of it: an object.
    pub props: Value,
    /// When it happened or began.
    pub starts_at: Option<DateTime<Utc>>,
    /// When it came into the graph.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// The record that it was made from.
    pub raw_record: Option<Uuid>,
}

/// An identifier of an exported entity, or of one that was merged into it.
#[derive(Debug, Clone)]
pub struct ExportedIdentifier {
    /// The entity that shows it.
    pub entity: Uuid,
    /// Its scheme.
    pub scheme: String,
    /// Its value.
    pub value: String,
}

/// A relation as it is exported, with the types of its ends; what was merged is given as what it was merged into.
#[derive(Debug, Clone)]
pub struct ExportedRelation {
    /// Its id.
    pub id: Uuid,
    /// From which entity.
    pub from: Uuid,
    /// Of which type that is.
    pub from_kind: String,
    /// What the second is to the first.
    pub predicate: String,
    /// To which entity.
    pub to: Uuid,
    /// Of which type that is.
    pub to_kind: String,
    /// When it came into the graph.
    pub recorded_at: DateTime<Utc>,
}

/// Reads the graph in order, in the caller's transaction. Pages follow each other by the moment and id of the last item.
#[async_trait]
pub trait GraphExport: Send + Sync {
    /// Living entities of some types, or of all, in the order in which they came into the graph.
    async fn entity_page(
        &self,
        tx: &mut ScopedTx,
        kinds: Option<&[String]>,
        after: (DateTime<Utc>, Uuid),
        limit: i64,
    ) -> Result<Vec<ExportedEntity>, GraphError>;

    /// What these entities bear, sorted.
    async fn exported_identifiers(
        &self,
        tx: &mut ScopedTx,
        entities: &[Uuid],
    ) -> Result<Vec<ExportedIdentifier>, GraphError>;

    /// Of these entities, of which others the owner said that they are not the same: pairs of one of these and another
    /// living one, each as what it was merged into.
    async fn told_apart(&self, tx: &mut ScopedTx, entities: &[Uuid])
    -> Result<Vec<(Uuid, Uuid)>, GraphError>;

    /// Relations that hold, in the order in which they came; each once, whoever says it.
    async fn relation_page(
        &self,
        tx: &mut ScopedTx,
        after: (DateTime<Utc>, Uuid),
        limit: i64,
    ) -> Result<Vec<ExportedRelation>, GraphError>;

    /// Records of a source (or of all) with one of these media types, after an id, in order.
    async fn record_page(
        &self,
        tx: &mut ScopedTx,
        source: Option<&str>,
        media_types: &[String],
        after: RawRecordId,
        limit: i64,
    ) -> Result<Vec<RawRecordId>, GraphError>;
}
