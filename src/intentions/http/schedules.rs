//! Reading schedules.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use chrono::{DateTime, Utc};
use contracts::Problem;
use serde::{Deserialize, Serialize};
use spine::ScopedTx;
use spine::edge::{Caller, Json, page_by, page_size};
use uuid::Uuid;

use super::{Desk, shorten};
use crate::store;
use crate::store::schedule::Schedule;

/// Which of the moments that passed while the hub was off fires afterwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CatchUp {
    /// The latest, once.
    #[default]
    Latest,
    /// None that is more than two minutes late.
    None,
}

impl CatchUp {
    /// The name in the database.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::None => "none",
        }
    }
}

/// A schedule.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ScheduleView {
    /// Its id.
    id: Uuid,
    /// By which rules know it.
    name: String,
    /// Minute, hour, day, month, weekday.
    cron: Option<String>,
    /// An RRULE.
    rrule: Option<String>,
    /// The local time from which the RRULE counts.
    starts: Option<String>,
    /// Its zone; absent: the owner's.
    zone: Option<String>,
    /// `latest` or `none`.
    catch_up: String,
    /// True while it is paused.
    paused: bool,
    /// When it fires next; absent while it is paused, and once it has ended.
    next_at: Option<DateTime<Utc>>,
    /// The planned moment that it fired for last.
    last_planned_at: Option<DateTime<Utc>>,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it was changed.
    updated_at: DateTime<Utc>,
}

/// All schedules.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ScheduleList {
    /// By name.
    items: Vec<ScheduleView>,
    /// Where the next page begins: pass it as `cursor`. Absent: this is the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScheduleWanted {
    /// How many at most: 1 to 200, 50 if not said.
    limit: Option<u32>,
    /// Where the last page ended: its `next_cursor`.
    cursor: Option<String>,
}

/// Lists schedules.
#[utoipa::path(get, path = "/schedules", tag = "intentions", params(ScheduleWanted), responses(
    (status = 200, body = ScheduleList), (status = 400, body = Problem)))]
pub(crate) async fn list(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Query(wanted): Query<ScheduleWanted>,
) -> Result<Json<ScheduleList>, Problem> {
    let size = page_size(wanted.limit)?;
    let after = wanted.cursor.unwrap_or_default();
    let mut tx = desk.begin(&caller).await?;
    let schedules = store::schedule::schedule_list(&mut tx, &after, size as i64 + 1).await?;
    let (schedules, next_cursor) = page_by(schedules, size, |last| last.name.clone());
    let items: Vec<ScheduleView> = schedules.into_iter().map(Into::into).collect();
    tx.audit("read", "schedules", Some(items.len() as u64))?;
    tx.commit().await?;
    Ok(Json(ScheduleList { items, next_cursor }))
}

/// A schedule.
#[utoipa::path(get, path = "/schedules/{id}", tag = "intentions",
    params(("id" = String, Path, description = "The schedule's id or name")),
    responses(
        (status = 200, body = ScheduleView),
        (status = 404, description = "There is no such schedule", body = Problem),
    ))]
pub(crate) async fn detail(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ScheduleView>, Problem> {
    let mut tx = desk.begin(&caller).await?;
    let schedule = named(&mut tx, &id).await?;
    tx.audit("read", format!("schedule/{}", schedule.id), Some(1))?;
    tx.commit().await?;
    Ok(Json(schedule.into()))
}

/// The schedule of this id or name, locked.
pub(super) async fn named(tx: &mut ScopedTx, id: &str) -> Result<Schedule, Problem> {
    let missing = || Problem::not_found(format!("there is no schedule {}", shorten(id)));
    if id.contains('\0') {
        return Err(missing());
    }
    store::schedule::schedule_by_name(tx, id)
        .await?
        .ok_or_else(missing)
}

impl From<Schedule> for ScheduleView {
    fn from(schedule: Schedule) -> Self {
        let Schedule {
            id,
            name,
            cron,
            rrule,
            starts,
            zone,
            catch_up,
            paused,
            next_at,
            last_planned_at,
            created_at,
            updated_at,
        } = schedule;
        Self {
            id,
            name,
            cron,
            rrule,
            starts,
            zone,
            catch_up,
            paused,
            next_at,
            last_planned_at,
            created_at,
            updated_at,
        }
    }
}
