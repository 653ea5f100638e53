//! What an entity of the graph plans: its status, its moments, and what can't be understood of it.
//!
//! Invariant: reads whatever a source wrote. A wrong value costs itself, not the task, and is named in `problems`.
//! Begin with [`Intention::read`], then [`moments`].

use chrono::{DateTime, Duration, NaiveDateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;
use spine::ports::Entity;

use super::recurrence::Recurrence;
use super::reminder::{REMINDERS_MAX, Reminder};
use super::when::When;

/// How long after a due moment a task that isn't done is overdue; one due on a day is when that day is over.
const OVERDUE_AFTER: Duration = Duration::hours(1);

/// The status of a task or goal (RFC 5545, STATUS).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Status {
    /// Not begun.
    NeedsAction,
    /// Begun.
    InProcess,
    /// Done.
    Completed,
    /// Given up.
    Cancelled,
}

impl Status {
    pub(crate) const ALL: [Self; 4] = [
        Self::NeedsAction,
        Self::InProcess,
        Self::Completed,
        Self::Cancelled,
    ];

    /// The name in the graph and the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NeedsAction => "needs-action",
            Self::InProcess => "in-process",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of this name, in any case.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str().eq_ignore_ascii_case(name.trim()))
    }

    /// Neither done nor given up.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::NeedsAction | Self::InProcess)
    }
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Task,
    Goal,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Task => "Task",
            Self::Goal => "Goal",
        }
    }

    /// The kind of this name; everything else in the graph is no intention.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Task, Self::Goal]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// A task or goal as its entity says.
#[derive(Debug, Clone)]
pub(crate) struct Intention {
    pub(crate) kind: Kind,
    pub(crate) title: String,
    pub(crate) status: Status,
    pub(crate) priority: i32,
    pub(crate) percent: Option<i32>,
    pub(crate) due: Option<When>,
    pub(crate) start: Option<When>,
    pub(crate) completed_at: Option<DateTime<Utc>>,
    pub(crate) recurrence: Option<(String, Recurrence)>,
    /// From when the recurrence counts, if it was said.
    pub(crate) recurrence_start: Option<When>,
    /// Occurrences that the series leaves out.
    pub(crate) exceptions: Vec<When>,
    /// Occurrences that the series has besides those of its rule.
    pub(crate) additions: Vec<When>,
    /// By whose clock the series recurs, if not the owner's.
    pub(crate) time_zone: Option<Tz>,
    pub(crate) reminders: Vec<(String, Reminder)>,
    /// Of a goal, by hand.
    pub(crate) progress: Option<f64>,
    pub(crate) problems: Vec<String>,
}

