//! Goals: reading and writing them, with their parts and their progress.

mod whole;

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, Utc};
use contracts::{EntityId, Problem};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use spine::ScopedTx;
use spine::edge::{Caller, Cursor, Json, Once, once, page, page_size};
use spine::ports::{EntityChange, Target};
use uuid::Uuid;

use super::tasks::{Named, TaskView, statuses, views};
use super::words::{Words, given, refuse_done, title};
use super::{Desk, SERVICE, entity_id, made, made_before};
use crate::model::plan::{Kind, Status};
use crate::model::when::When;
use crate::planner::{Done, said};
use crate::store;
use crate::store::plan::{Plan, PlanFilter};

/// Tasks that a goal's page shows.
const TASKS_MAX: i64 = 200;

/// Which goals.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct GoalQuery {
    /// `open` (if not said), `all`, `needs-action`, `in-process`, `completed` or `cancelled`.
    status: Option<String>,
    /// Whose title has this part, in any case.
    name: Option<String>,
    /// How many at most: 1 to 200, 50 if not said.
    limit: Option<u32>,
    /// Where the list before this one ended.
    cursor: Option<String>,
}

/// A goal.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct GoalView {
    /// The entity in the graph.
    id: Uuid,
    /// Its title.
    title: String,
    /// As in VTODO.
    status: String,
    /// 0 to 1.
    progress: f64,
    /// True if the owner gave the progress; else it is the share of its tasks that are done, and of its goals how far
    /// they are.
    progress_by_hand: bool,
    /// What it is part of.
    goals: Vec<Named>,
    /// When it should be reached, as it was said.
    due: Option<String>,
    /// The due moment, in the owner's zone.
    due_at: Option<DateTime<Utc>>,
    /// What a source said that can't be understood.
    problem: Option<String>,
}

/// A page of goals.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct GoalPage {
    /// By due moment, those without one last.
    items: Vec<GoalView>,
    /// For the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A goal with its tasks.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct GoalDetail {
    /// The goal.
    #[serde(flatten)]
    goal: GoalView,
    /// What it is about.
    description: Option<String>,
    /// How many of its tasks are done.
    done: i64,
    /// How many it has; cancelled ones don't count.
    total: i64,
    /// The goals that are part of it, by due moment, at most 200.
    parts: Vec<GoalView>,
    /// Its tasks by due moment, at most 200; `GET /tasks?goal=` has all.
    tasks: Vec<TaskView>,
}

/// A new goal.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGoal {
    /// What is to be reached.
    title: String,
    /// More about it.
    description: Option<String>,
    /// When: an instant, or a local time or day in the owner's zone.
    due_at: Option<String>,
    /// 0 to 1, by hand; if not said, it is counted from its tasks and goals.
    progress: Option<f64>,
    /// The goal that it is part of.
    parent: Option<EntityId>,
}

/// What changes of a goal. What isn't there stays; null takes back.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GoalPatch {
    /// What is to be reached.
    title: Option<String>,
    /// More about it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    /// `needs-action`, `in-process`, `completed` or `cancelled`.
    status: Option<String>,
    /// When.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    due_at: Option<Option<String>>,
    /// 0 to 1, by hand; null counts its parts again.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<f64>)]
    progress: Option<Option<f64>>,
    /// The goal that it is part of, in the place of any other; null: of none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    parent: Option<Option<EntityId>>,
}

