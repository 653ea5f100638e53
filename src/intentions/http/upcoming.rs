//! What is planned: the next due moments, reminders and schedules.

use std::sync::Arc;

use axum::extract::{Query, State};
use chrono::{DateTime, Duration, Utc};
use contracts::Problem;
use serde::{Deserialize, Serialize};
use spine::edge::{Caller, Json, page_size};
use uuid::Uuid;

use super::Desk;
use super::words::wrong;
use crate::model::plan::MomentKind;
use crate::model::when::When;
use crate::store;

/// How far ahead, if it isn't said.
const AHEAD: Duration = Duration::days(7);

/// Until when.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpcomingQuery {
    /// An instant, or a local time or day in the owner's zone; seven days from now if not said.
    until: Option<String>,
    /// How many at most: 1 to 200, 50 if not said.
    limit: Option<u32>,
}

/// A planned moment.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct UpcomingView {
    /// When.
    at: DateTime<Utc>,
    /// Why.
    kind: MomentKind,
    /// The task or schedule.
    id: Uuid,
    /// The task's title or the schedule's name.
    title: String,
    /// Of a reminder: as it was said.
    reminder: Option<String>,
}

/// What is planned.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct UpcomingList {
    /// Earliest first. Of each schedule the next moment only.
    items: Vec<UpcomingView>,
}

/// Lists what is planned: due moments, reminders, and when schedules fire next.
#[utoipa::path(get, path = "/intentions/upcoming", tag = "intentions", params(UpcomingQuery), responses(
    (status = 200, body = UpcomingList),
    (status = 400, description = "The limit is not one", body = Problem),
    (status = 422, description = "`until` is not a time", body = Problem),
))]
pub(crate) async fn list(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Query(query): Query<UpcomingQuery>,
) -> Result<Json<UpcomingList>, Problem> {
    let limit = page_size(query.limit)?;
    let until = query.until.as_deref().map(When::parse).transpose();
    let until = until.map_err(|problem| wrong("until", &problem))?;
    let mut tx = desk.begin(&caller).await?;
    let zone = desk.context.ports.account_directory().zone(&mut tx).await?;
    let until = until.map_or(tx.now() + AHEAD, |when| when.instant(zone));
    let rows = store::moment::moment_upcoming(&mut tx, until, limit as i64).await?;
    let view = |row: store::moment::Upcoming| UpcomingView {
        at: row.at,
        kind: MomentKind::from_name(&row.kind),
        id: row.id,
        title: row.title,
        reminder: row.said,
    };
    let items: Vec<UpcomingView> = rows.into_iter().map(view).collect();
    tx.audit("read", "intentions", Some(items.len() as u64))?;
    tx.commit().await?;
    Ok(Json(UpcomingList { items }))
}
