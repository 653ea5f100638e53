//! Wakes at the next planned moment of any account and tells of what has come.
//!
//! Events out: those of [`crate::tell`] and [`crate::schedules`].
//! Invariant: sleeps until the earliest moment that it knows of; looks again at least every 30 seconds, since another
//! process may have planned something. Each task and schedule is a transaction of its own: a wrong one stops no other.
//! Begin with [`Timekeeper::run`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use spine::access::Scope;
use spine::ports::GraphError;
use spine::{AccessError, Cause, Context};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::planner::{Done, Planner};
use crate::store;

/// Longest sleep.
const FLOOR: Duration = Duration::from_secs(30);
/// Shortest sleep: what could not be told is not tried in a ring.
const PAUSE: Duration = Duration::from_secs(1);

/// The earliest moment that was planned since the timekeeper looked last.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    next: Mutex<Option<DateTime<Utc>>>,
    notify: Notify,
}

impl Alarm {
    /// Something is planned for then.
    pub(crate) fn ring_at(&self, at: DateTime<Utc>) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.is_none_or(|next| at < next) {
            *next = Some(at);
            self.notify.notify_one();
        }
    }

    fn next(&self) -> Option<DateTime<Utc>> {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clear(&self) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Tells of what has come.
pub(crate) struct Timekeeper {
    pub(crate) context: Context,
    pub(crate) planner: Arc<Planner>,
}

impl Timekeeper {
    /// Runs until it is stopped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.planner.alarm.clear();
            let known = match self.look().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::debug!(%error, "what has come due will be told when the database is back");
                    None
                }
            };
            self.sleep(known, &stop).await;
        }
    }

    /// Sleeps until the earliest of what the database held and what was planned since.
    async fn sleep(&self, known: Option<DateTime<Utc>>, stop: &CancellationToken) {
        loop {
            let now = self.context.clock.now();
            let until = |at: DateTime<Utc>| (at - now).to_std().unwrap_or_default();
            let known = known.map_or(FLOOR, |at| until(at).clamp(PAUSE, FLOOR));
            let wait = self.planner.alarm.next().map_or(known, |at| until(at).min(known));
            tokio::select! {
                () = tokio::time::sleep(wait) => return,
                () = self.planner.alarm.notify.notified() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Tells of everything that has come, in all accounts; when the next moment comes.
    pub(crate) async fn look(&self) -> Result<Option<DateTime<Utc>>, AccessError> {
        for scope in self.context.access.scopes_of_due_intentions().await? {
            if let Err(error) = self.tell_account(&scope).await {
                tracing::warn!(account = %scope.account(), %error, "what has come due could not be told");
            }
        }
        let nobody = self.context.access.scope_of_stranger("intentions");
        let mut tx = self.context.access.begin(&nobody, Cause::outside()).await?;
        store::moment::moment_next(&mut tx).await
    }

    async fn tell_account(&self, scope: &Scope) -> Result<(), AccessError> {
        let mut tx = self.context.access.begin(scope, Cause::outside()).await?;
        let tasks = store::moment::moment_due_entities(&mut tx).await?;
        let schedules = store::schedule::schedule_due_list(&mut tx).await?;
        drop(tx);
        for task in tasks {
            if let Err(error) = self.tell_task(scope, task).await {
                tracing::warn!(account = %scope.account(), %task, %error, "a task that has come due could not be told");
            }
        }
        for schedule in schedules {
            if let Err(error) = self.fire(scope, schedule).await {
                tracing::warn!(account = %scope.account(), %schedule, %error, "a schedule could not fire");
            }
        }
        Ok(())
    }

    /// As the task is now: what was done a moment ago is not told as due.
    pub(crate) async fn tell_task(&self, scope: &Scope, task: contracts::EntityId) -> Result<(), GraphError> {
        let mut tx = self.context.access.begin(scope, Cause::outside()).await?;
        self.planner.fold(&mut tx, task, Done::Stays).await?;
        Ok(tx.commit().await?)
    }

    async fn fire(&self, scope: &Scope, schedule: contracts::ScheduleId) -> Result<(), GraphError> {
        let mut tx = self.context.access.begin(scope, Cause::outside()).await?;
        self.planner.fire(&mut tx, schedule).await?;
        Ok(tx.commit().await?)
    }
}
