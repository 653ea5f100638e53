//! Merging, telling apart, deleting, and taking each of them back.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use contracts::Problem;
use contracts::jobs::EraseEntity;
use serde::{Deserialize, Serialize};
use spine::AccessError;
use spine::edge::{Caller, Cursor, Json, page_size};
use spine::ports::GraphRead;
use spine::queue::JobOptions;
use uuid::Uuid;

use super::entities::{being_erased, told};
use super::{EntityDetail, done, written};
use crate::{Graph, store};

/// The other one of two entities.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Other {
    /// Its id, or `me`.
    other: String,
}

/// Which decisions to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecisionQuery {
    /// `suggested` (the default): open questions; `merged`; `distinct`: told apart.
    standing: Option<Standing>,
    /// How many, 1 to 200; 50 if not said.
    limit: Option<u32>,
    /// Where the list goes on.
    cursor: Option<String>,
}

/// How two entities stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Standing {
    /// They may be one: the owner is asked.
    Suggested,
    /// They are one.
    Merged,
    /// They are not the same, and nobody asks again.
    Distinct,
}

impl Standing {
    fn name(self) -> &'static str {
        match self {
            Self::Suggested => "suggested",
            Self::Merged => "merged",
            Self::Distinct => "distinct",
        }
    }
}

/// What the owner answers to a suggestion, or now thinks of an earlier decision.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settlement {
    /// `merged` or `distinct`.
    standing: Standing,
}

/// One end of a decision.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct DecisionEnd {
    /// The entity.
    id: Uuid,
    /// What it is called.
    title: Option<String>,
}

/// What was found or decided of two entities.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct DecisionView {
    /// Its id.
    id: Uuid,
    /// The type of both.
    #[serde(rename = "type")]
    kind: String,
    /// One.
    first: DecisionEnd,
    /// The other.
    second: DecisionEnd,
    /// `suggested`, `merged` or `distinct`.
    standing: String,
    /// Why.
    reason: String,
    /// How likely it is that they are one, 0 to 1.
    score: f32,
    /// `hub`, or who decided.
    decided_by: String,
    /// When.
    decided_at: DateTime<Utc>,
}

/// A page of decisions.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct DecisionPage {
    /// Open questions by their score, the likeliest first; what was decided newest first.
    items: Vec<DecisionView>,
    /// Where the list goes on; absent on the last page.
    next_cursor: Option<String>,
}

impl From<store::DecisionRow> for DecisionView {
    fn from(row: store::DecisionRow) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            first: DecisionEnd {
                id: row.first,
                title: row.first_title,
            },
            second: DecisionEnd {
                id: row.second,
                title: row.second_title,
            },
            standing: row.standing,
            reason: row.reason,
            score: row.score,
            decided_by: row.decided_by,
            decided_at: row.decided_at,
        }
    }
}

/// Says that two entities are one. The named one stays (your own Person always does), and answers for the other.
#[utoipa::path(post, path = "/entities/{id}/merge", tag = "graph", request_body = Other,
    params(("id" = String, Path, description = "The entity that stays: its id, or `me`")),
    responses(
        (status = 200, description = "They are one", body = EntityDetail),
        (status = 404, description = "One of them is not there", body = Problem),
        (status = 422, description = "They can't be one: their types differ, or it is the same one twice", body = Problem),
    )
)]
pub(crate) async fn merge(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(Other { other }): Json<Other>,
) -> Result<Json<EntityDetail>, Problem> {
    let mut tx = graph.begin(&caller).await?;
    let id = graph.resolve(&mut tx, &id).await?;
    let other = graph.resolve(&mut tx, &other).await?;
    let survivor = match graph.merge(&mut tx, id, other).await {
        Ok(survivor) => survivor,
        Err(error) => return Err(told(&mut tx, error).await),
    };
    written(tx, survivor, format!("entity/{survivor}/merge/{other}")).await
}

