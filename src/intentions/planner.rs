//! From an entity to its plan: what is due when, what was done, how far its goals are.
//!
//! Events out: `intention.TaskCompleted`, and those of [`crate::progress`], and of [`crate::tell`] for moments that have
//! passed already.
//! Invariant: a plan is as of a version of its entity and an older one is never written, so folding twice is folding
//! once. The account's lock is taken before a row of the graph is.
//! Begin with [`Planner::fold`].

use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use contracts::events::intentions::TaskCompleted;
use contracts::{EntityId, NewEvent};
use serde_json::{Map, Value, json};
use spine::ports::{AssertedBy, Change, Entity, EntityChange, GraphError, Ports, Target, Until};
use spine::{AccessError, ScopedTx};

use crate::model::plan::{Intention, Kind, Next, Status, moments};
use crate::store;
use crate::store::plan::Plan;
use crate::timekeeper::Alarm;

/// Plans.
#[derive(Debug)]
pub(crate) struct Planner {
    pub(crate) ports: Ports,
    pub(crate) alarm: Arc<Alarm>,
}

/// Whether a recurring task that is done moves on to its next occurrence: it does when its owner (or a rule of hers)
/// said that it is done; a calendar that says so keeps the series itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    MovesOn,
    Stays,
}

impl Planner {
    /// Plans an entity as it is now.
    pub(crate) async fn fold(&self, tx: &mut ScopedTx, id: EntityId, done: Done) -> Result<(), GraphError> {
        store::plan::account_lock(tx).await?;
        let before = store::plan::plan_by_id(tx, id).await?;
        let entity = self.ports.graph_read().entity(tx, id).await?;
        // Whoever was merged into another answers as that one.
        let Some(entity) = entity.filter(|entity| entity.id == id) else {
            return self.forget(tx, id, before).await;
        };
        let zone = self.ports.account_directory().zone(tx).await?;
        let Some(intention) = Intention::read(&entity, zone) else {
            return self.forget(tx, id, before).await;
        };
        let completed = intention.status == Status::Completed;
        let known = before
            .as_ref()
            .is_some_and(|plan| !plan.gone && plan.version >= entity.version && plan.zone == zone.name());
        if !known {
            store::plan::plan_upsert(tx, &plan_of(&entity, &intention, zone)).await?;
            store::moment::moment_replace(tx, id, &moments(&intention, zone)).await?;
        }
        let was_open = before
            .as_ref()
            .is_some_and(|plan| !plan.gone && plan.status != Status::Completed.as_str());
        let was_done = before
            .as_ref()
            .is_some_and(|plan| !plan.gone && plan.status == Status::Completed.as_str());
        let next = match done {
            Done::MovesOn if completed => intention.next(tx.now(), zone),
            _ => None,
        };
        if !known && was_open && completed && intention.kind == Kind::Task {
            self.completed(tx, id, &intention, next.as_ref(), zone).await?;
        } else if !known && was_done && !completed {
            store::completion::completion_remove(tx, id, &occurrence(&intention)).await?;
        }
        if !known {
            self.progress(tx, id, &intention, before.as_ref()).await?;
        }
        if let Some(next) = next {
            return self.move_on(tx, id, &next, zone).await;
        }
        self.tell(tx, id).await?;
        self.wake(tx, &intention, zone);
        Ok(())
    }

    /// Plans again what was read in another zone: the owner moved. What was told stays told.
    pub(crate) async fn move_to_zone(&self, tx: &mut ScopedTx) -> Result<(), GraphError> {
        let zone = self.ports.account_directory().zone(tx).await?;
        // Bounded: each turn reads up to a thousand in the new zone.
        loop {
            let elsewhere = store::plan::plan_elsewhere_list(tx, zone.name()).await?;
            if elsewhere.is_empty() {
                break;
            }
            for id in elsewhere {
                self.fold(tx, id, Done::Stays).await?;
            }
        }
        let now = tx.now();
        for mut schedule in store::schedule::schedule_hold_zoneless(tx).await? {
            self.plan_schedule(tx, &mut schedule, now).await?;
            store::schedule::schedule_update(tx, &schedule).await?;
        }
        Ok(())
    }

    /// What has passed already is told; the timekeeper wakes for the rest.
    fn wake(&self, tx: &ScopedTx, intention: &Intention, zone: Tz) {
        let mut moments = moments(intention, zone).into_iter();
        if let Some(next) = moments.find(|moment| moment.at > tx.now()) {
            self.alarm.ring_at(next.at);
        }
    }

    async fn forget(&self, tx: &mut ScopedTx, id: EntityId, before: Option<Plan>) -> Result<(), GraphError> {
        if before.is_some_and(|plan| !plan.gone) {
            store::plan::plan_gone(tx, id).await?;
            self.count_goals_of(tx, id).await?;
        }
        Ok(())
    }

