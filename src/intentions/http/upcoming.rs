//! What is to come: events, due moments, reminders and schedules.

use std::sync::Arc;

use axum::extract::{Query, State};
use chrono::{DateTime, Duration, Utc};
use contracts::Problem;
use serde::{Deserialize, Serialize};
use spine::edge::{Caller, Cursor, Json, page_size};
use spine::ports::{CalendarEvent, Entity};
use uuid::Uuid;

use super::Desk;
use super::words::wrong;
use crate::model::budget::Budget;
use crate::model::happening::{Happening, Place, STEPS_MAX, Stretch, soonest};
use crate::model::plan::MomentKind;
use crate::model::when::When;
use crate::store;
use crate::store::moment::UpcomingFilter;

/// How far ahead, if it isn't said.
const AHEAD: Duration = Duration::days(7);
/// How far ahead at the most: a series has no end.
const AHEAD_MAX: Duration = Duration::days(366);

/// Until when.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpcomingQuery {
    /// An instant, or a local time or day in the owner's zone; seven days from now if not said. Events are counted for
    /// 366 days at the most.
    until: Option<String>,
    /// Of these kinds only, with commas between them: `event`, `due`, `overdue`, `reminder`, `schedule`.
    kind: Option<String>,
    /// How many at most: 1 to 200, 50 if not said.
    limit: Option<u32>,
    /// Where the list before this one ended.
    cursor: Option<String>,
}

/// A moment that is to come.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct UpcomingView {
    /// When; of a day as a whole its beginning.
    at: DateTime<Utc>,
    /// Why.
    kind: MomentKind,
    /// The event, task, goal or schedule.
    id: Uuid,
    /// Its title, or the schedule's name.
    title: String,
    /// The day, of what is due or happens on a day as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    day: Option<String>,
    /// Of a reminder: as it was said.
    reminder: Option<String>,
    /// Of an event that began before now and isn't over: when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    running_until: Option<DateTime<Utc>>,
}

/// What is to come.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct UpcomingList {
    /// Soonest first. Of each schedule the next moment only.
    items: Vec<UpcomingView>,
    /// For the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// True if the calendar has more occurrences than are counted for one list, so that events are missing: ask for less
    /// time at once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    incomplete: bool,
}

/// Lists what is to come: events, those that are running among them, due moments, reminders, and when schedules fire next.
#[utoipa::path(get, path = "/intentions/upcoming", tag = "intentions", params(UpcomingQuery), responses(
    (status = 200, body = UpcomingList),
    (status = 400, description = "The limit, cursor or kind is not one", body = Problem),
    (status = 422, description = "`until` is not a time", body = Problem),
))]
pub(crate) async fn list(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Query(query): Query<UpcomingQuery>,
) -> Result<Json<UpcomingList>, Problem> {
    let size = page_size(query.limit)?;
    let kinds = kinds(query.kind.as_deref())?;
    let after = query.cursor.as_deref().map(read_cursor).transpose()?;
    let until = query.until.as_deref().map(When::parse).transpose();
    let until = until.map_err(|problem| wrong("until", &problem))?;
    let mut tx = desk.begin(&caller).await?;
    let zone = desk.context.ports.account_directory().zone(&mut tx).await?;
    let until = until.map_or(tx.now() + AHEAD, |when| when.instant(zone));
    let filter = UpcomingFilter {
        kinds: kinds.iter().map(|kind| kind.as_str().to_owned()).collect(),
        until,
        after: after.map(|(at, kind, id)| (at, kind.as_str().to_owned(), id)),
        limit: size as i64 + 1,
    };
    let rows = store::moment::moment_upcoming(&mut tx, &filter).await?;
    let mut items: Vec<UpcomingView> = rows.into_iter().map(UpcomingView::of).collect();
    let stretch = Stretch {
        from: tx.now(),
        until: until.min(tx.now() + AHEAD_MAX),
        zone,
    };
    let events = match kinds.contains(&MomentKind::Event) {
        true => {
            let graph = desk.context.ports.graph_read();
            graph
                .calendar(&mut tx, stretch.first_day(), stretch.until)
                .await?
        }
        false => Vec::new(),
    };
    drop(tx); // counting takes a while, in which nothing shall wait in the database
    let (events, incomplete) = counted(events, stretch, (after, size + 1)).await?;
    items.extend(events);
    items.retain(|item| after.is_none_or(|after| item.place() > after));
    items.sort_by_key(UpcomingView::place);
    let more = items.len() > size;
    items.truncate(size);
    let next_cursor = items.last().filter(|_| more).map(UpcomingView::cursor);
    let mut tx = desk.begin(&caller).await?;
    tx.audit("read", "intentions", Some(items.len() as u64))?;
    tx.commit().await?;
    Ok(Json(UpcomingList {
        items,
        next_cursor,
        incomplete,
    }))
}

