//! Reading tasks.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use chrono::{DateTime, Utc};
use contracts::{EntityId, Problem};
use serde::{Deserialize, Serialize};
use spine::ScopedTx;
use spine::edge::{Caller, Cursor, Json, page, page_size};
use uuid::Uuid;

use super::words::{status, wrong};
use super::{Desk, entity_id};
use crate::model::plan::{Kind, Status};
use crate::model::when::When;
use crate::store;
use crate::store::plan::{Plan, PlanFilter};

/// Which tasks.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// `open` (if not said), `all`, `needs-action`, `in-process`, `completed` or `cancelled`.
    status: Option<String>,
    /// Whose title has this part, in any case.
    name: Option<String>,
    /// Due before this time: an instant, or a local time or day in the owner's zone.
    due_before: Option<String>,
    /// Parts of this goal only.
    goal: Option<EntityId>,
    /// How many at most: 1 to 200, 50 if not said.
    limit: Option<u32>,
    /// Where the list before this one ended.
    cursor: Option<String>,
}

/// How a task stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TaskState {
    /// Nothing is due.
    Open,
    /// Its due moment has come.
    Due,
    /// It should have been done.
    Overdue,
    /// It is done.
    Completed,
    /// It was given up.
    Cancelled,
}

/// A task or goal by id, with its title.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct Named {
    /// Its id.
    pub(crate) id: Uuid,
    /// Its title.
    pub(crate) title: String,
}

/// A task.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TaskView {
    /// The entity in the graph.
    id: Uuid,
    /// Its title.
    title: String,
    /// As in VTODO.
    status: String,
    /// How it stands now.
    state: TaskState,
    /// True while something that it depends on isn't done.
    blocked: bool,
    /// What it is part of.
    goals: Vec<Named>,
    /// When it is due, as it was said: an instant, a local time or a day.
    due: Option<String>,
    /// The due moment, in the owner's zone.
    due_at: Option<DateTime<Utc>>,
    /// When it starts.
    starts_at: Option<DateTime<Utc>>,
    /// When it was done.
    completed_at: Option<DateTime<Utc>>,
    /// 1 is the highest, 9 the lowest; 0: none given.
    priority: i32,
    /// How much of it is done.
    percent: Option<i32>,
    /// Its RRULE.
    recurrence: Option<String>,
    /// What a source said that can't be understood.
    problem: Option<String>,
}

/// A page of tasks.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TaskPage {
    /// By due moment, those without one last.
    items: Vec<TaskView>,
    /// For the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What a task waits for.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Dependency {
    /// The other task.
    id: Uuid,
    /// Its title.
    title: String,
    /// Its status.
    status: String,
}

/// An occurrence that was done.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct DoneOccurrence {
    /// When it had been due, as it was said; empty if it had no time.
    occurrence: String,
    /// When it was done.
    completed_at: DateTime<Utc>,
}

/// A task with everything about it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TaskDetail {
    /// The task.
    #[serde(flatten)]
    task: TaskView,
    /// What it is about.
    description: Option<String>,
    /// When to remind.
    reminders: Vec<String>,
    /// What it depends on.
    depends_on: Vec<Dependency>,
    /// What was done of it, newest first, at most 100.
    completions: Vec<DoneOccurrence>,
}

/// The statuses that a filter names.
pub(super) fn statuses(filter: Option<&str>) -> Result<Vec<String>, Problem> {
    let named = match filter.unwrap_or("open") {
        "all" => Status::ALL.to_vec(),
        "open" => Status::ALL
            .into_iter()
            .filter(|status| status.is_open())
            .collect(),
        name => vec![status(name).map_err(|_| {
            Problem::bad_request("`status` is open, all, needs-action, in-process, completed or cancelled")
        })?],
    };
    Ok(named
        .into_iter()
        .map(|status| status.as_str().to_owned())
        .collect())
}

/// Lists tasks, by their due moment.
#[utoipa::path(get, path = "/tasks", tag = "intentions", params(ListQuery), responses(
    (status = 200, body = TaskPage),
    (status = 400, description = "The status, cursor or limit is not one", body = Problem),
    (status = 422, description = "`due_before` is not a time", body = Problem),
))]
pub(crate) async fn list(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<TaskPage>, Problem> {
    let size = page_size(query.limit)?;
    let statuses = statuses(query.status.as_deref())?;
    let after = Cursor::read(query.cursor.as_deref())?;
    if query.name.as_deref().is_some_and(|name| name.contains('\0')) {
        return Err(Problem::bad_request(
            "`name` holds the character NUL, which no title has",
        ));
    }
    let due_before = query.due_before.as_deref().map(When::parse).transpose();
    let due_before = due_before.map_err(|problem| wrong("due_before", &problem))?;
    let mut tx = desk.begin(&caller).await?;
    let zone = desk.context.ports.account_directory().zone(&mut tx).await?;
    let filter = PlanFilter {
        kind: Kind::Task.as_str(),
        statuses,
        due_before: due_before.map(|when| when.instant(zone)),
        goal: query.goal,
        name: query.name.as_deref(),
        after: after.map(|cursor| (cursor.at, cursor.id)),
        limit: size as i64 + 1,
    };
    let plans = store::plan::plan_list(&mut tx, &filter).await?;
    let (plans, next_cursor) = page(plans, size, |plan| (plan.due_at, plan.entity));
    let items = views(&mut tx, plans).await?;
    tx.audit("read", "tasks", Some(items.len() as u64))?;
    tx.commit().await?;
    Ok(Json(TaskPage { items, next_cursor }))
}

/// A task, with what it depends on and what was done of it.
#[utoipa::path(get, path = "/tasks/{id}", tag = "intentions",
    params(("id" = String, Path, description = "The Task in the graph")),
    responses(
        (status = 200, body = TaskDetail),
        (status = 404, description = "There is no such task", body = Problem),
    ))]
