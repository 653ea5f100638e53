//! Writing relations, in the owner's name.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use contracts::{Problem, RelationId};
use serde::{Deserialize, Serialize};
use spine::AccessError;
use spine::edge::{Caller, Cursor, Json, Once, REPLAYED, once, page, page_size};
use spine::ports::{AssertedBy, GraphWrite, Relation, RelationChange};

use super::entities::{missing, told};
use super::entity_write::said;
use super::{RelationView, done};
use crate::apply::Work;
use crate::{Graph, store};

/// What one entity is to another.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRelation {
    /// The entity's id, or `me`.
    from: String,
    /// What the second is to the first, such as `partner`.
    predicate: String,
    /// The other entity's id, or `me`.
    to: String,
}

/// Which relations.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RelationQuery {
    /// Of this entity, in both directions: its id, or `me`.
    entity: String,
    /// Of this kind only, such as `partner`.
    predicate: Option<String>,
    /// How many at most: 1 to 200, 50 if not said.
    limit: Option<u32>,
    /// Where the list before this one ended.
    cursor: Option<String>,
}

/// A page of relations.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct RelationPage {
    /// Newest first; one for each source that says so.
    items: Vec<RelationView>,
    /// For the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Lists the relations of an entity, newest first.
#[utoipa::path(get, path = "/relations", tag = "graph", params(RelationQuery), responses(
    (status = 200, body = RelationPage),
    (status = 400, description = "The cursor or limit is not one", body = Problem),
    (status = 404, description = "There is no such entity", body = Problem),
))]
pub(crate) async fn list(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    Query(query): Query<RelationQuery>,
) -> Result<Json<RelationPage>, Problem> {
    let size = page_size(query.limit)?;
    let before = Cursor::read_dated(query.cursor.as_deref())?;
    if query.predicate.as_deref().is_some_and(|word| word.contains('\0')) {
        return Err(Problem::bad_request(
            "`predicate` holds the character NUL, which none has",
        ));
    }
    let mut tx = graph.begin(&caller).await?;
    let id = graph.resolve(&mut tx, &query.entity).await?;
    let root = store::entity_root(&mut tx, id).await.map_err(AccessError::from)?;
    let Some(root) = root else {
        return Err(missing(&mut tx, id).await);
    };
    let members = store::entity_members(&mut tx, root)
        .await
        .map_err(AccessError::from)?;
    let filter = store::RelationFilter {
        members: &members,
        predicate: query.predicate.as_deref(),
        before,
        limit: size as i64 + 1,
    };
    let rows = store::relation_list(&mut tx, &filter)
        .await
        .map_err(AccessError::from)?;
    let (rows, next_cursor) = page(rows, size, |row| (row.recorded_at, row.id));
    tx.audit(
        "read",
        format!("entity/{root}/relations"),
        Some(rows.len() as u64),
    )?;
    tx.commit().await?;
    let items = rows
        .into_iter()
        .map(|row| RelationView::of(root.0, row))
        .collect();
    Ok(Json(RelationPage { items, next_cursor }))
}

/// Relates two entities. Saying it twice is saying it once.
#[utoipa::path(post, path = "/relations", tag = "graph", request_body = NewRelation,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition within a day harmless")),
    responses(
        (status = 201, body = Relation),
        (status = 200, description = "This is a repetition", body = Relation),
        (status = 404, description = "One of the entities is not there", body = Problem),
        (status = 422, description = "The predicate can't be one", body = Problem),
    )
)]
pub(crate) async fn create(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    headers: HeaderMap,
    Json(new): Json<NewRelation>,
) -> Result<Response, Problem> {
    let mut tx = graph.begin(&caller).await?;
    let key = match once(&mut tx, &headers, "graph", "POST /relations", &new).await? {
        Once::First(key) => key,
        Once::Again(id) => {
            let id = RelationId(id);
            let edge = store::relation_by_id(&mut tx, id)
                .await
                .map_err(AccessError::from)?;
            let edge = edge.ok_or_else(|| Problem::not_found(format!("relation {id} was removed since")))?;
            tx.audit("read", format!("relation/{id}"), Some(1))?;
            tx.commit().await?;
            return Ok((StatusCode::OK, REPLAYED, Json(view(id, edge))).into_response());
        }
    };
    let from = graph.resolve(&mut tx, &new.from).await?;
    let to = graph.resolve(&mut tx, &new.to).await?;
    let edge = RelationChange {
        from,
        predicate: new.predicate,
        to,
    };
    let applied = match graph.apply(&mut tx, said(vec![], vec![edge.clone()])).await {
        Ok(applied) => applied,
        Err(error) => return Err(told(&mut tx, error).await),
    };
    let Some(id) = applied.relations.first().copied() else {
        return Err(Problem::unprocessable("nothing was said"));
    };
    key.answer(&mut tx, id.0).await?;
    tx.audit("write", format!("relation/{id}"), None)?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(view(id, edge))).into_response())
}

/// Says that a relation doesn't hold, whichever source had said it did. No later import brings it back.
#[utoipa::path(delete, path = "/relations/{id}", tag = "graph",
    params(("id" = RelationId, Path, description = "The relation's id")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such relation", body = Problem),
    )
)]
pub(crate) async fn remove(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    Path(id): Path<RelationId>,
) -> Result<StatusCode, Problem> {
    let mut tx = graph.begin(&caller).await?;
    let edge = store::relation_by_id(&mut tx, id)
        .await
        .map_err(AccessError::from)?
        .ok_or_else(|| Problem::not_found(format!("there is no relation {id}")))?;
    let mut work = Work::new(graph.types(&mut tx).await?, AssertedBy::User, "user");
    store::savepoint(&mut tx).await.map_err(AccessError::from)?;
    let outcome = work.unrelate(&mut tx, &edge, Some(id)).await;
    work.end(&mut tx, outcome).await?;
    done(tx, format!("relation/{id}")).await
}

fn view(id: RelationId, edge: RelationChange) -> Relation {
    Relation {
        id,
        from: edge.from,
        predicate: edge.predicate,
        to: edge.to,
    }
}
