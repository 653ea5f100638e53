//! Folds changes of the graph into plans: tasks and goals from whichever source, and what ties them together.
//!
//! Invariant: idempotent; a plan follows its entity's version, a link the position of the log. A task whose moments
//! came with history is told of on the lane of history.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::events::accounts::ZoneChanged;
use contracts::events::data::{
    EntityCreated, EntityDeleted, EntityErased, EntityMerged, EntityRestored, EntityUnmerged, EntityUpdated,
    RelationAdded, RelationRemoved,
};
use contracts::{Event, EventPayload, Lane};
use spine::ports::GraphError;
use spine::{Consumer, HandleError, ScopedTx};

use crate::model::plan::Kind;
use crate::planner::{Done, Planner};

/// The consumer `intentions`.
pub(crate) struct PlanFold(pub(crate) Arc<Planner>);

#[async_trait]
impl Consumer for PlanFold {
    fn name(&self) -> &'static str {
        "intentions"
    }

    fn types(&self) -> Vec<String> {
        [
            EntityCreated::TYPE,
            EntityUpdated::TYPE,
            EntityDeleted::TYPE,
            EntityErased::TYPE,
            EntityRestored::TYPE,
            EntityMerged::TYPE,
            EntityUnmerged::TYPE,
            RelationAdded::TYPE,
            RelationRemoved::TYPE,
            ZoneChanged::TYPE,
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// Nearly everything that changes in the graph is neither task nor goal.
    fn may_concern(&self, event: &Event) -> bool {
        let kind = event.body.as_ref().and_then(|body| body.get("type")?.as_str());
        kind.is_none_or(|kind| Kind::from_name(kind).is_some())
    }

    async fn handle(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError> {
        self.fold(tx, event).await
    }
}

impl PlanFold {
    async fn fold(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError> {
        if let Some(created) = event.payload::<EntityCreated>() {
            let created = created?;
            self.entity(tx, &created.kind, created.entity, Done::Stays).await
        } else if let Some(updated) = event.payload::<EntityUpdated>() {
            let updated = updated?;
            let done = if ends_an_occurrence(event, &updated.changed) {
                Done::MovesOn
            } else {
                Done::Stays
            };
            self.entity(tx, &updated.kind, updated.entity, done).await
        } else if let Some(deleted) = event.payload::<EntityDeleted>() {
            let deleted = deleted?;
            self.entity(tx, &deleted.kind, deleted.entity, Done::Stays).await
        } else if let Some(added) = event.payload::<RelationAdded>() {
            let RelationAdded {
                from, predicate, to, ..
            } = added?;
            let linked = self.0.link(tx, from, &predicate, to, true, event.position).await;
            linked.map_err(graph_refused)
        } else if let Some(removed) = event.payload::<RelationRemoved>() {
            let RelationRemoved {
                from, predicate, to, ..
            } = removed?;
            let linked = self.0.link(tx, from, &predicate, to, false, event.position).await;
            linked.map_err(graph_refused)
        } else {
            self.regroup(tx, event).await
        }
    }

    /// Merged, unmerged, restored, erased, or the owner moved to another zone.
    async fn regroup(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError> {
        let regrouped = if let Some(merged) = event.payload::<EntityMerged>() {
            let merged = merged?;
            Kind::from_name(&merged.kind).map(|_| (merged.entity, merged.absorbed))
        } else if let Some(unmerged) = event.payload::<EntityUnmerged>() {
            let unmerged = unmerged?;
            Kind::from_name(&unmerged.kind).map(|_| (unmerged.entity, unmerged.separated))
        } else if let Some(restored) = event.payload::<EntityRestored>() {
            let restored = restored?;
            return self
                .entity(tx, &restored.kind, restored.entity, Done::Stays)
                .await;
        } else if let Some(erased) = event.payload::<EntityErased>() {
            let erased = erased?;
            return self
                .0
                .erase(tx, erased.entity, &erased.merged)
                .await
                .map_err(graph_refused);
        } else if event.payload::<ZoneChanged>().is_some() {
            return self.0.move_to_zone(tx).await.map_err(graph_refused);
        } else {
            None // erased
        };
        match regrouped {
            Some((survivor, other)) => self.0.regroup(tx, survivor, other).await.map_err(graph_refused),
            None => Ok(()),
        }
    }

    async fn entity(
        &self,
        tx: &mut ScopedTx,
        kind: &str,
        id: contracts::EntityId,
        done: Done,
    ) -> Result<(), HandleError> {
        if Kind::from_name(kind).is_none() {
            return Ok(());
        }
        self.0.fold(tx, id, done).await.map_err(graph_refused)
    }
}

/// A calendar or an import that says "completed" keeps its series itself.
fn ends_an_occurrence(event: &Event, changed: &[String]) -> bool {
    let by_source = event.lane == Lane::Backfill || event.actor.starts_with("connector:");
    !by_source && changed.iter().any(|name| name == "status")
}

fn graph_refused(error: GraphError) -> HandleError {
    match error {
        GraphError::Access(error) => error.into(),
        other => HandleError::Poison(other.to_string()),
    }
}
