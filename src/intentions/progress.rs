//! How far goals are: by the owner's hand, or counted from their tasks and from the goals that are part of them.
//!
//! Events out: `intention.GoalProgressed`.
//! Invariant: a part of a goal counts as much as any other, a goal among them by its own progress. What moves a goal moves
//! those that it is part of, each once: a ring, which only a source can have made, ends where it began.

use contracts::EntityId;
use contracts::events::intentions::GoalProgressed;
use spine::ScopedTx;
use spine::ports::GraphError;

use crate::model::plan::{Intention, Kind};
use crate::planner::Planner;
use crate::store;
use crate::store::plan::Plan;

/// More goals than these are not moved by one change.
const MOVED_MAX: usize = 200;

impl Planner {
    /// Moves the goals that a change of this entity concerns.
    pub(crate) async fn progress(
        &self,
        tx: &mut ScopedTx,
        id: EntityId,
        intention: &Intention,
        before: Option<&Plan>,
    ) -> Result<(), GraphError> {
        let same = before.is_some_and(|plan| !plan.gone && plan.status == intention.status.as_str());
        if intention.kind == Kind::Goal {
            let (was, by_hand) = (before.map_or(0.0, |plan| plan.progress), intention.progress);
            store::plan::plan_progress(tx, id, was, by_hand.is_some()).await?;
            self.rise(tx, id, by_hand, before.is_some()).await?;
        }
        if same {
            return Ok(());
        }
        self.count_goals_of(tx, id).await
    }

    /// Counts the goals again that a task or goal is part of.
    pub(crate) async fn count_goals_of(&self, tx: &mut ScopedTx, part: EntityId) -> Result<(), GraphError> {
        for goal in store::link::goal_list(tx, part).await? {
            self.count(tx, goal.id).await?;
        }
        Ok(())
    }

    /// Counts a goal again, unless its progress is by hand.
    pub(crate) async fn count(&self, tx: &mut ScopedTx, goal: EntityId) -> Result<(), GraphError> {
        self.rise(tx, goal, None, true).await
    }

    /// Sets the progress of a goal, and counts those that it is part of again where it moved.
    async fn rise(
        &self,
        tx: &mut ScopedTx,
        goal: EntityId,
        by_hand: Option<f64>,
        tell: bool,
    ) -> Result<(), GraphError> {
        let mut moved = vec![goal];
        let mut waiting = Vec::new();
        if set(tx, goal, by_hand, tell).await? {
            waiting.push(goal);
        }
        while let Some(part) = waiting.pop() {
            for whole in store::link::goal_list(tx, part).await? {
                if moved.len() < MOVED_MAX && !moved.contains(&whole.id) {
                    moved.push(whole.id);
                    if set(tx, whole.id, None, true).await? {
                        waiting.push(whole.id);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Sets a goal's progress as it is said or counted. True: it moved.
async fn set(
    tx: &mut ScopedTx,
    goal: EntityId,
    by_hand: Option<f64>,
    tell: bool,
) -> Result<bool, GraphError> {
    let found = store::plan::plan_by_id(tx, goal).await?;
    let Some(plan) = found.filter(|plan| !plan.gone && plan.kind == Kind::Goal.as_str()) else {
        return Ok(false);
    };
    if plan.progress_by_hand && by_hand.is_none() {
        return Ok(false);
    }
    let (done, total) = store::link::goal_count(tx, goal).await?;
    let parts = store::link::part_progress(tx, goal).await?;
    let to = by_hand.unwrap_or_else(|| share(done, total, &parts));
    if (to - plan.progress).abs() < 1e-9 {
        return Ok(false);
    }
    store::plan::plan_progress(tx, goal, to, plan.progress_by_hand).await?;
    if tell {
        let payload = GoalProgressed {
            goal,
            title: plan.title,
            from: plan.progress,
            to,
            done,
            total,
        };
        tx.publish_about(goal, &payload)?;
    }
    Ok(true)
}

/// Of tasks, `done` of `total`, and goals.
#[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 tasks")]
fn share(done: i64, total: i64, goals: &[f64]) -> f64 {
    let parts = total as f64 + goals.len() as f64;
    if parts == 0.0 {
        0.0
    } else {
        ((done as f64 + goals.iter().sum::<f64>()) / parts).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_counts_as_much_as_any_other() {
        for (done, total, goals, expected) in [
            (0, 0, vec![], 0.0),
            (1, 4, vec![], 0.25),
            (0, 0, vec![0.5, 1.0], 0.75),
            (1, 1, vec![0.0, 0.5], 0.5),
        ] {
            assert!((share(done, total, &goals) - expected).abs() < 1e-9, "{goals:?}");
        }
    }
}
