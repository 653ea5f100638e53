//! Reading entities.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use contracts::{EntityId, Problem};
use serde::{Deserialize, Serialize};
use spine::ScopedTx;
use spine::edge::{Caller, Cursor, Json, page, page_size};
use spine::ports::{Entity, Identifier};
use uuid::Uuid;

use super::{ClaimView, EntityDetail, IdentifierView, RelationView};
use crate::normalise::normalise;
use crate::{Graph, store};

/// Which entities.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Of this type only, such as `Person`.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Who bears this, in any spelling: `tel:+1 415 555 2671`, `email:sam@example.org`.
    identifier: Option<String>,
    /// How many at most: 1 to 200, 50 if not said.
    limit: Option<u32>,
    /// Where the list before this one ended.
    cursor: Option<String>,
}

/// A page of entities.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct EntityPage {
    /// Oldest first.
    items: Vec<Entity>,
    /// For the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Lists entities, oldest first.
#[utoipa::path(get, path = "/entities", tag = "graph", params(ListQuery), responses(
    (status = 200, body = EntityPage),
    (status = 400, description = "The cursor, limit or type is not one", body = Problem),
    (status = 422, description = "The identifier can't be one", body = Problem),
))]
pub(crate) async fn list(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<EntityPage>, Problem> {
    let size = page_size(query.limit)?;
    let after = Cursor::read_dated(query.cursor.as_deref())?;
    let identifier = query.identifier.as_deref().map(read_identifier).transpose()?;
    let mut tx = graph.begin(&caller).await?;
    if let Some(kind) = &query.kind {
        graph
            .types(&mut tx)
            .await?
            .get(kind)
            .map_err(Problem::bad_request)?;
    }
    let filter = store::EntityFilter {
        kind: query.kind.as_deref(),
        identifier: identifier
            .as_ref()
            .map(|one| (one.scheme.as_str(), one.value.as_str())),
        after,
        limit: size as i64 + 1,
    };
    let items = store::entity_list(&mut tx, &filter)
        .await
        .map_err(spine::AccessError::from)?;
    let (items, next_cursor) = page(items, size, |entity| (entity.created_at, entity.id.0));
    // The audit names the kind of address that was asked for, never the address.
    let asked = format!(
        "entities?type={}&identifier={}",
        query.kind.as_deref().unwrap_or("*"),
        identifier.as_ref().map_or("*", |one| one.scheme.as_str())
    );
    tx.audit("read", asked, Some(items.len() as u64))?;
    tx.commit().await?;
    Ok(Json(EntityPage { items, next_cursor }))
}

fn read_identifier(text: &str) -> Result<Identifier, Problem> {
    let (scheme, value) = text.split_once(':').ok_or_else(|| {
        Problem::bad_request("`identifier` is written scheme:value, such as tel:+14155552671")
    })?;
    // In a query a plus that was not escaped arrives as a space.
    let value = match value.strip_prefix(' ') {
        Some(rest) if scheme.eq_ignore_ascii_case("tel") => format!("+{rest}"),
        _ => value.to_owned(),
    };
    normalise(&Identifier::new(scheme, value)).map_err(Problem::unprocessable)
}

/// An entity with its identifiers, relations, and what each source says of it.
#[utoipa::path(get, path = "/entities/{id}", tag = "graph",
    params(("id" = String, Path, description = "The entity's id, or `me`")),
    responses(
        (status = 200, body = EntityDetail),
        (status = 404, description = "There is no such entity", body = Problem),
    )
)]
pub(crate) async fn detail(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<EntityDetail>, Problem> {
    let mut tx = graph.begin(&caller).await?;
    let id = graph.resolve(&mut tx, &id).await?;
    let detail = entity_detail(&mut tx, id).await?;
    tx.audit("read", format!("entity/{id}"), Some(1))?;
    tx.commit().await?;
    Ok(Json(detail))
}

/// Everything about an entity that its page shows.
pub(super) async fn entity_detail(tx: &mut ScopedTx, id: EntityId) -> Result<EntityDetail, Problem> {
    read_detail(tx, id)
        .await
        .map_err(spine::AccessError::from)?
        .ok_or_else(|| Problem::not_found(format!("there is no entity {id}")))
}

async fn read_detail(tx: &mut ScopedTx, id: EntityId) -> Result<Option<EntityDetail>, sqlx::Error> {
    let Some(root) = store::entity_root(tx, id).await? else {
        return Ok(None);
    };
    let Some(entity) = store::entity_by_id(tx, root).await? else {
        return Ok(None);
    };
    let members = store::entity_members(tx, root).await?;
    let mut claims = store::claim_history(tx, &members).await?;
    if claims.is_empty() {
        claims.extend(store::claim_of_single_source(tx, root).await?);
    }
    let identifiers = store::identifier_list(tx, &members).await?;
    let relations = store::relation_list(tx, &members).await?;
    Ok(Some(EntityDetail {
        entity,
        identifiers: identifiers.into_iter().map(Into::into).collect(),
        relations: relations
            .into_iter()
            .map(|row| RelationView::of(root.0, row))
            .collect(),
        claims: claims.into_iter().map(Into::into).collect(),
        merged: members.into_iter().filter(|member| *member != root.0).collect(),
    }))
}

impl From<store::IdentifierRow> for IdentifierView {
    fn from(row: store::IdentifierRow) -> Self {
        let store::IdentifierRow {
            scheme,
            value,
            asserted_by,
            source,
            recorded_at,
        } = row;
        Self {
            scheme,
            value,
            asserted_by,
            source,
            recorded_at,
        }
    }
}

impl RelationView {
    /// A relation as seen from one of its ends.
    fn of(entity: Uuid, row: store::RelationRow) -> Self {
        let (from, to) = if row.outgoing {
            (entity, row.other)
        } else {
            (row.other, entity)
        };
        Self {
            id: row.id,
            from,
            predicate: row.predicate,
            to,
            other_title: row.other_title,
            asserted_by: row.asserted_by,
            source: row.source,
            recorded_at: row.recorded_at,
        }
    }
}

impl From<store::ClaimRow> for ClaimView {
    fn from(row: store::ClaimRow) -> Self {
        Self {
            asserted_by: row.asserted_by,
            source: row.source,
            title: row.title,
            props: row.props,
            starts_at: row.starts_at,
            confidence: row.confidence,
            recorded_from: row.recorded_from,
            recorded_to: row.recorded_to,
            raw_record: row.raw_record,
        }
    }
}
