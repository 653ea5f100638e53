//! What ties tasks and goals together: `part-of` a goal, `depends-on` another task.
//!
//! Invariant: the API never makes tasks wait for each other in a ring. Sources may have: then each is shown as blocked,
//! and nothing runs in that ring.

use std::collections::HashMap;

use contracts::{EntityId, Position};
use spine::ScopedTx;
use spine::ports::GraphError;
use uuid::Uuid;

use crate::planner::{Done, Planner};
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
        let link = store::link::Link {
            from,
            predicate,
            to,
            from_root: self.root(tx, from).await?,
            to_root: self.root(tx, to).await?,
            live,
            position,
        };
        let set = store::link::link_set(tx, link).await?;
        let dropped = !live && store::link::link_drop(tx, link).await?;
        if (set || dropped) && predicate == PART_OF {
            self.count(tx, link.to_root).await?;
        }
        Ok(())
    }

    /// As what an entity stands in the graph now: itself, or what it was merged into.
    async fn root(&self, tx: &mut ScopedTx, id: EntityId) -> Result<EntityId, GraphError> {
        let found = self.ports.graph_read().entity(tx, id).await?;
        Ok(found.map_or(id, |entity| entity.id))
    }

    /// Two entities became one, or one two again: their plans, their links, and the goals that these concern.
    pub(crate) async fn regroup(
        &self,
        tx: &mut ScopedTx,
        survivor: EntityId,
        other: EntityId,
    ) -> Result<(), GraphError> {
        store::plan::account_lock(tx).await?;
        for end in store::link::end_list(tx, &[survivor.0, other.0]).await? {
            let root = self.root(tx, end).await?;
            store::link::end_root(tx, end, root).await?;
        }
        for id in [other, survivor] {
            self.fold(tx, id, Done::Stays).await?;
            self.count_goals_of(tx, id).await?;
            self.count(tx, id).await?;
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