/// The kind of this name.
fn kind(name: &str) -> Option<MomentKind> {
    MomentKind::ALL.into_iter().find(|kind| kind.as_str() == name)
}

/// The kinds that are asked for; all if none is named.
fn kinds(named: Option<&str>) -> Result<Vec<MomentKind>, Problem> {
    let Some(named) = named else {
        return Ok(MomentKind::ALL.to_vec());
    };
    let found: Option<Vec<MomentKind>> = named.split(',').map(|name| kind(name.trim())).collect();
    found.ok_or_else(|| {
        let all = MomentKind::ALL.map(MomentKind::as_str).join(", ");
        Problem::bad_request(format!(
            "`kind` is one or several of {all}, with commas between them"
        ))
    })
}

/// A cursor is the kind before one of lists by time.
fn read_cursor(text: &str) -> Result<Place, Problem> {
    let (named, rest) = text.split_once('_').unwrap_or_default();
    let dated = Cursor::read_dated(Some(rest))?;
    kind(named)
        .zip(dated)
        .map(|(kind, (at, id))| (at, kind, id))
        .ok_or_else(|| {
            Problem::bad_request("`cursor` is not one that a list gave; leave it out to begin anew")
        })
}

impl UpcomingView {
    fn of(row: store::moment::Upcoming) -> Self {
        let is_day = |due: &String| matches!(When::parse(due), Ok(When::Day(_)));
        Self {
            at: row.at,
            kind: MomentKind::from_name(&row.kind),
            id: row.id,
            title: row.title,
            day: row.due.filter(is_day),
            reminder: row.said,
            running_until: None,
        }
    }

    fn of_event(event: &Entity, one: &Happening, stretch: Stretch) -> Self {
        Self {
            at: one.at,
            kind: MomentKind::Event,
            id: event.id.0,
            title: event.title.clone().unwrap_or_default(),
            day: matches!(one.when, When::Day(_)).then(|| one.when.to_string()),
            reminder: None,
            running_until: one.ends.filter(|_| stretch.is_running(one)),
        }
    }

    fn place(&self) -> Place {
        (self.at, self.kind, self.id)
    }

    fn cursor(&self) -> String {
        let (at, id) = (Some(self.at), self.id);
        format!("{}_{}", self.kind.as_str(), Cursor { at, id })
    }
}

/// The soonest events after a place, so many at most; true if not all were looked at.
async fn counted(
    events: Vec<CalendarEvent>,
    stretch: Stretch,
    page: (Option<Place>, usize),
) -> Result<(Vec<UpcomingView>, bool), Problem> {
    // Many series over a year are work for a while, and others have requests, too.
    let counted = tokio::task::spawn_blocking(move || {
        let found = soonest(&events, stretch, page, Budget::new(STEPS_MAX));
        let views = found.happenings.iter();
        let views = views.map(|(event, one)| UpcomingView::of_event(event, one, stretch));
        (views.collect(), found.is_incomplete)
    });
    counted.await.map_err(|error| Problem::internal(&error))
}
