//! Tells of moments that have come.
//!
//! Events out: `intention.TaskDue`, `intention.TaskOverdue`, `intention.ReminderDue`, `intention.GoalDue`,
//! `intention.GoalOverdue`.
//! Invariant: the event and the mark that it was told commit together; `occurred_at` is the planned moment. What an
//! import brings whose moment has passed is told on its own lane, so that no rule takes history for the present.

use contracts::events::intentions::{GoalDue, GoalOverdue, GoalPart, ReminderDue, TaskDue, TaskOverdue};
use contracts::{EntityId, NewEvent};
use spine::ports::GraphError;
use spine::{AccessError, ScopedTx};

use crate::model::plan::{Kind, Moment, MomentKind};
use crate::planner::Planner;
use crate::store;
use crate::store::plan::Plan;

impl Planner {
    /// Tells of a task's or goal's moments that have come.
    pub(crate) async fn tell(&self, tx: &mut ScopedTx, id: EntityId) -> Result<usize, GraphError> {
        let moments = store::moment::moment_take_due(tx, id).await?;
        if moments.is_empty() {
            return Ok(0);
        }
        let Some(plan) = store::plan::plan_by_id(tx, id).await? else {
            return Ok(0);
        };
        let goal = store::link::goal_list(tx, id).await?.into_iter().next();
        for moment in &moments {
            let event = if plan.kind == Kind::Goal.as_str() {
                goal_event(&plan, id, goal.clone(), moment)
            } else {
                event(&plan, id, goal.clone(), moment)
            };
            let event = event.map_err(AccessError::from)?;
            tx.publish(event.about(id).occurred(moment.at))?;
        }
        Ok(moments.len())
    }
}

fn event(
    plan: &Plan,
    task: EntityId,
    goal: Option<GoalPart>,
    moment: &Moment,
) -> Result<NewEvent, serde_json::Error> {
    let (title, priority) = (plan.title.clone(), plan.priority);
    let (due, due_at) = (
        plan.due.clone().unwrap_or_default(),
        plan.due_at.unwrap_or(moment.at),
    );
    match moment.kind {
        MomentKind::Due => NewEvent::of(&TaskDue {
            task,
            title,
            due,
            due_at,
            priority,
            goal,
        }),
        MomentKind::Overdue => NewEvent::of(&TaskOverdue {
            task,
            title,
            due,
            due_at,
            priority,
            goal,
        }),
        MomentKind::Reminder | MomentKind::Schedule | MomentKind::Event => NewEvent::of(&ReminderDue {
            task,
            title,
            reminder: moment.said.clone().unwrap_or_default(),
            due: plan.due.clone(),
            due_at: plan.due_at,
            priority,
            goal,
        }),
    }
}

fn goal_event(
    plan: &Plan,
    goal: EntityId,
    parent: Option<GoalPart>,
    moment: &Moment,
) -> Result<NewEvent, serde_json::Error> {
    let (title, priority, progress) = (plan.title.clone(), plan.priority, plan.progress);
    let (due, due_at) = (
        plan.due.clone().unwrap_or_default(),
        plan.due_at.unwrap_or(moment.at),
    );
    if moment.kind == MomentKind::Due {
        return NewEvent::of(&GoalDue {
            goal,
            title,
            due,
            due_at,
            priority,
            progress,
            parent,
        });
    }
    NewEvent::of(&GoalOverdue {
        goal,
        title,
        due,
        due_at,
        priority,
        progress,
        parent,
    })
}