impl Intention {
    /// Reads an entity; `None`: it is neither a task nor a goal.
    pub(crate) fn read(entity: &Entity, zone: Tz) -> Option<Self> {
        let kind = Kind::from_name(&entity.kind)?;
        let mut problems = Vec::new();
        let said = |name: &str| entity.props.get(name).and_then(Value::as_str);
        let mut time = |name: &str| {
            let read = said(name).map(When::parse);
            read.and_then(|read| {
                read.map_err(|problem| problems.push(format!("{name}: {problem}")))
                    .ok()
            })
        };
        let (due, start) = (time("due_at"), time("start_at"));
        let (completed_at, recurrence_start) = (time("completed_at"), time("recurrence_start"));
        let status = match said("status") {
            Some(name) => Status::from_name(name).unwrap_or_else(|| {
                problems.push("status: write needs-action, in-process, completed or cancelled".to_owned());
                Status::NeedsAction
            }),
            // A VTODO with COMPLETED is done, whether it says so twice or not.
            None if completed_at.is_some() => Status::Completed,
            None => Status::NeedsAction,
        };
        let recurrence = said("recurrence").and_then(|text| match Recurrence::parse(text) {
            Ok(rule) => Some((text.to_owned(), rule)),
            Err(problem) => {
                problems.push(format!("recurrence: {problem}"));
                None
            }
        });
        let reminders = reminders(entity.props.get("reminders"), &mut problems);
        let times = |name: &str| {
            let times = entity.props.get(name).and_then(Value::as_array);
            let times = times.into_iter().flatten().filter_map(Value::as_str);
            times.filter_map(|text| When::parse(text).ok()).collect()
        };
        let (exceptions, additions) = (times("recurrence_exceptions"), times("recurrence_dates"));
        let time_zone = said("time_zone").and_then(|name| name.parse().ok());
        let number = |name: &str| entity.props.get(name).and_then(Value::as_f64);
        #[expect(clippy::cast_possible_truncation, reason = "clamped to what fits")]
        let whole = |name: &str, max: f64| number(name).map(|number| number.clamp(0.0, max) as i32);
        Some(Self {
            kind,
            title: entity.title.clone().unwrap_or_default(),
            status,
            priority: whole("priority", 9.0).unwrap_or(0),
            percent: whole("percent", 100.0),
            due,
            start: start.or(entity.starts_at.map(When::Instant)),
            completed_at: completed_at.map(|at| at.instant(zone)),
            recurrence,
            recurrence_start,
            exceptions,
            additions,
            time_zone,
            reminders,
            progress: number("progress").map(|progress| progress.clamp(0.0, 1.0)),
            problems,
        })
    }

    /// The moment by which one occurrence is told from the next: when it is due, else when it starts.
    pub(crate) fn occurrence(&self) -> Option<When> {
        self.due.or(self.start)
    }

    /// When it is overdue.
    pub(crate) fn overdue_at(&self, zone: Tz) -> Option<DateTime<Utc>> {
        match self.due? {
            When::Day(day) => Some(When::Day(day.succ_opt()?).instant(zone)),
            due => Some(due.instant(zone) + OVERDUE_AFTER),
        }
    }

    /// What a recurring task becomes when its present occurrence is done: the first one after it that hasn't passed. A
    /// series is one of starts, and of when it is due if it has none; its due keeps the distance (RFC 5545, 3.8.5.3).
    pub(crate) fn next(&self, now: DateTime<Utc>, zone: Tz) -> Option<Next> {
        let rule = self.recurrence.as_ref().map(|(_, rule)| rule);
        let zone = self.time_zone.unwrap_or(zone);
        let counted = self.start.or(self.due)?;
        let (known_by, from) = (self.occurrence()?, counted.local(zone));
        let anchor = self.anchor(counted, zone);
        let local_now = now.with_timezone(&zone).naive_local();
        let passed = match known_by {
            // Something due today is in time until the day is over.
            When::Day(_) => local_now.date().pred_opt()?.and_hms_opt(23, 59, 59)?,
            When::Instant(_) | When::Local(_) => local_now,
        };
        let after = from.max(passed - (known_by.local(zone) - from));
        let is_left_out = |at: &NaiveDateTime| self.exceptions.iter().any(|one| one.local(zone) == *at);
        let ruled = rule.and_then(|rule| {
            let mut found = rule.after(anchor.local(zone), after, zone)?;
            while is_left_out(&found) {
                found = rule.after(anchor.local(zone), found, zone)?;
            }
            Some(found)
        });
        let added = self.additions.iter().map(|one| one.local(zone));
        let added = added.filter(|at| *at > after && !is_left_out(at)).min();
        let found = ruled.into_iter().chain(added).min()?;
        let moved = |when: When| when.like(when.local(zone) + (found - from), zone);
        Some(Next {
            due: self.due.map(moved),
            start: self.start.map(moved),
            anchor,
        })
    }