/// Lists goals, by their due moment.
#[utoipa::path(get, path = "/goals", tag = "intentions", params(GoalQuery), responses(
    (status = 200, body = GoalPage),
    (status = 400, description = "The status, cursor or limit is not one", body = Problem),
))]
pub(crate) async fn list(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Query(query): Query<GoalQuery>,
) -> Result<Json<GoalPage>, Problem> {
    let size = page_size(query.limit)?;
    let after = Cursor::read(query.cursor.as_deref())?;
    if query.name.as_deref().is_some_and(|name| name.contains('\0')) {
        return Err(Problem::bad_request(
            "`name` holds the character NUL, which no title has",
        ));
    }
    let filter = PlanFilter {
        kind: Kind::Goal.as_str(),
        statuses: statuses(query.status.as_deref())?,
        name: query.name.as_deref(),
        after: after.map(|cursor| (cursor.at, cursor.id)),
        limit: size as i64 + 1,
        ..PlanFilter::default()
    };
    let mut tx = desk.begin(&caller).await?;
    let plans = store::plan::plan_list(&mut tx, &filter).await?;
    let (plans, next_cursor) = page(plans, size, |plan| (plan.due_at, plan.entity));
    let items = goal_views(&mut tx, plans).await?;
    tx.audit("read", "goals", Some(items.len() as u64))?;
    tx.commit().await?;
    Ok(Json(GoalPage { items, next_cursor }))
}

/// A goal with its tasks and its progress.
#[utoipa::path(get, path = "/goals/{id}", tag = "intentions",
    params(("id" = String, Path, description = "The Goal in the graph")),
    responses(
        (status = 200, body = GoalDetail),
        (status = 404, description = "There is no such goal", body = Problem),
    ))]
pub(crate) async fn detail(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<GoalDetail>, Problem> {
    let id = entity_id("goal", &id)?;
    let mut tx = desk.begin(&caller).await?;
    let detail = desk.goal_detail(&mut tx, id).await?;
    tx.audit("read", format!("goal/{id}"), Some(1))?;
    tx.commit().await?;
    Ok(Json(detail))
}

/// Makes a goal.
#[utoipa::path(post, path = "/goals", tag = "intentions", request_body = NewGoal,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition within a day harmless")),
    responses(
        (status = 201, description = "It was made", body = GoalDetail),
        (status = 200, description = "This is a repetition", body = GoalDetail),
        (status = 404, description = "The goal that it is part of is not there", body = Problem),
        (status = 422, description = "It can't be taken; says what would be right", body = Problem),
    ))]
pub(crate) async fn create(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    headers: HeaderMap,
    Json(new): Json<NewGoal>,
) -> Result<Response, Problem> {
    let mut tx = desk.begin(&caller).await?;
    let key = match once(&mut tx, &headers, SERVICE, "POST /goals", &new).await? {
        Once::First(key) => key,
        Once::Again(id) => {
            let detail = desk.goal_detail(&mut tx, id.into()).await?;
            return made_before(tx, format!("goal/{id}"), detail).await;
        }
    };
    let id = EntityId::new();
    let patch = GoalPatch {
        title: Some(new.title),
        description: new.description.map(Some),
        status: None,
        due_at: new.due_at.map(Some),
        progress: new.progress.map(Some),
        parent: new.parent.map(Some),
    };
    desk.write_goal(&mut tx, Target::New(id), id, &Map::new(), patch)
        .await?;
    let detail = desk.goal_detail(&mut tx, id).await?;
    made(tx, key, (id.0, format!("goal/{id}")), detail).await
}

/// Changes a goal, or says how far it is.
#[utoipa::path(patch, path = "/goals/{id}", tag = "intentions", request_body = GoalPatch,
    params(("id" = String, Path, description = "The Goal in the graph")),
    responses(
        (status = 200, body = GoalDetail),
        (status = 404, description = "It, or the goal that it is part of, is not there", body = Problem),
        (status = 409, description = "The goals would be part of each other, or it is done and can't be given up", body = Problem),
        (status = 422, description = "It can't be taken; says what would be right", body = Problem),
    ))]
pub(crate) async fn update(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(patch): Json<GoalPatch>,
) -> Result<Json<GoalDetail>, Problem> {
    let id = entity_id("goal", &id)?;
    let mut tx = desk.begin(&caller).await?;
    store::plan::account_lock(&mut tx).await?;
    let before = desk.props(&mut tx, Kind::Goal, id).await?;
    desk.write_goal(&mut tx, Target::Existing(id), id, &before, patch)
        .await?;
    let detail = desk.goal_detail(&mut tx, id).await?;
    tx.audit("write", format!("goal/{id}"), None)?;
    tx.commit().await?;
    Ok(Json(detail))
}