pub(crate) async fn detail(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<TaskDetail>, Problem> {
    let id = entity_id("task", &id)?;
    let mut tx = desk.begin(&caller).await?;
    let detail = desk.task_detail(&mut tx, id).await?;
    tx.audit("read", format!("task/{id}"), Some(1))?;
    tx.commit().await?;
    Ok(Json(detail))
}

/// Plans as they are shown.
pub(super) async fn views(tx: &mut ScopedTx, plans: Vec<Plan>) -> Result<Vec<TaskView>, Problem> {
    let ids: Vec<Uuid> = plans.iter().map(|plan| plan.entity).collect();
    let mut blocked: HashMap<Uuid, bool> = HashMap::new();
    for link in store::link::dependency_list(tx, &ids).await? {
        let open = Status::from_name(&link.status).is_none_or(Status::is_open);
        *blocked.entry(link.from).or_default() |= open;
    }
    let mut goals: HashMap<Uuid, Vec<Named>> = HashMap::new();
    for link in store::link::part_list(tx, &ids).await? {
        goals.entry(link.from).or_default().push(Named {
            id: link.to,
            title: link.title,
        });
    }
    let now = tx.now();
    let view = |plan: Plan| TaskView {
        state: state(&plan, now),
        blocked: blocked.get(&plan.entity).copied().unwrap_or(false),
        goals: goals.remove(&plan.entity).unwrap_or_default(),
        id: plan.entity,
        title: plan.title,
        status: plan.status,
        due: plan.due,
        due_at: plan.due_at,
        starts_at: plan.starts_at,
        completed_at: plan.completed_at,
        priority: plan.priority,
        percent: plan.percent,
        recurrence: plan.recurrence,
        problem: plan.problem,
    };
    Ok(plans.into_iter().map(view).collect())
}

fn state(plan: &Plan, now: DateTime<Utc>) -> TaskState {
    match Status::from_name(&plan.status) {
        Some(Status::Completed) => TaskState::Completed,
        Some(Status::Cancelled) => TaskState::Cancelled,
        _ if plan.overdue_at.is_some_and(|at| at <= now) => TaskState::Overdue,
        _ if plan.due_at.is_some_and(|at| at <= now) => TaskState::Due,
        _ => TaskState::Open,
    }
}

impl Desk {
    /// The plan of a task or goal that is there.
    pub(super) async fn plan(&self, tx: &mut ScopedTx, kind: Kind, id: EntityId) -> Result<Plan, Problem> {
        let found = store::plan::plan_by_id(tx, id).await?;
        found
            .filter(|plan| !plan.gone && plan.kind == kind.as_str())
            .ok_or_else(|| Problem::not_found(format!("there is no {} {id}", kind.as_str().to_lowercase())))
    }

    /// Everything about a task that its page shows.
    pub(super) async fn task_detail(&self, tx: &mut ScopedTx, id: EntityId) -> Result<TaskDetail, Problem> {
        let plan = self.plan(tx, Kind::Task, id).await?;
        let entity = self.context.ports.graph_read().entity(tx, id).await?;
        let props = entity.map(|entity| entity.props).unwrap_or_default();
        let reminders = props
            .get("reminders")
            .and_then(serde_json::Value::as_array)
            .cloned();
        let depends_on = store::link::dependency_list(tx, &[id.0]).await?;
        let completions = store::completion::completion_list(tx, id).await?;
        let task = views(tx, vec![plan]).await?.pop();
        let task = task.ok_or_else(|| Problem::not_found(format!("there is no task {id}")))?;
        Ok(TaskDetail {
            task,
            description: props
                .get("description")
                .and_then(|text| text.as_str())
                .map(str::to_owned),
            reminders: reminders
                .unwrap_or_default()
                .iter()
                .filter_map(|text| text.as_str().map(str::to_owned))
                .collect(),
            depends_on: depends_on
                .into_iter()
                .map(|link| Dependency {
                    id: link.to,
                    title: link.title,
                    status: link.status,
                })
                .collect(),
            completions: completions
                .into_iter()
                .map(|done| DoneOccurrence {
                    occurrence: done.occurrence,
                    completed_at: done.completed_at,
                })
                .collect(),
        })
    }
}