/// Takes a merge back: the entity stands for itself again, and the two count as not the same from now on.
#[utoipa::path(post, path = "/entities/{id}/unmerge", tag = "graph",
    params(("id" = Uuid, Path, description = "The entity that had been merged into another")),
    responses(
        (status = 200, description = "It stands for itself again", body = EntityDetail),
        (status = 404, description = "There is no such entity", body = Problem),
        (status = 422, description = "It isn't merged into another", body = Problem),
    )
)]
pub(crate) async fn unmerge(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<EntityDetail>, Problem> {
    let mut tx = graph.begin(&caller).await?;
    let parted = graph.unmerge(&mut tx, id.into()).await?;
    let (survivor, separated) = (parted.survivor, parted.separated);
    written(tx, separated, format!("entity/{survivor}/unmerge/{separated}")).await
}

/// Says that two entities are not the same: they are never merged by themselves, nor asked about again.
#[utoipa::path(post, path = "/entities/{id}/distinct", tag = "graph", request_body = Other,
    params(("id" = String, Path, description = "The entity's id, or `me`")),
    responses(
        (status = 204, description = "It is remembered"),
        (status = 404, description = "One of them is not there", body = Problem),
        (status = 422, description = "They are merged", body = Problem),
    )
)]
pub(crate) async fn tell_apart(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(Other { other }): Json<Other>,
) -> Result<StatusCode, Problem> {
    let mut tx = graph.begin(&caller).await?;
    let id = graph.resolve(&mut tx, &id).await?;
    let other = graph.resolve(&mut tx, &other).await?;
    if let Err(error) = graph.tell_apart(&mut tx, id, other).await {
        return Err(told(&mut tx, error).await);
    }
    done(tx, format!("entity/{id}/distinct/{other}")).await
}

/// Who may be one, who was merged, and who was told apart.
#[utoipa::path(get, path = "/merges", tag = "graph", params(DecisionQuery),
    responses((status = 200, body = DecisionPage)))]
pub(crate) async fn decisions(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    Query(query): Query<DecisionQuery>,
) -> Result<Json<DecisionPage>, Problem> {
    let size = page_size(query.limit)?;
    let after = query.cursor.as_deref().map(read_cursor).transpose()?;
    let standing = query.standing.unwrap_or(Standing::Suggested).name();
    let mut tx = graph.begin(&caller).await?;
    let rows = store::decision_list(&mut tx, standing, after, size as i64 + 1)
        .await
        .map_err(AccessError::from)?;
    let (rows, next_cursor) = cut(rows, size);
    tx.audit(
        "read",
        format!("merges?standing={standing}"),
        Some(rows.len() as u64),
    )?;
    tx.commit().await?;
    let items = rows.into_iter().map(Into::into).collect();
    Ok(Json(DecisionPage { items, next_cursor }))
}

/// Cuts a list that was read one longer than the page; a cursor is a score before one of lists by time.
fn cut(mut rows: Vec<store::DecisionRow>, size: usize) -> (Vec<store::DecisionRow>, Option<String>) {
    let more = rows.len() > size;
    rows.truncate(size);
    let next = rows.last().filter(|_| more).map(|row| {
        let (at, id) = (Some(row.decided_at), row.id);
        format!("{:08x}_{}", row.score.to_bits(), Cursor { at, id })
    });
    (rows, next)
}

fn read_cursor(text: &str) -> Result<store::DecisionCursor, Problem> {
    let (score, rest) = text.split_once('_').unwrap_or_default();
    let score = u32::from_str_radix(score, 16).ok().map(f32::from_bits);
    let dated = Cursor::read_dated(Some(rest))?;
    score
        .filter(|score| score.is_finite())
        .zip(dated)
        .map(|(score, (at, id))| store::DecisionCursor { score, at, id })
        .ok_or_else(|| {
            Problem::bad_request("`cursor` is not one that a list gave; leave it out to begin anew")
        })
}

/// Answers a suggestion: `merged` makes them one, `distinct` is never asked again.
#[utoipa::path(patch, path = "/merges/{id}", tag = "graph", request_body = Settlement,
    params(("id" = Uuid, Path, description = "The decision's id")),
    responses(
        (status = 204, description = "It is settled"),
        (status = 404, description = "There is no such decision", body = Problem),
        (status = 422, description = "`suggested` is nothing that the owner can decide", body = Problem),
    )
)]
pub(crate) async fn settle(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(Settlement { standing }): Json<Settlement>,
) -> Result<StatusCode, Problem> {
    let mut tx = graph.begin(&caller).await?;
    let (first, second) = store::decision_by_id(&mut tx, id)
        .await
        .map_err(AccessError::from)?
        .ok_or_else(|| Problem::not_found(format!("there is no decision {id}")))?;
    match standing {
        Standing::Merged => {
            let (elder, younger) = graph.elder_first(&mut tx, first, second).await?;
            if elder != younger {
                graph.merge(&mut tx, elder, younger).await?;
            }
        }
        Standing::Distinct => graph.tell_apart(&mut tx, first, second).await?,
        Standing::Suggested => {
            return Err(Problem::unprocessable("decide `merged` or `distinct`"));
        }
    }
    done(tx, format!("merge/{id}")).await
}

