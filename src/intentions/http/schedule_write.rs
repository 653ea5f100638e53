//! Writing schedules.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chrono::{NaiveTime, Timelike};
use chrono_tz::Tz;
use contracts::{Problem, ScheduleId};
use serde::{Deserialize, Serialize};
use spine::ScopedTx;
use spine::edge::{Caller, Json, Once, once};

use super::schedules::{CatchUp, ScheduleView, named};
use super::words::{given, wrong};
use super::{Desk, SERVICE, made, made_before};
use crate::model::planned::rule_start;
use crate::model::when::When;
use crate::schedules::{planned, zone_of};
use crate::store;
use crate::store::schedule::Schedule;

/// A new schedule: by cron or by RRULE.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSchedule {
    /// By which rules know it: small letters, digits, hyphens.
    name: String,
    /// Minute, hour, day, month, weekday, such as `0 9 * * 1-5`.
    cron: Option<String>,
    /// An RRULE by day, week, month or year, such as `FREQ=MONTHLY;BYDAY=-1FR`.
    rrule: Option<String>,
    /// The local time from which the RRULE counts, and at which it fires; now, to the minute, if not said.
    starts: Option<String>,
    /// An IANA time zone; the owner's if not said.
    zone: Option<String>,
    /// What happens to moments that passed while the hub was off.
    #[serde(default)]
    catch_up: CatchUp,
}

/// What changes of a schedule. What isn't there stays.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SchedulePatch {
    /// From now on by cron.
    cron: Option<String>,
    /// From now on by this RRULE.
    rrule: Option<String>,
    /// The local time from which the RRULE counts.
    starts: Option<String>,
    /// An IANA time zone; null: the owner's.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    zone: Option<Option<String>>,
    /// What happens to moments that passed while the hub was off.
    catch_up: Option<CatchUp>,
}

/// Makes a schedule.
#[utoipa::path(post, path = "/schedules", tag = "intentions", request_body = NewSchedule,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition within a day harmless")),
    responses(
        (status = 201, description = "It was made", body = ScheduleView),
        (status = 200, description = "This is a repetition", body = ScheduleView),
        (status = 409, description = "The name is taken", body = Problem),
        (status = 422, description = "It can't be taken; says what would be right", body = Problem),
    ))]
pub(crate) async fn create(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    headers: HeaderMap,
    Json(new): Json<NewSchedule>,
) -> Result<Response, Problem> {
    check_name(&new.name)?;
    let mut tx = desk.begin(&caller).await?;
    let key = match once(&mut tx, &headers, SERVICE, "POST /schedules", &new).await? {
        Once::First(key) => key,
        Once::Again(id) => {
            let schedule = named(&mut tx, &id.to_string()).await?;
            return made_before(tx, format!("schedule/{id}"), ScheduleView::from(schedule)).await;
        }
    };
    let now = tx.now();
    let mut schedule = Schedule {
        id: ScheduleId::new().0,
        name: new.name,
        cron: new.cron,
        rrule: new.rrule,
        starts: new.starts,
        zone: new.zone,
        catch_up: new.catch_up.as_str().to_owned(),
        paused: false,
        next_at: None,
        last_planned_at: None,
        created_at: now,
        updated_at: now,
    };
    desk.complete_schedule(&mut tx, &mut schedule).await?;
    if !store::schedule::schedule_insert(&mut tx, &schedule).await? {
        return Err(
            Problem::conflict(format!("there is a schedule {} already", schedule.name))
                .hint("take another name, or change that one"),
        );
    }
    let audited = format!("schedule/{}", schedule.id);
    made(tx, key, (schedule.id, audited), ScheduleView::from(schedule)).await
}

/// Changes when a schedule fires.
#[utoipa::path(patch, path = "/schedules/{id}", tag = "intentions", request_body = SchedulePatch,
    params(("id" = String, Path, description = "The schedule's id or name")),
    responses(
        (status = 200, body = ScheduleView),
        (status = 404, description = "There is no such schedule", body = Problem),
        (status = 422, description = "It can't be taken; says what would be right", body = Problem),
    ))]
pub(crate) async fn update(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(patch): Json<SchedulePatch>,
) -> Result<Json<ScheduleView>, Problem> {
    let mut tx = desk.begin(&caller).await?;
    let mut schedule = named(&mut tx, &id).await?;
    match (patch.cron, patch.rrule) {
        (Some(_), Some(_)) => return Err(wrong("cron", "a schedule is by cron or by rrule, not both")),
        (Some(cron), None) => (schedule.cron, schedule.rrule, schedule.starts) = (Some(cron), None, None),
        (None, Some(rrule)) => (schedule.cron, schedule.rrule) = (None, Some(rrule)),
        (None, None) => {}
    }
    if patch.starts.is_some() {
        schedule.starts = patch.starts;
    }
    if let Some(zone) = patch.zone {
        schedule.zone = zone;
    }
    if let Some(catch_up) = patch.catch_up {
        schedule.catch_up = catch_up.as_str().to_owned();
    }
    desk.complete_schedule(&mut tx, &mut schedule).await?;
    keep(tx, schedule).await
}