    /// From when the series counts. A count that was kept as of a due moment, on which the dues fall and not the starts,
    /// is read as of the start that belonged to it.
    fn anchor(&self, counted: When, zone: Tz) -> When {
        let Some(kept) = self.recurrence_start else {
            return counted;
        };
        let (Some((_, rule)), Some(start), Some(due)) = (&self.recurrence, self.start, self.due) else {
            return kept;
        };
        let (start, due) = (start.local(zone), due.local(zone));
        let has = |at| rule.latest(kept.local(zone), at, zone) == Some(at);
        match has(due) && !has(start) {
            true => counted.like(kept.local(zone) - (due - start), zone),
            false => kept,
        }
    }
}

/// The next occurrence of a recurring task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) due: Option<When>,
    pub(crate) start: Option<When>,
    /// Where the count of occurrences began; kept with the task, since its due moves on.
    pub(crate) anchor: When,
}

fn reminders(value: Option<&Value>, problems: &mut Vec<String>) -> Vec<(String, Reminder)> {
    let said = value
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    if said.len() > REMINDERS_MAX {
        problems.push(format!(
            "reminders: {REMINDERS_MAX} are the most; the others are left out"
        ));
    }
    let mut read = Vec::new();
    for text in said.iter().take(REMINDERS_MAX) {
        match Reminder::parse(text.as_str().unwrap_or_default()) {
            Ok(reminder) => read.push((text.as_str().unwrap_or_default().to_owned(), reminder)),
            Err(problem) => problems.push(format!("reminders: {problem}")),
        }
    }
    read
}

/// Why to speak of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MomentKind {
    /// An event of a calendar begins.
    Event,
    /// Its due moment came.
    Due,
    /// It should have been done.
    Overdue,
    /// The owner wanted to be reminded.
    Reminder,
    /// A schedule fires.
    Schedule,
}

impl MomentKind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Event,
        Self::Due,
        Self::Overdue,
        Self::Reminder,
        Self::Schedule,
    ];

    /// The name in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Due => "due",
            Self::Overdue => "overdue",
            Self::Reminder => "reminder",
            Self::Schedule => "schedule",
        }
    }

    /// The kind of this name.
    pub(crate) fn from_name(name: &str) -> Self {
        match name {
            "due" => Self::Due,
            "overdue" => Self::Overdue,
            "schedule" => Self::Schedule,
            _ => Self::Reminder,
        }
    }
}

/// When to speak of a task, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) kind: MomentKind,
    /// What was said that led to it.
    pub(crate) occasion: String,
    pub(crate) at: DateTime<Utc>,
    /// Of a reminder: as it was said.
    pub(crate) said: Option<String>,
}

/// When to speak of an intention: of an open one only, and of each moment once. Of a goal nobody is reminded.
pub(crate) fn moments(intention: &Intention, zone: Tz) -> Vec<Moment> {
    if !intention.status.is_open() {
        return Vec::new();
    }
    let said_due = intention.due.map(|due| due.to_string()).unwrap_or_default();
    let moment = |kind, occasion: &str, at| Moment {
        kind,
        occasion: occasion.to_owned(),
        at,
        said: None,
    };
    let due = intention
        .due
        .map(|due| moment(MomentKind::Due, &said_due, due.instant(zone)));
    let overdue = intention
        .overdue_at(zone)
        .map(|at| moment(MomentKind::Overdue, &said_due, at));
    let is_task = intention.kind == Kind::Task;
    let reminders = intention.reminders.iter().filter(|_| is_task);
    let reminders = reminders.filter_map(|(said, reminder)| {
        let from = intention.due.or(intention.start);
        let occasion = match (reminder, from) {
            (Reminder::Offset { .. }, Some(from)) => format!("{said} of {from}"),
            _ => said.clone(),
        };
        Some(Moment {
            said: Some(said.clone()),
            ..moment(MomentKind::Reminder, &occasion, reminder.moment(from, zone)?)
        })
    });
    let mut moments: Vec<Moment> = due.into_iter().chain(overdue).chain(reminders).collect();
    moments.sort_by_key(|moment| (moment.at, moment.kind));
    moments.dedup_by(|a, b| (a.at, a.kind) == (b.at, b.kind));
    moments
}

#[cfg(test)]
mod tests;
