//! Completing and reopening tasks.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use contracts::Problem;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use spine::edge::{Caller, Json, Once, once};
use spine::ports::{EntityChange, Target};

use super::tasks::TaskDetail;
use super::words::wrong;
use super::{Desk, SERVICE, entity_id, made_before};
use crate::model::plan::{Kind, Status};
use crate::model::when::When;
use crate::planner::{Done, said};
use crate::store;

/// What was done.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Completed {
    /// The `due` that the caller saw: an occurrence that was done already isn't done twice.
    occurrence: Option<String>,
    /// When it was done, if not now.
    completed_at: Option<String>,
}

/// Completes a task; a recurring one moves on to its next occurrence.
#[utoipa::path(post, path = "/tasks/{id}/complete", tag = "intentions", request_body = Completed,
    params(("id" = String, Path, description = "The Task in the graph"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition within a day harmless")),
    responses(
        (status = 200, description = "It is done, or was before", body = TaskDetail),
        (status = 404, description = "There is no such task", body = Problem),
        (status = 409, description = "The task has moved on from this occurrence", body = Problem),
        (status = 422, description = "`completed_at` is not a time that has come", body = Problem),
    ))]
pub(crate) async fn complete(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(completed): Json<Completed>,
) -> Result<Response, Problem> {
    let id = entity_id("task", &id)?;
    let mut tx = desk.begin(&caller).await?;
    let route = format!("POST /tasks/{id}/complete");
    let key = match once(&mut tx, &headers, SERVICE, &route, &completed).await? {
        Once::First(key) => key,
        Once::Again(_) => {
            let detail = desk.task_detail(&mut tx, id).await?;
            return made_before(tx, format!("task/{id}"), detail).await;
        }
    };
    store::plan::account_lock(&mut tx).await?;
    // As the graph has it now, also if the log hasn't told of it yet.
    desk.planner.fold(&mut tx, id, Done::Stays).await?;
    let plan = desk.plan(&mut tx, Kind::Task, id).await?;
    if let Some(occurrence) = &completed.occurrence {
        let seen = When::parse(occurrence).map_err(|problem| wrong("occurrence", &problem))?;
        if plan.due.as_deref() != Some(seen.to_string().as_str()) {
            let due = plan.due.unwrap_or_else(|| "at no time".to_owned());
            return Err(Problem::conflict(format!(
                "the task is due {due}, not {seen}: that occurrence was done, or moved"
            )));
        }
    }
    let zone = desk.context.ports.account_directory().zone(&mut tx).await?;
    let at = match &completed.completed_at {
        Some(text) => When::parse(text)
            .map_err(|problem| wrong("completed_at", &problem))?
            .instant(zone),
        None => tx.now(),
    };
    if at > tx.now() {
        return Err(wrong("completed_at", "it has not come yet"));
    }
    if plan.status != Status::Completed.as_str() {
        let mut change = EntityChange {
            target: Target::Existing(id),
            kind: Kind::Task.as_str().to_owned(),
            title: None,
            props: serde_json::Map::new(),
            identifiers: Vec::new(),
            starts_at: None,
        };
        change
            .props
            .insert("status".to_owned(), json!(Status::Completed.as_str()));
        change
            .props
            .insert("completed_at".to_owned(), json!(When::Instant(at).to_string()));
        change.props.insert("percent".to_owned(), json!(100));
        desk.context
            .ports
            .graph_write()
            .apply(&mut tx, said(vec![change]))
            .await?;
        desk.planner.fold(&mut tx, id, Done::MovesOn).await?;
    }
    key.answer(&mut tx, id.0).await?;
    let detail = desk.task_detail(&mut tx, id).await?;
    tx.audit("write", format!("task/{id}"), None)?;
    tx.commit().await?;
    Ok((StatusCode::OK, Json(detail)).into_response())
}

/// Opens a task again that was done or given up.
#[utoipa::path(post, path = "/tasks/{id}/reopen", tag = "intentions",
    params(("id" = String, Path, description = "The Task in the graph")),
    responses(
        (status = 200, description = "It is open, or was before", body = TaskDetail),
        (status = 404, description = "There is no such task", body = Problem),
    ))]
pub(crate) async fn reopen(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<TaskDetail>, Problem> {
    let id = entity_id("task", &id)?;
    let mut tx = desk.begin(&caller).await?;
    store::plan::account_lock(&mut tx).await?;
    desk.planner.fold(&mut tx, id, Done::Stays).await?;
    let plan = desk.plan(&mut tx, Kind::Task, id).await?;
    if !Status::from_name(&plan.status).is_some_and(Status::is_open) {
        let mut change = EntityChange {
            target: Target::Existing(id),
            kind: Kind::Task.as_str().to_owned(),
            title: None,
            props: serde_json::Map::new(),
            identifiers: Vec::new(),
            starts_at: None,
        };
        change
            .props
            .insert("status".to_owned(), json!(Status::NeedsAction.as_str()));
        change.props.insert("completed_at".to_owned(), Value::Null);
        change.props.insert("percent".to_owned(), Value::Null);
        desk.context
            .ports
            .graph_write()
            .apply(&mut tx, said(vec![change]))
            .await?;
        desk.planner.fold(&mut tx, id, Done::Stays).await?;
    }
    let detail = desk.task_detail(&mut tx, id).await?;
    tx.audit("write", format!("task/{id}"), None)?;
    tx.commit().await?;
    Ok(Json(detail))
}
