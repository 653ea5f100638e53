//! Completing and reopening tasks.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use contracts::Problem;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use spine::ScopedTx;
use spine::edge::{Caller, Json, Once, once};
use spine::ports::{GraphError, Target};

use super::tasks::TaskDetail;
use super::words::{turned, wrong};
use super::{Desk, SERVICE, entity_id, made_before};
use crate::model::plan::{Intention, Kind, Status};
use crate::model::when::When;
use crate::planner::{Done, YIELDING, of_task, said};
use crate::store;
use crate::store::plan::Plan;

/// What was done.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Completed {
    /// The `due` that the caller saw, or `starts_at` of a task that is never due: an occurrence that was done already isn't done twice.
    occurrence: Option<String>,
    /// When it was done, if not now.
    completed_at: Option<String>,
}

impl Completed {
    /// When it was done, if it is about the task's present occurrence.
    fn read(&self, plan: &Plan, zone: Tz, now: DateTime<Utc>) -> Result<DateTime<Utc>, Problem> {
        if let Some(occurrence) = &self.occurrence {
            let seen = When::parse(occurrence).map_err(|problem| wrong("occurrence", &problem))?;
            refuse_other(seen, plan, zone)?;
        }
        let at = match &self.completed_at {
            Some(text) => When::parse(text)
                .map_err(|problem| wrong("completed_at", &problem))?
                .instant(zone),
            None => now,
        };
        if at > now {
            return Err(wrong("completed_at", "it has not come yet"));
        }
        Ok(at)
    }
}

/// An occurrence is known by when it is due, and that of a task which is never due by when it starts.
fn is_present(seen: When, plan: &Plan, zone: Tz) -> bool {
    let due = plan.due.as_deref().and_then(|due| When::parse(due).ok());
    match (due, plan.starts_at) {
        (Some(due), _) => due.instant(zone) == seen.instant(zone),
        (None, start) => start == Some(seen.instant(zone)),
    }
}

fn refuse_other(seen: When, plan: &Plan, zone: Tz) -> Result<(), Problem> {
    if is_present(seen, plan, zone) {
        return Ok(());
    }
    let stands = match (&plan.due, plan.starts_at) {
        (Some(due), _) => format!("is due {due}"),
        (None, Some(start)) => format!("starts {}", When::Instant(start)),
        (None, None) => "has no time".to_owned(),
    };
    Err(Problem::conflict(format!(
        "the task {stands}, not {seen}: that occurrence was done, or moved"
    )))
}

impl Desk {
    /// Gives a task another status, in the owner's name. That it is open again holds until its calendar says something
    /// else; that it is done holds for good.
    async fn turn(
        &self,
        tx: &mut ScopedTx,
        plan: &Plan,
        to: Status,
        at: DateTime<Utc>,
    ) -> Result<(), GraphError> {
        let was_done = plan.status == Status::Completed.as_str();
        let mut props = Map::new();
        props.insert("status".to_owned(), json!(to.as_str()));
        turned(&mut props, to, was_done, at);
        let change = said(vec![of_task(Target::Existing(plan.entity.into()), props, None)]);
        let until = if to.is_open() { &YIELDING[..] } else { &[] };
        let graph = self.context.ports.graph_write();
        graph.apply_until(tx, change, until).await.map(drop)
    }
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
    let zone = desk.context.ports.account_directory().zone(&mut tx).await?;
    let at = completed.read(&plan, zone, tx.now())?;
    if plan.status != Status::Completed.as_str() {
        desk.turn(&mut tx, &plan, Status::Completed, at).await?;
        desk.planner.fold(&mut tx, id, Done::MovesOn).await?;
    }
    key.answer(&mut tx, id.0).await?;
    let detail = desk.task_detail(&mut tx, id).await?;
    tx.audit("write", format!("task/{id}"), None)?;
    tx.commit().await?;
    Ok((StatusCode::OK, Json(detail)).into_response())
}

/// What to open again.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reopened {
    /// Of a recurring task: the occurrence that was done last, as its `completions` tell it. Said twice, it is opened
    /// once; not said, whichever was done last.
    occurrence: Option<String>,
}

