//! Named schedules: when they fire next, and firing them.
//!
//! Events out: `intention.ScheduleFired`.
//! Invariant: the event and the schedule's next moment commit together. Of moments that were missed the latest fires,
//! once, or none, as the schedule says.

use chrono::{DateTime, Duration, Utc};
use chrono_tz::Tz;
use contracts::events::intentions::ScheduleFired;
use contracts::{NewEvent, ScheduleId};
use spine::ports::GraphError;
use spine::{AccessError, ScopedTx};

use crate::model::planned::{Planned, rule_start};
use crate::planner::Planner;
use crate::store;
use crate::store::schedule::Schedule;

/// Later than this, a moment was missed: a restart takes less.
const MISSED_AFTER: Duration = Duration::minutes(2);

/// The zone of a schedule: its own, else the owner's.
pub(crate) fn zone_of(schedule: &Schedule, owner: Tz) -> Tz {
    schedule
        .zone
        .as_deref()
        .and_then(|zone| zone.parse().ok())
        .unwrap_or(owner)
}

/// When a schedule fires, as it was said.
pub(crate) fn planned(schedule: &Schedule) -> Result<Planned, String> {
    let start = schedule
        .starts
        .as_deref()
        .map_or(Ok(DateTime::UNIX_EPOCH.naive_utc()), rule_start)?;
    Planned::parse(schedule.cron.as_deref(), schedule.rrule.as_deref(), start)
}

impl Planner {
    /// Plans a schedule anew from a moment on; what was missed until then is not caught up.
    pub(crate) async fn plan_schedule(
        &self,
        tx: &mut ScopedTx,
        schedule: &mut Schedule,
        from: DateTime<Utc>,
    ) -> Result<(), GraphError> {
        let zone = zone_of(schedule, self.ports.account_directory().zone(tx).await?);
        let planned = planned(schedule).map_err(GraphError::Invalid)?;
        schedule.next_at = if schedule.paused {
            None
        } else {
            planned.after(from, zone)
        };
        if let Some(next) = schedule.next_at {
            self.alarm.ring_at(next);
        }
        Ok(())
    }

    /// Fires a schedule whose moment has come, and plans the next one.
    pub(crate) async fn fire(&self, tx: &mut ScopedTx, id: ScheduleId) -> Result<(), GraphError> {
        let Some(mut schedule) = store::schedule::schedule_take_due(tx, id).await? else {
            return Ok(());
        };
        let (Some(due), now) = (schedule.next_at, tx.now()) else {
            return Ok(());
        };
        let zone = zone_of(&schedule, self.ports.account_directory().zone(tx).await?);
        let planned = match planned(&schedule) {
            Ok(planned) => planned,
            Err(problem) => {
                // Was understood when it was made. Paused it is seen, and doesn't wake the timekeeper again and again.
                tracing::warn!(account = %tx.account(), schedule = %id, problem, "a schedule was paused");
                (schedule.paused, schedule.next_at) = (true, None);
                return Ok(store::schedule::schedule_update(tx, &schedule).await?);
            }
        };
        let latest = planned.latest(due, now, zone);
        if schedule.catch_up == "latest" || now - latest <= MISSED_AFTER {
            let payload = ScheduleFired {
                schedule: id,
                name: schedule.name.clone(),
                planned_at: latest,
            };
            let event = NewEvent::of(&payload).map_err(AccessError::from)?;
            tx.publish(event.about(id).occurred(latest))?;
            schedule.last_planned_at = Some(latest);
        }
        self.plan_schedule(tx, &mut schedule, now).await?;
        Ok(store::schedule::schedule_update(tx, &schedule).await?)
    }
}
