//! The routes of the graph, below `/api/v1`.
//!
//! Invariant: what a caller writes here is the owner's own word (`by: user`), audited one by one; a read is audited
//! once, with its count. `me` stands for the owner's Person wherever an entity's id does.
//! Begin with [`router`].

mod entities;
mod entity_write;
mod history;
mod identity;
mod neighbours;
mod raw_records;
mod relations;
mod timeline;

use std::sync::Arc;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use contracts::{EntityId, Problem};
use serde::{Deserialize, Serialize};
use spine::edge::{Caller, Json};
use spine::ports::{Entity, GraphRead};
use spine::{Cause, ScopedTx};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::Graph;

pub(crate) fn router(graph: Arc<Graph>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(entities::list, entity_write::create))
        .routes(routes!(entities::types))
        .routes(routes!(entities::detail, entity_write::update, identity::remove))
        .routes(routes!(identity::restore))
        .routes(routes!(identity::erase))
        .routes(routes!(identity::merge))
        .routes(routes!(identity::unmerge))
        .routes(routes!(identity::tell_apart))
        .routes(routes!(identity::decisions))
        .routes(routes!(identity::settle))
        .routes(routes!(history::history))
        .routes(routes!(neighbours::neighbours))
        .routes(routes!(timeline::timeline))
        .routes(routes!(relations::list, relations::create))
        .routes(routes!(relations::remove))
        .routes(routes!(raw_records::list))
        .with_state(graph)
}

impl Graph {
    async fn begin(&self, caller: &Caller) -> Result<ScopedTx, Problem> {
        Ok(self.access.begin(&caller.0, Cause::outside()).await?)
    }

    /// The id that a caller names, as `me` or as a UUID.
    async fn resolve(&self, tx: &mut ScopedTx, named: &str) -> Result<EntityId, Problem> {
        if named == "me" {
            return Ok(self.me(tx).await?);
        }
        named.parse().map_err(|_| {
            Problem::bad_request(
                "an entity is named by its id, a UUID, or by `me` for the owner's own Person",
            )
        })
    }
}

/// Ends a write: shows how the entity stands now.
async fn written(mut tx: ScopedTx, id: EntityId, audited: String) -> Result<Json<EntityDetail>, Problem> {
    let detail = entities::entity_detail(&mut tx, id).await?;
    tx.audit("write", audited, None)?;
    tx.commit().await?;
    Ok(Json(detail))
}

/// Ends a write that has nothing to show.
async fn done(mut tx: ScopedTx, audited: String) -> Result<StatusCode, Problem> {
    tx.audit("write", audited, None)?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An entity with where everything about it comes from.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct EntityDetail {
    /// The entity as it is shown.
    #[serde(flatten)]
    entity: Entity,
    /// By what it is known.
    identifiers: Vec<IdentifierView>,
    /// How it is related, in both directions, newest first, at most 200.
    relations: Vec<RelationView>,
    /// What each source said and says of it, newest first, at most 200.
    claims: Vec<ClaimView>,
    /// Entities that were merged into it; each can be taken out again.
    merged: Vec<Uuid>,
}

/// An address or id, with who says that the entity bears it.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct IdentifierView {
    /// Such as `tel`.
    scheme: String,
    /// In its one spelling.
    value: String,
    /// `user`, `connector`, `rule`, `agent` or `peer`.
    asserted_by: String,
    /// Through what.
    source: String,
    /// Since when the graph knows.
    recorded_at: DateTime<Utc>,
}

/// A relation, with who says so.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct RelationView {
    /// Its id.
    id: Uuid,
    /// From which entity.
    from: Uuid,
    /// What the second is to the first.
    predicate: String,
    /// To which entity.
    to: Uuid,
    /// The title of the end that isn't this entity.
    other_title: Option<String>,
    /// Its type.
    other_type: String,
    /// `user`, `connector`, `rule`, `agent` or `peer`.
    asserted_by: String,
    /// Through what.
    source: String,
    /// Since when the graph knows.
    recorded_at: DateTime<Utc>,
}

/// What one source said, from when until when.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct ClaimView {
    /// `user`, `connector`, `rule`, `agent` or `peer`.
    asserted_by: String,
    /// Through what.
    source: String,
    /// The title that it gave.
    title: Option<String>,
    /// The properties that it gave.
    #[schema(value_type = Object)]
    props: serde_json::Value,
    /// When it says that it happened or began.
    starts_at: Option<DateTime<Utc>>,
    /// 0 to 1.
    confidence: f32,
    /// Since when the graph has it from this source.
    recorded_from: DateTime<Utc>,
    /// Until when; absent: it still holds.
    recorded_to: Option<DateTime<Utc>>,
    /// The record that it was read from.
    raw_record: Option<Uuid>,
}