    /// The entity was erased, with what had been merged into it: nothing that speaks of it stays.
    pub(crate) async fn erase(
        &self,
        tx: &mut ScopedTx,
        id: EntityId,
        merged: &[EntityId],
    ) -> Result<(), GraphError> {
        store::plan::account_lock(tx).await?;
        let goals = store::link::goal_list(tx, id).await?;
        let ids: Vec<_> = [id].iter().chain(merged).map(|id| id.0).collect();
        store::plan::plan_erase(tx, &ids).await?;
        for goal in goals {
            self.count(tx, goal.id).await?;
        }
        Ok(())
    }

    /// Tells that a task, or an occurrence of it, was done: once an occurrence.
    async fn completed(
        &self,
        tx: &mut ScopedTx,
        id: EntityId,
        intention: &Intention,
        next: Option<&Next>,
        zone: Tz,
    ) -> Result<(), GraphError> {
        let at = intention.completed_at.unwrap_or(tx.now()).min(tx.now());
        let due_at = intention.due.map(|due| due.instant(zone));
        if !store::completion::completion_insert(tx, id, &occurrence(intention), due_at, at).await? {
            return Ok(());
        }
        let payload = TaskCompleted {
            task: id,
            title: intention.title.clone(),
            due: intention.due.map(|due| due.to_string()),
            next_due: next.and_then(|next| next.due).map(|due| due.to_string()),
            goal: store::link::goal_list(tx, id).await?.into_iter().next(),
        };
        tx.publish(
            NewEvent::of(&payload)
                .map_err(AccessError::from)?
                .about(id)
                .occurred(at),
        )?;
        Ok(())
    }

    /// The same task becomes its next occurrence, in the owner's name: it is her rule that is carried out. A calendar that
    /// moves the series, or says that this occurrence is done, is heard.
    async fn move_on(
        &self,
        tx: &mut ScopedTx,
        id: EntityId,
        next: &Next,
        zone: Tz,
    ) -> Result<(), GraphError> {
        let mut props = Map::new();
        props.insert("status".to_owned(), json!(Status::NeedsAction.as_str()));
        props.insert("recurrence_start".to_owned(), json!(next.anchor.to_string()));
        props.insert("completed_at".to_owned(), Value::Null);
        props.insert("percent".to_owned(), Value::Null);
        for (name, when) in [("due_at", next.due), ("start_at", next.start)] {
            if let Some(when) = when {
                props.insert(name.to_owned(), json!(when.to_string()));
            }
        }
        let starts_at = next.start.map(|start| start.instant(zone));
        let change = said(vec![of_task(Target::Existing(id), props, starts_at)]);
        self.ports
            .graph_write()
            .apply_until(tx, change, &YIELDING)
            .await?;
        // Once deeper at the most: what it has become is open.
        Box::pin(self.fold(tx, id, Done::Stays)).await
    }
}

/// By what one occurrence is told from another.
pub(crate) fn occurrence(intention: &Intention) -> String {
    intention
        .occurrence()
        .map(|when| when.to_string())
        .unwrap_or_default()
}

/// What the hub says of a task in the owner's name, and that it follows from what the calendar said: it holds until the
/// calendar says something else. A task that it ticks off twice differs in when it was done.
pub(crate) const YIELDING: [Until; 5] = [
    Until {
        field: "status",
        watched: &["status", "completed_at"],
    },
    Until {
        field: "due_at",
        watched: &["due_at"],
    },
    Until {
        field: "start_at",
        watched: &["start_at"],
    },
    Until {
        field: "starts_at",
        watched: &["starts_at"],
    },
    // Another rule counts anew: an export's COUNT is what was left, from the occurrence that it tells of.
    Until {
        field: "recurrence_start",
        watched: &["recurrence"],
    },
];

/// A change of a task alone.
pub(crate) fn of_task(
    target: Target,
    props: Map<String, Value>,
    starts_at: Option<DateTime<Utc>>,
) -> EntityChange {
    EntityChange {
        target,
        kind: Kind::Task.as_str().to_owned(),
        title: None,
        props,
        identifiers: Vec::new(),
        starts_at,
    }
}

/// The owner's word.
pub(crate) fn said(entities: Vec<EntityChange>) -> Change {
    Change {
        by: AssertedBy::User,
        source: "user".to_owned(),
        raw: None,
        entities,
        relations: Vec::new(),
    }
}

fn plan_of(entity: &Entity, intention: &Intention, zone: Tz) -> Plan {
    Plan {
        entity: entity.id.0,
        kind: intention.kind.as_str().to_owned(),
        version: entity.version,
        gone: false,
        title: intention.title.clone(),
        status: intention.status.as_str().to_owned(),
        priority: intention.priority,
        percent: intention.percent,
        due: intention.due.map(|due| due.to_string()),
        due_at: intention.due.map(|due| due.instant(zone)),
        overdue_at: intention.overdue_at(zone),
        starts_at: intention.start.map(|start| start.instant(zone)),
        completed_at: intention.completed_at,
        recurrence: intention.recurrence.as_ref().map(|(text, _)| text.clone()),
        progress: 0.0,
        progress_by_hand: false,
        problem: (!intention.problems.is_empty()).then(|| intention.problems.join("; ")),
        zone: zone.name().to_owned(),
        created_at: entity.created_at,
    }
}
