//! Routes of runs: the list, and the trace of one.

use axum::extract::{Path, Query, State};
use contracts::{Problem, RunId};
use serde::{Deserialize, Serialize};
use spine::edge::{Caller, Json};

use super::Shared;
use crate::runs::model::RunRow;
use crate::runs::store;
use crate::runs::trace::{self, Trace};

const LIMIT: i64 = 50;
const LIMIT_MAX: i64 = 500;

/// Runs.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RunPage {
    /// Newest first.
    items: Vec<RunRow>,
    /// Pass it as `cursor` for older ones. None: these were the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<RunId>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
pub(super) struct RunQuery {
    /// Only runs of this rule.
    rule: Option<String>,
    /// At most so many, 1 to 500; 50 unless said otherwise.
    limit: Option<i64>,
    /// Older than this run: the `next_cursor` of the page before.
    cursor: Option<RunId>,
}

/// The account's runs, newest first.
#[utoipa::path(get, path = "/runs", tag = "rules", params(RunQuery), responses(
    (status = OK, body = RunPage), (status = 401, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn run_list(
    State(shared): State<Shared>,
    Caller(scope): Caller,
    Query(query): Query<RunQuery>,
) -> Result<Json<RunPage>, Problem> {
    let limit = query.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let mut tx = shared.begin(&scope).await?;
    let items = store::run_list(&mut tx, query.rule.as_deref(), query.cursor, limit).await?;
    tx.audit("read", "runs", Some(items.len() as u64))?;
    tx.commit().await?;
    let full = i64::try_from(items.len()).unwrap_or(i64::MAX) == limit;
    let next_cursor = items.last().filter(|_| full).map(|run| run.id);
    Ok(Json(RunPage { items, next_cursor }))
}

/// What a run saw and did: what came in, each condition's value, what was queued, what was answered.
#[utoipa::path(get, path = "/runs/{id}", tag = "rules", params(("id" = RunId, Path, description = "The run")),
    responses((status = OK, body = Trace), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 503, body = Problem)))]
pub(super) async fn run_trace(
    State(shared): State<Shared>,
    Caller(scope): Caller,
    Path(id): Path<RunId>,
) -> Result<Json<Trace>, Problem> {
    let mut tx = shared.begin(&scope).await?;
    let run = store::run_by_id(&mut tx, id).await?;
    let run = run.ok_or_else(|| Problem::not_found(format!("there is no run {id}")))?;
    let trace = trace::of_run(&shared.runner.ports, &mut tx, run).await?;
    tx.audit("read", format!("run/{id}"), Some(1))?;
    tx.commit().await?;
    Ok(Json(trace))
}