/// Opens a task again that was done or given up; a recurring one that moved on goes back to the occurrence done last.
#[utoipa::path(post, path = "/tasks/{id}/reopen", tag = "intentions",
    params(("id" = String, Path, description = "The Task in the graph"), Reopened),
    responses(
        (status = 200, description = "It is open, or was before", body = TaskDetail),
        (status = 404, description = "There is no such task", body = Problem),
        (status = 409, description = "A later occurrence was done, or the task was moved before it", body = Problem),
        (status = 422, description = "`occurrence` is not a time", body = Problem),
    ))]
pub(crate) async fn reopen(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(reopened): Query<Reopened>,
) -> Result<Json<TaskDetail>, Problem> {
    let id = entity_id("task", &id)?;
    let asked = reopened.occurrence.as_deref().map(When::parse).transpose();
    let asked = asked.map_err(|problem| wrong("occurrence", &problem))?;
    let mut tx = desk.begin(&caller).await?;
    store::plan::account_lock(&mut tx).await?;
    desk.planner.fold(&mut tx, id, Done::Stays).await?;
    let plan = desk.plan(&mut tx, Kind::Task, id).await?;
    if !Status::from_name(&plan.status).is_some_and(Status::is_open) {
        let now = tx.now();
        desk.turn(&mut tx, &plan, Status::NeedsAction, now).await?;
        desk.planner.fold(&mut tx, id, Done::Stays).await?;
    } else if plan.recurrence.is_some() {
        desk.step_back(&mut tx, &plan, asked).await?;
    }
    let detail = desk.task_detail(&mut tx, id).await?;
    tx.audit("write", format!("task/{id}"), None)?;
    tx.commit().await?;
    Ok(Json(detail))
}

impl Desk {
    /// Takes a recurring task back to the occurrence that was done last. What was told of that stays told.
    async fn step_back(&self, tx: &mut ScopedTx, plan: &Plan, asked: Option<When>) -> Result<(), Problem> {
        let id = plan.entity.into();
        let zone = self.context.ports.account_directory().zone(tx).await?;
        if asked.is_some_and(|asked| is_present(asked, plan, zone)) {
            return Ok(());
        }
        let done = store::completion::completion_list(tx, id).await?;
        let Some(last) = done.into_iter().next() else {
            return match asked {
                Some(asked) => refuse_other(asked, plan, zone),
                None => Ok(()),
            };
        };
        let entity = self.context.ports.graph_read().entity(tx, id).await?;
        let intention = entity.and_then(|entity| Intention::read(&entity, zone));
        let present = intention.as_ref().and_then(Intention::occurrence);
        let (Some(intention), Some(present), Ok(back)) = (intention, present, When::parse(&last.occurrence))
        else {
            return Err(Problem::conflict(
                "the occurrence that was done last had no time, so that the task can't go back to it",
            ));
        };
        if asked.is_some_and(|asked| asked.instant(zone) != back.instant(zone)) {
            return Err(Problem::conflict(format!(
                "the occurrence that was done last is {back}: only that one can be opened again"
            )));
        }
        if back.instant(zone) >= present.instant(zone) {
            return Err(Problem::conflict(format!(
                "the task is {present} now, before {back}, which was done last: it was moved since"
            ))
            .hint("set when it is due instead"));
        }
        let by = intention.time_zone.unwrap_or(zone);
        let moved = back.local(by) - present.local(by);
        let start = intention
            .start
            .map(|start| start.like(start.local(by) + moved, by));
        let mut props = Map::new();
        props.insert("status".to_owned(), json!(Status::NeedsAction.as_str()));
        for (name, when) in [("due_at", intention.due.map(|_| back)), ("start_at", start)] {
            if let Some(when) = when {
                props.insert(name.to_owned(), json!(when.to_string()));
            }
        }
        let starts_at = start.map(|start| start.instant(zone));
        let change = said(vec![of_task(Target::Existing(id), props, starts_at)]);
        let graph = self.context.ports.graph_write();
        graph.apply_until(tx, change, &YIELDING).await?;
        store::completion::completion_remove(tx, id, &last.occurrence).await?;
        self.planner.fold(tx, id, Done::Stays).await?;
        Ok(())
    }
}
