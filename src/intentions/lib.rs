//! What the owner means to do: goals, tasks with due, recurrence, dependence and reminders, and named schedules.
//!
//! Events in: `data.EntityCreated|Updated|Deleted|Erased|Restored|Merged|Unmerged` of tasks and goals,
//! `data.RelationAdded|Removed` between them, in both lanes; `accounts.ZoneChanged`. Events out: `intention.TaskDue`, `TaskOverdue`, `ReminderDue`, `TaskCompleted`, `GoalProgressed`,
//! `ScheduleFired`. Jobs: none.
//! Invariant: a task is an entity of the graph and nothing else; a planned moment is told once, in the transaction that
//! marks it as told, late if the hub was off, and with its own time.
//! Begin with [`planner`] (from entity to plan), then [`tell`] and [`timekeeper`].

mod http;
mod links;
mod model;
mod on_graph_changed;
mod planner;
mod progress;
mod schedules;
mod store;
#[cfg(test)]
mod stories;
mod tell;
mod timekeeper;

use std::sync::Arc;

use spine::{Context, Service};

use crate::planner::Planner;
use crate::timekeeper::{Alarm, Timekeeper};

/// The intentions service.
pub fn service(context: &Context) -> Service {
    build(context).0
}

/// The service, and the alarm by which its timekeeper is woken.
fn build(context: &Context) -> (Service, Arc<Alarm>) {
    let alarm = Arc::new(Alarm::default());
    let planner = Arc::new(Planner {
        ports: context.ports.clone(),
        alarm: alarm.clone(),
    });
    let timekeeper = Timekeeper {
        context: context.clone(),
        planner: planner.clone(),
    };
    let service = Service {
        name: "intentions",
        consumers: vec![Arc::new(on_graph_changed::PlanFold(planner.clone()))],
        tasks: vec![Box::new(move |stop| Box::pin(timekeeper.run(stop)))],
        api: http::router(context, planner),
        personal_tables: &[
            "intentions.moment",
            "intentions.completion",
            "intentions.link",
            "intentions.plan",
            "intentions.schedule",
        ],
        ..Service::default()
    };
    (service, alarm)
}
