//! Relations that put one thing above another must not lead back to where they begin.
//!
//! Invariant: no relation that is added closes a ring; a merge of two that stand in one line may, so whoever walks along
//! these relations remembers where it was. Begin with [`Work::ring`].

use std::collections::HashMap;

use contracts::EntityId;
use spine::ScopedTx;
use spine::ports::GraphError;
use uuid::Uuid;

use super::Work;
use crate::store;

/// What a task waits for, and what something is a piece of.
const ORDERING: [&str; 2] = ["depends-on", "part-of"];
/// More things than this are not followed to find a ring.
const FOLLOWED_MAX: usize = 5_000;
/// Of a ring so many are named.
const NAMED_MAX: usize = 5;

/// Whether a relation puts one thing above another.
pub(crate) fn is_ordering(predicate: &str) -> bool {
    ORDERING.contains(&predicate)
}

/// A way that leads back, in words.
#[derive(Debug)]
pub(super) struct Ring(Vec<String>);

impl Ring {
    /// Why the relation that would close it is refused.
    pub(super) fn refusal(&self, predicate: &str) -> String {
        let way = self.0.join(&format!("` {predicate} `"));
        format!(
            "the relation would close a ring of `{predicate}`: `{way}` holds already; take that away first \
             (DELETE /relations/{{id}}), or leave this one out"
        )
    }
}

impl Work<'_> {
    /// The way that leads by a predicate from `far` to `near`, if there is one: a relation from `near` to `far` would make
    /// a ring of it. Both are roots.
    pub(super) async fn ring(
        &mut self,
        tx: &mut ScopedTx,
        near: EntityId,
        predicate: &str,
        far: EntityId,
    ) -> Result<Option<Ring>, GraphError> {
        if near == far || !is_ordering(predicate) || !self.draft.may_close_ring(near, far) {
            return Ok(None);
        }
        self.draft.write(tx).await?;
        // Two that are added at once could close a ring together.
        store::ordering_lock(tx).await?;
        let mut came_from: HashMap<Uuid, Option<Uuid>> = HashMap::from([(far.0, None)]);
        let mut titles: HashMap<Uuid, String> = HashMap::new();
        let mut frontier = vec![far.0];
        while !frontier.is_empty() && came_from.len() < FOLLOWED_MAX {
            let steps = store::ordering_steps(tx, &frontier, predicate).await?;
            frontier.clear();
            for step in steps {
                titles.insert(step.near, step.near_title);
                titles.insert(step.far, step.far_title);
                came_from.entry(step.far).or_insert_with(|| {
                    frontier.push(step.far);
                    Some(step.near)
                });
            }
            if came_from.contains_key(&near.0) {
                return Ok(Some(way(&came_from, &titles, near.0)));
            }
        }
        Ok(None)
    }
}

/// From where the walk began to where it ended.
fn way(came_from: &HashMap<Uuid, Option<Uuid>>, titles: &HashMap<Uuid, String>, end: Uuid) -> Ring {
    let (mut named, mut at) = (Vec::new(), Some(end));
    while let Some(id) = at {
        named.push(titles.get(&id).cloned().unwrap_or_else(|| id.to_string()));
        at = came_from.get(&id).copied().flatten();
    }
    named.reverse();
    if named.len() > NAMED_MAX {
        let left_out = named.len() - NAMED_MAX + 1;
        named.splice(2..2 + left_out, ["…".to_owned()]);
    }
    Ring(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_way_is_told_by_its_ends() {
        let ids: Vec<Uuid> = (1..=9).map(Uuid::from_u128).collect();
        let came_from = |(at, id): (usize, &Uuid)| (*id, at.checked_sub(1).map(|before| ids[before]));
        let came_from: HashMap<_, _> = ids.iter().enumerate().map(came_from).collect();
        let titles = ids.iter().map(|id| (*id, id.as_u128().to_string())).collect();
        assert_eq!(way(&came_from, &titles, ids[8]).0, ["1", "2", "…", "8", "9"]);
        assert_eq!(way(&came_from, &titles, ids[1]).0, ["1", "2"]);
    }
}