/// Deletes an entity. It can be restored; no import brings it back by itself.
#[utoipa::path(delete, path = "/entities/{id}", tag = "graph",
    params(("id" = String, Path, description = "The entity's id")),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 404, description = "There is no such entity", body = Problem),
        (status = 422, description = "Your own Person goes with the account only", body = Problem),
    )
)]
pub(crate) async fn remove(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let mut tx = graph.begin(&caller).await?;
    let id = graph.resolve(&mut tx, &id).await?;
    if let Err(error) = graph.delete(&mut tx, id).await {
        return Err(told(&mut tx, error).await);
    }
    done(tx, format!("entity/{id}")).await
}

/// Takes a deletion back.
#[utoipa::path(post, path = "/entities/{id}/restore", tag = "graph",
    params(("id" = Uuid, Path, description = "The entity's id")),
    responses(
        (status = 200, description = "It is there again", body = EntityDetail),
        (status = 404, description = "There never was such an entity", body = Problem),
        (status = 409, description = "It is being erased", body = Problem),
    )
)]
pub(crate) async fn restore(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<EntityDetail>, Problem> {
    let mut tx = graph.begin(&caller).await?;
    let erasing = store::erasure_job(&mut tx, id.into()).await;
    if let Some(job) = erasing.map_err(AccessError::from)? {
        return Err(being_erased(Problem::conflict, id, job));
    }
    let id = graph.restore(&mut tx, id.into()).await?;
    written(tx, id, format!("entity/{id}/restore")).await
}

/// What to erase.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Erasure {
    /// With everything on its timeline: messages, calls, events that it took part in.
    #[serde(default)]
    with_timeline: bool,
}

/// An order that is being carried out.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct EraseOrdered {
    /// The job that does it: `/jobs/{id}` tells how far it is, and at the end which rows went.
    job: Option<Uuid>,
}

/// Erases an entity for good, with all that was merged into it. This can't be taken back.
///
/// It is hidden at once, and can't be restored any more. A job does the rest; `data.EntityErased` is the receipt.
#[utoipa::path(post, path = "/entities/{id}/erase", tag = "graph", request_body = Erasure,
    params(("id" = Uuid, Path, description = "The entity's id")),
    responses(
        (status = 202, description = "It is being erased", body = EraseOrdered),
        (status = 404, description = "There is no such entity", body = Problem),
        (status = 422, description = "Your own Person goes with the account only", body = Problem),
    )
)]
pub(crate) async fn erase(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(Erasure { with_timeline }): Json<Erasure>,
) -> Result<(StatusCode, Json<EraseOrdered>), Problem> {
    let mut tx = graph.begin(&caller).await?;
    let root = store::entity_root_lock(&mut tx, id.into())
        .await
        .map_err(AccessError::from)?
        .ok_or_else(|| Problem::not_found(format!("there is no entity {id}")))?;
    if graph.me(&mut tx).await.is_ok_and(|me| me == root.id) {
        return Err(Problem::unprocessable(
            "this is your own Person: it goes with the account",
        ));
    }
    let order = EraseEntity {
        entity: root.id,
        with_timeline,
    };
    // Hidden at once: the job may have much to do.
    if root.deleted_by.is_none() {
        graph.delete(&mut tx, root.id).await?;
    }
    let job = tx.enqueue(&order, JobOptions::default()).await?;
    if let Some(job) = &job {
        store::erasure_order(&mut tx, root.id, job.0)
            .await
            .map_err(AccessError::from)?;
    }
    tx.audit("write", "entity/erase", None)?;
    tx.commit().await?;
    let job = job.map(|job| job.0);
    Ok((StatusCode::ACCEPTED, Json(EraseOrdered { job })))
}