/// Pauses a schedule.
#[utoipa::path(post, path = "/schedules/{id}/pause", tag = "intentions",
    params(("id" = String, Path, description = "The schedule's id or name")),
    responses(
        (status = 200, body = ScheduleView),
        (status = 404, description = "There is no such schedule", body = Problem),
    ))]
pub(crate) async fn pause(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ScheduleView>, Problem> {
    let mut tx = desk.begin(&caller).await?;
    let mut schedule = named(&mut tx, &id).await?;
    schedule.paused = true;
    schedule.next_at = None;
    keep(tx, schedule).await
}

/// Lets a paused schedule go on. What passed in the meantime doesn't fire.
#[utoipa::path(post, path = "/schedules/{id}/resume", tag = "intentions",
    params(("id" = String, Path, description = "The schedule's id or name")),
    responses(
        (status = 200, body = ScheduleView),
        (status = 404, description = "There is no such schedule", body = Problem),
    ))]
pub(crate) async fn resume(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ScheduleView>, Problem> {
    let mut tx = desk.begin(&caller).await?;
    let mut schedule = named(&mut tx, &id).await?;
    if schedule.paused {
        schedule.paused = false;
        let now = tx.now();
        desk.planner.plan_schedule(&mut tx, &mut schedule, now).await?;
    }
    keep(tx, schedule).await
}

/// Removes a schedule.
#[utoipa::path(delete, path = "/schedules/{id}", tag = "intentions",
    params(("id" = String, Path, description = "The schedule's id or name")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such schedule", body = Problem),
    ))]
pub(crate) async fn remove(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let mut tx = desk.begin(&caller).await?;
    let schedule = named(&mut tx, &id).await?;
    store::schedule::schedule_remove(&mut tx, ScheduleId(schedule.id)).await?;
    tx.audit("write", format!("schedule/{}", schedule.id), None)?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn keep(mut tx: ScopedTx, mut schedule: Schedule) -> Result<Json<ScheduleView>, Problem> {
    schedule.updated_at = tx.now();
    store::schedule::schedule_update(&mut tx, &schedule).await?;
    tx.audit("write", format!("schedule/{}", schedule.id), None)?;
    tx.commit().await?;
    Ok(Json(schedule.into()))
}

impl Desk {
    /// Checks what was said of a schedule, and plans it from now on.
    async fn complete_schedule(&self, tx: &mut ScopedTx, schedule: &mut Schedule) -> Result<(), Problem> {
        if let Some(zone) = &schedule.zone
            && zone.parse::<Tz>().is_err()
        {
            return Err(wrong("zone", "write an IANA time zone, such as Europe/Lisbon"));
        }
        let now = tx.now();
        if schedule.rrule.is_none() && schedule.starts.is_some() {
            return Err(wrong("starts", "only an rrule counts from a time"));
        }
        if let (Some(_), starts) = (&schedule.rrule, &mut schedule.starts) {
            let start = match starts.as_deref() {
                Some(text) => rule_start(text).map_err(|problem| wrong("starts", &problem))?,
                None => {
                    let owner = self.context.ports.account_directory().zone(tx).await?;
                    let zone = schedule
                        .zone
                        .as_deref()
                        .and_then(|zone| zone.parse().ok())
                        .unwrap_or(owner);
                    let local = now.with_timezone(&zone).naive_local();
                    let minute = NaiveTime::from_hms_opt(local.hour(), local.minute(), 0);
                    local.date().and_time(minute.unwrap_or_default())
                }
            };
            *starts = Some(When::Local(start).to_string());
        }
        planned(schedule).map_err(|problem| {
            let field = if schedule.rrule.is_some() { "rrule" } else { "cron" };
            wrong(field, &problem)
        })?;
        self.planner.plan_schedule(tx, schedule, now).await?;
        if schedule.next_at.is_none() && !schedule.paused {
            let owner = self.context.ports.account_directory().zone(tx).await?;
            let field = if schedule.rrule.is_some() { "rrule" } else { "cron" };
            let zone = zone_of(schedule, owner);
            return Err(wrong(field, &format!("in {zone} it never fires from now on")));
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), Problem> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    // An id must not pass for another schedule's name.
    if begins && name.len() <= 64 && name.bytes().all(plain) && uuid::Uuid::parse_str(name).is_err() {
        return Ok(());
    }
    Err(wrong(
        "name",
        "write 1 to 64 small letters, digits and hyphens, beginning with a letter, such as water-plants",
    ))
}
