//! Tells of moments that have come.
//!
//! Events out: `intention.TaskDue`, `intention.TaskOverdue`, `intention.ReminderDue`.
//! Invariant: the event and the mark that it was told commit together; `occurred_at` is the planned moment. What an
//! import brings whose moment has passed is told on its own lane, so that no rule takes history for the present.

use contracts::events::intentions::{ReminderDue, TaskDue, TaskOverdue};
use contracts::{EntityId, NewEvent};
use spine::ports::GraphError;
use spine::{AccessError, ScopedTx};

use crate::model::plan::{Moment, MomentKind};
use crate::planner::Planner;
use crate::store;
use crate::store::plan::Plan;

impl Planner {
    /// Tells of a task's moments that have come.
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
            let event = event(&plan, id, goal.clone(), moment).map_err(AccessError::from)?;
            tx.publish(event.about(id).occurred(moment.at))?;
        }
        Ok(moments.len())
    }
}

fn event(
    plan: &Plan,
    task: EntityId,
    goal: Option<contracts::events::intentions::GoalPart>,
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
        MomentKind::Reminder | MomentKind::Schedule => NewEvent::of(&ReminderDue {
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
