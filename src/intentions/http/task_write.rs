//! Writing tasks, in the owner's name.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use contracts::{EntityId, Problem};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spine::ScopedTx;
use spine::edge::{Caller, Json, Once, once};
use spine::ports::{EntityChange, RelationChange, Target};

use super::tasks::TaskDetail;
use super::words::{
    Words, count_goes_on, given, merged, refuse_done, series_to_come, title, turned, whole_task, wrong,
};
use super::{Desk, SERVICE, entity_id, made, made_before};
use crate::links::{DEPENDS_ON, PART_OF, waits_for};
use crate::model::plan::{Kind, Status};
use crate::model::when::When;
use crate::planner::{Done, of_task, said};
use crate::store;

/// Tasks that one task may name at once.
const DEPENDS_ON_MAX: usize = 100;

/// A new task.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTask {
    /// What is to be done.
    title: String,
    /// More about it.
    description: Option<String>,
    /// `needs-action` if not said.
    status: Option<String>,
    /// When it starts: an instant, or a local time or day in the owner's zone.
    start_at: Option<String>,
    /// When it is due: an instant, or a local time or day in the owner's zone.
    due_at: Option<String>,
    /// 1 is the highest, 9 the lowest.
    priority: Option<i64>,
    /// How much of it is done.
    percent: Option<i64>,
    /// An RRULE by day, week, month or year, such as `FREQ=WEEKLY;BYDAY=MO`.
    recurrence: Option<String>,
    /// How long before the due moment (`-PT15M`, `-P1D`) or when; at most 10.
    reminders: Option<Vec<String>>,
    /// The goal that it is part of.
    goal: Option<EntityId>,
    /// Tasks that have to be done before.
    #[serde(default)]
    depends_on: Vec<EntityId>,
}

/// What changes of a task. What isn't there stays; null takes back.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskPatch {
    /// What is to be done.
    title: Option<String>,
    /// More about it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    /// `needs-action`, `in-process`, `completed` or `cancelled`.
    status: Option<String>,
    /// When it starts.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    start_at: Option<Option<String>>,
    /// When it is due.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    due_at: Option<Option<String>>,
    /// 1 is the highest, 9 the lowest; null: none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    priority: Option<Option<i64>>,
    /// How much of it is done.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    percent: Option<Option<i64>>,
    /// An RRULE; another one counts anew.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    recurrence: Option<Option<String>>,
    /// All reminders, in the place of those that were.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<String>>)]
    reminders: Option<Option<Vec<String>>>,
    /// A goal that it becomes part of. Taking it out of one is `DELETE /relations/{id}` of the graph.
    goal: Option<EntityId>,
    /// Tasks that have to be done before, besides those that have to already.
    #[serde(default)]
    depends_on: Vec<EntityId>,
}

impl From<NewTask> for TaskPatch {
    fn from(new: NewTask) -> Self {
        Self {
            title: Some(new.title),
            description: new.description.map(Some),
            status: new.status,
            start_at: new.start_at.map(Some),
            due_at: new.due_at.map(Some),
            priority: new.priority.map(Some),
            percent: new.percent.map(Some),
            recurrence: new.recurrence.map(Some),
            reminders: new.reminders.map(Some),
            goal: new.goal,
            depends_on: new.depends_on,
        }
    }
}

/// Makes a task.
#[utoipa::path(post, path = "/tasks", tag = "intentions", request_body = NewTask,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition within a day harmless")),
    responses(
        (status = 201, description = "It was made", body = TaskDetail),
        (status = 200, description = "This is a repetition", body = TaskDetail),
        (status = 404, description = "The goal or a task that it depends on is not there", body = Problem),
        (status = 422, description = "It can't be taken; says what would be right", body = Problem),
    ))]
pub(crate) async fn create(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    headers: HeaderMap,
    Json(new): Json<NewTask>,
) -> Result<Response, Problem> {
    let mut tx = desk.begin(&caller).await?;
    let key = match once(&mut tx, &headers, SERVICE, "POST /tasks", &new).await? {
        Once::First(key) => key,
        Once::Again(id) => {
            let detail = desk.task_detail(&mut tx, id.into()).await?;
            return made_before(tx, format!("task/{id}"), detail).await;
        }
    };
    let id = EntityId::new();
    desk.write_task(&mut tx, Target::New(id), Map::new(), new.into())
        .await?;
    let detail = desk.task_detail(&mut tx, id).await?;
    made(tx, key, (id.0, format!("task/{id}")), detail).await
}

/// Changes a task. What the owner says here outlives every import.
#[utoipa::path(patch, path = "/tasks/{id}", tag = "intentions", request_body = TaskPatch,
    params(("id" = String, Path, description = "The Task in the graph")),
    responses(
        (status = 200, body = TaskDetail),
        (status = 404, description = "It, the goal or a task that it depends on is not there", body = Problem),
        (status = 409, description = "The tasks would wait for each other, or it is done and can't be given up", body = Problem),
        (status = 422, description = "It can't be taken; says what would be right", body = Problem),
    ))]