impl Desk {
    async fn write_goal(
        &self,
        tx: &mut ScopedTx,
        target: Target,
        id: EntityId,
        before: &Map<String, Value>,
        patch: GoalPatch,
    ) -> Result<(), Problem> {
        store::plan::account_lock(tx).await?;
        let mut words = Words::default();
        let title = patch.title.as_deref().map(title).transpose()?;
        words.text("description", patch.description);
        words.time("due_at", patch.due_at)?;
        words.progress(patch.progress)?;
        let was_done = before.get("status").and_then(Value::as_str) == Some(Status::Completed.as_str());
        let status = words.status(patch.status.as_deref())?;
        refuse_done(status, was_done, "goal", id)?;
        match status {
            Some(Status::Completed) if !was_done => {
                let now = When::Instant(tx.now()).to_string();
                words.0.insert("completed_at".to_owned(), json!(now));
            }
            Some(status) if status.is_open() && was_done => {
                words.0.insert("completed_at".to_owned(), Value::Null);
            }
            _ => {}
        }
        let change = EntityChange {
            target,
            kind: Kind::Goal.as_str().to_owned(),
            title,
            props: words.0,
            identifiers: Vec::new(),
            starts_at: None,
        };
        self.context
            .ports
            .graph_write()
            .apply(tx, said(vec![change]))
            .await?;
        self.planner.fold(tx, id, Done::Stays).await?;
        match patch.parent {
            Some(parent) => self.become_part(tx, id, parent).await,
            None => Ok(()),
        }
    }

    async fn goal_detail(&self, tx: &mut ScopedTx, id: EntityId) -> Result<GoalDetail, Problem> {
        let plan = self.plan(tx, Kind::Goal, id).await?;
        let props = self.props(tx, Kind::Goal, id).await?;
        let (done, total) = store::link::goal_count(tx, id).await?;
        let filter = PlanFilter {
            kind: Kind::Task.as_str(),
            statuses: statuses(Some("all"))?,
            goal: Some(id),
            limit: TASKS_MAX,
            ..PlanFilter::default()
        };
        let tasks = store::plan::plan_list(tx, &filter).await?;
        let filter = PlanFilter {
            kind: Kind::Goal.as_str(),
            ..filter
        };
        let parts = store::plan::plan_list(tx, &filter).await?;
        let mut goal = goal_views(tx, vec![plan]).await?;
        let goal = goal
            .pop()
            .ok_or_else(|| Problem::not_found(format!("there is no goal {id}")))?;
        Ok(GoalDetail {
            goal,
            parts: goal_views(tx, parts).await?,
            description: props
                .get("description")
                .and_then(Value::as_str)
                .map(str::to_owned),
            done,
            total,
            tasks: views(tx, tasks).await?,
        })
    }
}

/// Goals as they are shown.
async fn goal_views(tx: &mut ScopedTx, plans: Vec<Plan>) -> Result<Vec<GoalView>, Problem> {
    let ids: Vec<Uuid> = plans.iter().map(|plan| plan.entity).collect();
    let mut wholes: HashMap<Uuid, Vec<Named>> = HashMap::new();
    for link in store::link::part_list(tx, &ids).await? {
        wholes.entry(link.from).or_default().push(Named {
            id: link.to,
            title: link.title,
        });
    }
    let view = |plan: Plan| GoalView {
        goals: wholes.remove(&plan.entity).unwrap_or_default(),
        id: plan.entity,
        title: plan.title,
        status: plan.status,
        progress: plan.progress,
        progress_by_hand: plan.progress_by_hand,
        due: plan.due,
        due_at: plan.due_at,
        problem: plan.problem,
    };
    Ok(plans.into_iter().map(view).collect())
}
