//! What ties tasks and goals together: `part-of` a goal, `depends-on` another task.
//!
//! Invariant: the API never makes tasks wait for each other in a ring. Sources may have: then each is shown as blocked,
//! and nothing runs in that ring.

use std::collections::HashMap;

use contracts::{EntityId, Position};
use spine::ScopedTx;
use spine::ports::GraphError;
use uuid::Uuid;

use crate::planner::Planner;
use crate::store;

pub(crate) const PART_OF: &str = "part-of";
pub(crate) const DEPENDS_ON: &str = "depends-on";
/// More tasks than this are not followed to find a ring.
const FOLLOWED_MAX: usize = 5_000;

impl Planner {
    /// Notes that a link holds, or no longer does. Predicates that mean nothing to intentions are passed over.
    pub(crate) async fn link(
        &self,
        tx: &mut ScopedTx,
        from: EntityId,
        predicate: &str,
        to: EntityId,
        live: bool,
        position: Position,
    ) -> Result<(), GraphError> {
        if predicate != PART_OF && predicate != DEPENDS_ON {
            return Ok(());
        }
        store::plan::account_lock(tx).await?;
        let changed = store::link::link_set(tx, from, predicate, to, live, position).await?;
        if changed && predicate == PART_OF {
            self.count(tx, to).await?;
        }
        Ok(())
    }
}

/// Titles from `task`, over what it waits for, to `wanted`; `None`: it doesn't wait for it.
pub(crate) async fn waits_for(
    tx: &mut ScopedTx,
    task: EntityId,
    wanted: EntityId,
) -> Result<Option<Vec<String>>, GraphError> {
    let mut came_from: HashMap<Uuid, (Uuid, String)> = HashMap::new();
    let mut frontier = vec![task.0];
    while !frontier.is_empty() && came_from.len() < FOLLOWED_MAX {
        let links = store::link::dependency_list(tx, &frontier).await?;
        frontier.clear();
        for link in links {
            if link.to == task.0 || came_from.contains_key(&link.to) {
                continue;
            }
            came_from.insert(link.to, (link.from, link.title));
            frontier.push(link.to);
        }
        if came_from.contains_key(&wanted.0) {
            return Ok(Some(way(&came_from, task.0, wanted.0)));
        }
    }
    Ok(None)
}

fn way(came_from: &HashMap<Uuid, (Uuid, String)>, task: Uuid, wanted: Uuid) -> Vec<String> {
    let (mut titles, mut at) = (Vec::new(), wanted);
    while let Some((from, title)) = came_from.get(&at).filter(|_| at != task) {
        titles.push(title.clone());
        at = *from;
    }
    titles.reverse();
    titles
}