pub(crate) async fn update(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(patch): Json<TaskPatch>,
) -> Result<Json<TaskDetail>, Problem> {
    let id = entity_id("task", &id)?;
    let mut tx = desk.begin(&caller).await?;
    store::plan::account_lock(&mut tx).await?;
    let props = desk.props(&mut tx, Kind::Task, id).await?;
    desk.write_task(&mut tx, Target::Existing(id), props, patch)
        .await?;
    let detail = desk.task_detail(&mut tx, id).await?;
    tx.audit("write", format!("task/{id}"), None)?;
    tx.commit().await?;
    Ok(Json(detail))
}

impl Desk {
    /// The properties of a task or goal as the graph has them now.
    pub(super) async fn props(
        &self,
        tx: &mut ScopedTx,
        kind: Kind,
        id: EntityId,
    ) -> Result<Map<String, Value>, Problem> {
        let found = self.context.ports.graph_read().entity(tx, id).await?;
        let found = found.filter(|entity| entity.id == id && entity.kind == kind.as_str());
        found
            .map(|entity| entity.props)
            .ok_or_else(|| Problem::not_found(format!("there is no {} {id}", kind.as_str().to_lowercase())))
    }

    async fn write_task(
        &self,
        tx: &mut ScopedTx,
        target: Target,
        before: Map<String, Value>,
        mut patch: TaskPatch,
    ) -> Result<(), Problem> {
        store::plan::account_lock(tx).await?;
        let zone = self.context.ports.account_directory().zone(tx).await?;
        let title = patch.title.as_deref().map(title).transpose()?;
        let mut words = worded(&mut patch)?;
        let status = words.status(patch.status.as_deref())?;
        let was_done = before.get("status").and_then(Value::as_str) == Some(Status::Completed.as_str());
        let id = match target {
            Target::New(id) | Target::Existing(id) => id,
            Target::Identified | Target::Record => {
                return Err(Problem::unprocessable("a task is named by its id"));
            }
        };
        refuse_done(status, was_done, "task", id)?;
        if let Some(status) = status {
            turned(&mut words.0, status, was_done, tx.now());
        }
        let after = merged(&before, &words.0);
        whole_task(&after, zone)?;
        if words.0.contains_key("recurrence") {
            series_to_come(&after, tx.now(), zone)?;
        } else {
            count_goes_on(&before, &after, zone)?;
        }
        let start = words
            .0
            .get("start_at")
            .and_then(Value::as_str)
            .and_then(|text| When::parse(text).ok());
        let starts_at = start.map(|start| start.instant(zone));
        let change = EntityChange {
            title,
            ..of_task(target, words.0, starts_at)
        };
        self.context
            .ports
            .graph_write()
            .apply(tx, said(vec![change]))
            .await?;
        // Linked before it is planned: what is told of it says what it is part of.
        if let Some(goal) = patch.goal {
            self.plan(tx, Kind::Goal, goal).await?;
            self.relate(tx, id, PART_OF, goal).await?;
        }
        let done = if status == Some(Status::Completed) {
            Done::MovesOn
        } else {
            Done::Stays
        };
        self.planner.fold(tx, id, done).await?;
        self.depend(tx, id, patch.depends_on).await
    }

    async fn depend(&self, tx: &mut ScopedTx, task: EntityId, on: Vec<EntityId>) -> Result<(), Problem> {
        if on.len() > DEPENDS_ON_MAX {
            return Err(wrong(
                "depends_on",
                &format!("{DEPENDS_ON_MAX} tasks at once are the most"),
            ));
        }
        for other in on {
            if other == task {
                return Err(Problem::conflict("a task can't depend on itself"));
            }
            let plan = self.plan(tx, Kind::Task, other).await?;
            if let Some(way) = waits_for(tx, other, task).await? {
                let over = match way.split_last() {
                    Some((_, over)) if !over.is_empty() => format!(", over `{}`", over.join("`, `")),
                    _ => String::new(),
                };
                let title = plan.title;
                return Err(Problem::conflict(format!(
                    "the tasks would wait for each other: `{title}` already depends on this one{over}"
                ))
                .hint("leave it out, or take the other dependence away first (DELETE /relations/{id})"));
            }
            self.relate(tx, task, DEPENDS_ON, other).await?;
        }
        Ok(())
    }

    /// Relates two entities in the graph, and plans with it at once.
    pub(super) async fn relate(
        &self,
        tx: &mut ScopedTx,
        from: EntityId,
        predicate: &str,
        to: EntityId,
    ) -> Result<(), Problem> {
        let mut change = said(Vec::new());
        change.relations.push(RelationChange {
            from,
            predicate: predicate.to_owned(),
            to,
        });
        self.context.ports.graph_write().apply(tx, change).await?;
        let position = tx.log_head().await?;
        Ok(self.planner.link(tx, from, predicate, to, true, position).await?)
    }
}

/// The fields of a patch, read.
fn worded(patch: &mut TaskPatch) -> Result<Words, Problem> {
    let mut words = Words::default();
    words.text("description", patch.description.take());
    words.time("start_at", patch.start_at.take())?;
    words.time("due_at", patch.due_at.take())?;
    words.whole("priority", patch.priority.take(), 1..=9)?;
    words.whole("percent", patch.percent.take(), 0..=100)?;
    words.recurrence(patch.recurrence.take())?;
    words.reminders(patch.reminders.take())?;
    Ok(words)
}
