//! Writing relations, in the owner's name.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use contracts::{Problem, RelationId};
use serde::{Deserialize, Serialize};
use spine::AccessError;
use spine::edge::{Caller, Json, Once, REPLAYED, once};
use spine::ports::{AssertedBy, GraphWrite, Relation, RelationChange};

use super::done;
use super::entity_write::said;
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
    let applied = graph.apply(&mut tx, said(vec![], vec![edge.clone()])).await?;
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
