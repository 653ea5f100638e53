//! Writing entities, in the owner's name.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use contracts::{EntityId, Problem};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spine::edge::{Caller, Json, Once, REPLAYED, once};
use spine::ports::{
    AssertedBy, Change, EntityChange, GraphRead, GraphWrite, Identifier, RelationChange, Target,
};

use super::entities::{entity_detail, missing};
use super::{EntityDetail, written};
use crate::Graph;
use crate::apply::made::{Borne, Made};

/// What to do about an address that somebody bears.
const ANYWAY: &str = "change that one (PATCH /entities/{id}), or make another one with \"anyway\": true and be asked whether \
                      they are the same";

/// What the owner says of something.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEntity {
    /// Its type, such as `Person`.
    #[serde(rename = "type")]
    kind: String,
    /// Its title; the property `name` if not said.
    title: Option<String>,
    /// Its properties. Those that the type doesn't know begin with `x_`.
    #[serde(default)]
    #[schema(value_type = Object)]
    props: Map<String, Value>,
    /// By what it is known. If one of that type bears any of these, nothing is made.
    #[serde(default)]
    identifiers: Vec<Identifier>,
    /// Make it although another one bears an identifier of it. You are asked then whether they are the same (`/merges`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    anyway: bool,
    /// When it happened or began.
    starts_at: Option<DateTime<Utc>>,
    /// What it is to another entity.
    relation: Option<NearEnd>,
}

/// The other end of a relation to what is being written.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NearEnd {
    /// What it is to that entity, such as `partner`.
    predicate: String,
    /// The entity's id, or `me`.
    from: String,
}

/// What the owner changes.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntityPatch {
    /// A new title.
    title: Option<String>,
    /// Properties to set; a null takes the owner's own word back, so that what other sources say shows again.
    #[serde(default)]
    #[schema(value_type = Object)]
    props: Map<String, Value>,
    /// Identifiers to add.
    #[serde(default)]
    identifiers: Vec<Identifier>,
    /// When it happened or began.
    starts_at: Option<DateTime<Utc>>,
}

/// Makes an entity. It never changes another one.
#[utoipa::path(post, path = "/entities", tag = "graph", request_body = NewEntity,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition within a day harmless")),
    responses(
        (status = 201, description = "It was made", body = EntityDetail),
        (status = 200, description = "This is a repetition", body = EntityDetail),
        (status = 404, description = "The relation's other end is not there", body = Problem),
        (status = 409, description = "Another one of that type bears an identifier of it: `entity` says which", body = Problem),
        (status = 422, description = "It can't be taken; says what would be right", body = Problem),
    )
)]
pub(crate) async fn create(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    headers: HeaderMap,
    Json(new): Json<NewEntity>,
) -> Result<Response, Problem> {
    refuse_reserved(&new.identifiers)?;
    let mut tx = graph.begin(&caller).await?;
    let key = match once(&mut tx, &headers, "graph", "POST /entities", &new).await? {
        Once::First(key) => key,
        Once::Again(id) => {
            let detail = entity_detail(&mut tx, id.into()).await?;
            tx.audit("read", format!("entity/{id}"), Some(1))?;
            tx.commit().await?;
            return Ok((StatusCode::OK, REPLAYED, Json(detail)).into_response());
        }
    };
    let near = match &new.relation {
        Some(near) => Some((graph.resolve(&mut tx, &near.from).await?, near.predicate.clone())),
        None => None,
    };
    let entity = EntityChange {
        target: Target::New(EntityId::new()),
        kind: new.kind,
        title: new.title,
        props: new.props,
        identifiers: new.identifiers,
        starts_at: new.starts_at,
    };
    let applied = if entity.identifiers.is_empty() {
        let applied = graph.apply(&mut tx, said(vec![entity], vec![])).await?;
        applied.entities.into_iter().next()
    } else {
        match graph
            .make(&mut tx, said(vec![entity], vec![]), new.anyway)
            .await?
        {
            Made::New(made) => Some(made),
            Made::Borne(borne) => return Err(taken(&borne)),
        }
    };
    let applied = applied.ok_or_else(|| Problem::unprocessable("nothing was said"))?;
    if let Some((from, predicate)) = near {
        let relation = RelationChange {
            from,
            predicate,
            to: applied.id,
        };
        graph.apply(&mut tx, said(vec![], vec![relation])).await?;
    }
    key.answer(&mut tx, applied.id.0).await?;
    let detail = entity_detail(&mut tx, applied.id).await?;
    tx.audit("write", format!("entity/{}", applied.id), None)?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(detail)).into_response())
}

/// Somebody bears what was to be given to another one.
fn taken(borne: &Borne) -> Problem {
    let Borne { by, title, address } = borne;
    let called = title.as_deref().map_or_else(
        || "an entity without a name".to_owned(),
        |title| format!("`{title}`"),
    );
    let mut problem = Problem::conflict(format!(
        "{called} ({by}) has {address} already; nothing was made or changed"
    ))
    .hint(ANYWAY);
    problem.entity = Some(Box::new(*by));
    problem
}

/// Changes an entity. What the owner says here outlives every import.
#[utoipa::path(patch, path = "/entities/{id}", tag = "graph", request_body = EntityPatch,
    params(("id" = String, Path, description = "The entity's id, or `me`")),
    responses(
        (status = 200, body = EntityDetail),
        (status = 404, description = "There is no such entity", body = Problem),
        (status = 422, description = "It can't be taken; says what would be right", body = Problem),
    )
)]
pub(crate) async fn update(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(patch): Json<EntityPatch>,
) -> Result<Json<EntityDetail>, Problem> {
    refuse_reserved(&patch.identifiers)?;
    let mut tx = graph.begin(&caller).await?;
    let id = graph.resolve(&mut tx, &id).await?;
    let Some(entity) = graph.entity(&mut tx, id).await? else {
        return Err(missing(&mut tx, id).await);
    };
    let change = EntityChange {
        target: Target::Existing(id),
        kind: entity.kind,
        title: patch.title,
        props: patch.props,
        identifiers: patch.identifiers,
        starts_at: patch.starts_at,
    };
    graph.apply(&mut tx, said(vec![change], vec![])).await?;
    written(tx, id, format!("entity/{id}")).await
}

/// The owner's word.
pub(super) fn said(entities: Vec<EntityChange>, relations: Vec<RelationChange>) -> Change {
    Change {
        by: AssertedBy::User,
        source: "user".to_owned(),
        raw: None,
        entities,
        relations,
    }
}

/// By `allod…` the hub knows its own: the owner's Person, the devices of its tokens.
fn refuse_reserved(identifiers: &[Identifier]) -> Result<(), Problem> {
    let reserved = |scheme: &str| {
        let scheme = scheme.trim().to_ascii_lowercase();
        scheme == "allod" || scheme.starts_with("allod.")
    };
    match identifiers.iter().find(|identifier| reserved(&identifier.scheme)) {
        None => Ok(()),
        Some(_) => Err(
            Problem::unprocessable("identifiers of the scheme `allod` are the hub's own")
                .hint("address your own Person as /entities/me"),
        ),
    }
}
