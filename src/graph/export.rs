//! The port by which a whole account is read in order.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use contracts::RawRecordId;
use spine::ScopedTx;
use spine::ports::{ExportedEntity, ExportedIdentifier, ExportedRelation, GraphError, GraphExport};
use uuid::Uuid;

use crate::{Graph, store};

#[async_trait]
impl GraphExport for Graph {
    async fn entity_page(
        &self,
        tx: &mut ScopedTx,
        kinds: Option<&[String]>,
        after: (DateTime<Utc>, Uuid),
        limit: i64,
    ) -> Result<Vec<ExportedEntity>, GraphError> {
        Ok(store::export_entities(tx, kinds, after, limit).await?)
    }

    async fn exported_identifiers(
        &self,
        tx: &mut ScopedTx,
        entities: &[Uuid],
    ) -> Result<Vec<ExportedIdentifier>, GraphError> {
        Ok(store::export_identifiers(tx, entities).await?)
    }

    async fn told_apart(
        &self,
        tx: &mut ScopedTx,
        entities: &[Uuid],
    ) -> Result<Vec<(Uuid, Uuid)>, GraphError> {
        Ok(store::export_told_apart(tx, entities).await?)
    }

    async fn relation_page(
        &self,
        tx: &mut ScopedTx,
        after: (DateTime<Utc>, Uuid),
        limit: i64,
    ) -> Result<Vec<ExportedRelation>, GraphError> {
        Ok(store::export_relations(tx, after, limit).await?)
    }

    async fn record_page(
        &self,
        tx: &mut ScopedTx,
        source: Option<&str>,
        media_types: &[String],
        after: RawRecordId,
        limit: i64,
    ) -> Result<Vec<RawRecordId>, GraphError> {
        Ok(store::export_records(tx, source, media_types, after, limit).await?)
    }
}
