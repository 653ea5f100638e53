//! Of which goal a goal is part.
//!
//! Invariant: no goal becomes part of itself, over however many others.

use std::collections::HashMap;

use contracts::{EntityId, Problem};
use spine::ScopedTx;
use spine::ports::{AssertedBy, RelationChange};

use super::super::Desk;
use crate::links::PART_OF;
use crate::model::plan::Kind;
use crate::store;

/// More goals than this are not followed to find a ring.
const FOLLOWED_MAX: usize = 5_000;

impl Desk {
    /// Makes a goal part of another one, or of none, in the place of whatever it was part of.
    pub(super) async fn become_part(
        &self,
        tx: &mut ScopedTx,
        goal: EntityId,
        parent: Option<EntityId>,
    ) -> Result<(), Problem> {
        if let Some(parent) = parent {
            let whole = self.plan(tx, Kind::Goal, parent).await?;
            refuse_ring(tx, goal, parent, &whole.title).await?;
        }
        let wholes = store::link::goal_list(tx, goal).await?;
        for left in wholes.iter().filter(|whole| Some(whole.id) != parent) {
            let edge = RelationChange {
                from: goal,
                predicate: PART_OF.to_owned(),
                to: left.id,
            };
            let write = self.context.ports.graph_write();
            write.unrelate(tx, AssertedBy::User, "user", &edge).await?;
            let position = tx.log_head().await?;
            self.planner
                .link(tx, goal, PART_OF, left.id, false, position)
                .await?;
        }
        match parent {
            Some(parent) if wholes.iter().all(|whole| whole.id != parent) => {
                self.relate(tx, goal, PART_OF, parent).await
            }
            _ => Ok(()),
        }
    }
}

/// Refuses what would make a goal part of itself.
async fn refuse_ring(
    tx: &mut ScopedTx,
    goal: EntityId,
    parent: EntityId,
    title: &str,
) -> Result<(), Problem> {
    if goal == parent {
        return Err(Problem::conflict("a goal can't be part of itself"));
    }
    // Each goal that was met, with the titles on the way to it.
    let mut met: HashMap<EntityId, Vec<String>> = HashMap::from([(parent, vec![title.to_owned()])]);
    let mut waiting = vec![parent];
    while let Some(part) = waiting.pop() {
        let way = met.get(&part).cloned().unwrap_or_default();
        for whole in store::link::goal_list(tx, part).await? {
            if whole.id == goal {
                let way = way.join("` of `");
                return Err(Problem::conflict(format!(
                    "the goals would be part of each other: `{way}` is part of this one already"
                ))
                .hint("take that out of this goal first"));
            }
            if met.len() < FOLLOWED_MAX && !met.contains_key(&whole.id) {
                met.insert(whole.id, [way.as_slice(), &[whole.title]].concat());
                waiting.push(whole.id);
            }
        }
    }
    Ok(())
}
