//! What callers say of tasks and goals, read strictly: a slip is refused with what would be right.
//!
//! Invariant: what passes here is read by [`crate::model`] in the same way, without a problem.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use contracts::{EntityId, Problem};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::model::plan::Status;
use crate::model::recurrence::Recurrence;
use crate::model::reminder::{REMINDERS_MAX, Reminder};
use crate::model::when::When;

/// Tells a field that is null (take it back) from one that isn't there (leave it).
pub(super) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Properties in the making.
#[derive(Debug, Default)]
pub(super) struct Words(pub(super) Map<String, Value>);

impl Words {
    /// A field that may be taken back with null.
    fn put(&mut self, name: &str, value: Option<Option<Value>>) {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.unwrap_or(Value::Null));
        }
    }

    pub(super) fn text(&mut self, name: &str, text: Option<Option<String>>) {
        self.put(name, text.map(|text| text.map(Value::String)));
    }

    pub(super) fn time(&mut self, name: &str, text: Option<Option<String>>) -> Result<(), Problem> {
        if let Some(Some(text)) = &text {
            let when = When::parse(text).map_err(|problem| wrong(name, &problem))?;
            self.0.insert(name.to_owned(), json!(when.to_string()));
            return Ok(());
        }
        self.put(name, text.map(|_| None));
        Ok(())
    }

    pub(super) fn status(&mut self, name: Option<&str>) -> Result<Option<Status>, Problem> {
        let Some(name) = name else { return Ok(None) };
        let status = status(name)?;
        self.0.insert("status".to_owned(), json!(status.as_str()));
        Ok(Some(status))
    }

    pub(super) fn whole(
        &mut self,
        name: &str,
        number: Option<Option<i64>>,
        range: RangeInclusive<i64>,
    ) -> Result<(), Problem> {
        if let Some(number) = number.flatten().filter(|number| !range.contains(number)) {
            let (min, max) = range.into_inner();
            return Err(wrong(
                name,
                &format!("write a whole number from {min} to {max}, not {number}"),
            ));
        }
        self.put(name, number.map(|number| number.map(|number| json!(number))));
        Ok(())
    }

    pub(super) fn progress(&mut self, progress: Option<Option<f64>>) -> Result<(), Problem> {
        if progress
            .flatten()
            .is_some_and(|progress| !(0.0..=1.0).contains(&progress))
        {
            return Err(wrong(
                "progress",
                "write a number from 0 to 1, or null to count the goal's tasks",
            ));
        }
        self.put(
            "progress",
            progress.map(|progress| progress.map(|progress| json!(progress))),
        );
        Ok(())
    }

    pub(super) fn recurrence(&mut self, text: Option<Option<String>>) -> Result<(), Problem> {
        if let Some(Some(text)) = &text {
            Recurrence::parse(text).map_err(|problem| wrong("recurrence", &problem))?;
        }
        if text.is_some() {
            // Another rule counts anew, from the occurrence that the task is at then.
            self.0.insert("recurrence_start".to_owned(), Value::Null);
        }
        self.put("recurrence", text.map(|text| text.map(|text| json!(text.trim()))));
        Ok(())
    }

    pub(super) fn reminders(&mut self, reminders: Option<Option<Vec<String>>>) -> Result<(), Problem> {
        if let Some(Some(reminders)) = &reminders {
            if reminders.len() > REMINDERS_MAX {
                return Err(wrong("reminders", &format!("{REMINDERS_MAX} are the most")));
            }
            for reminder in reminders {
                Reminder::parse(reminder).map_err(|problem| wrong("reminders", &problem))?;
            }
        }
        self.put(
            "reminders",
            reminders.map(|reminders| reminders.map(|reminders| json!(reminders))),
        );
        Ok(())
    }
}

/// What a task's new status brings with it: when it was done and that all of it is, or that it isn't any more.
pub(super) fn turned(props: &mut Map<String, Value>, to: Status, was_done: bool, at: DateTime<Utc>) {
    if to == Status::Completed && !was_done {
        props.insert("completed_at".to_owned(), json!(When::Instant(at).to_string()));
        props.insert("percent".to_owned(), json!(100));
    } else if to.is_open() && was_done {
        props.insert("completed_at".to_owned(), Value::Null);
        props.entry("percent").or_insert(Value::Null);
    }
}

/// Whether what a task will be is possible as a whole.
pub(super) fn whole_task(after: &Map<String, Value>, zone: Tz) -> Result<(), Problem> {
    let time = |name: &str| {
        after
            .get(name)
            .and_then(Value::as_str)
            .and_then(|text| When::parse(text).ok())
    };
    let (start, due) = (time("start_at"), time("due_at"));
    if let (Some(start), Some(due)) = (start, due)
        && start.local(zone) > due.local(zone)
        && !matches!((start, due), (When::Local(start), When::Day(due)) if start.date() == due)
    {
        return Err(wrong(
            "start_at",
            "it is later than due_at: a task starts before it is due",
        ));
    }
    if after.get("recurrence").is_some_and(Value::is_string) && start.or(due).is_none() {
        return Err(wrong(
            "recurrence",
            "it counts from a first time: give due_at (or start_at) as well, such as 2026-05-01T09:00",
        ));
    }
    let counts_from_due = |text: &Value| {
        let read = text.as_str().and_then(|text| Reminder::parse(text).ok());
        matches!(read, Some(Reminder::Offset { .. }))
    };
    let reminders = after.get("reminders").and_then(Value::as_array);
    if start.or(due).is_none() && reminders.is_some_and(|reminders| reminders.iter().any(counts_from_due)) {
        return Err(wrong("reminders", "one counts from due_at, which is not given"));
    }
    Ok(())
}

/// Whether a series that is said now still happens: one that has ended is a slip.
pub(super) fn series_to_come(
    after: &Map<String, Value>,
    now: DateTime<Utc>,
    zone: Tz,
) -> Result<(), Problem> {
    let said = |name: &str| after.get(name).and_then(Value::as_str);
    let rule = said("recurrence").and_then(|text| Recurrence::parse(text).ok());
    let Some(until) = rule.and_then(|rule| rule.until(zone)) else {
        return Ok(());
    };
    let time = |name: &str| said(name).and_then(|text| When::parse(text).ok());
    let first = time("start_at").or(time("due_at"));
    let problem = match first.map(|first| first.local(zone)) {
        Some(first) if until < first => "it ends (UNTIL) before its first time",
        _ if until < now.with_timezone(&zone).naive_local() => "it has ended already (UNTIL)",
        _ => return Ok(()),
    };
    Err(wrong(
        "recurrence",
        &format!("{problem}: write a later UNTIL, or leave it out"),
    ))
}

/// Refuses a move of a counted series beyond its last occurrence, by which it would end unasked.
pub(super) fn count_goes_on(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    zone: Tz,
) -> Result<(), Problem> {
    let said = |props: &Map<String, Value>, name: &str| {
        props.get(name).and_then(Value::as_str).map(ToOwned::to_owned)
    };
    let time = |props, name| said(props, name).and_then(|text| When::parse(&text).ok());
    let by = said(after, "time_zone")
        .and_then(|name| name.parse().ok())
        .unwrap_or(zone);
    let rule = said(after, "recurrence").and_then(|text| Recurrence::parse(&text).ok());
    let (Some(rule), Some(began)) = (
        rule.filter(Recurrence::is_counted),
        time(after, "recurrence_start"),
    ) else {
        return Ok(());
    };
    let goes_on = |props| {
        let present = time(props, "start_at").or(time(props, "due_at"))?;
        rule.after(began.local(by), present.local(by), by)
    };
    match goes_on(before).is_some() && goes_on(after).is_none() {
        true => Err(wrong(
            "due_at",
            "that is after the last occurrence of its series, which counts them (COUNT) from its beginning",
        )
        .hint(COUNT_ANEW)),
        false => Ok(()),
    }
}

/// What to do about [`count_goes_on`].
const COUNT_ANEW: &str = "give `recurrence` as well: it then counts anew from there";

/// Refuses to give up what is done.
pub(super) fn refuse_done(
    status: Option<Status>,
    was_done: bool,
    what: &str,
    id: EntityId,
) -> Result<(), Problem> {
    match status {
        Some(Status::Cancelled) if was_done => Err(Problem::conflict(format!(
            "the {what} is done, and what is done can't be given up"
        ))
        .hint(match what {
            "task" => format!("POST /tasks/{id}/reopen opens it again first"),
            _ => format!("PATCH /goals/{id} with the status needs-action opens it again first"),
        })),
        _ => Ok(()),
    }
}

/// What it will be: what it is, with what is said now.
pub(super) fn merged(before: &Map<String, Value>, said: &Map<String, Value>) -> Map<String, Value> {
    let mut after = before.clone();
    for (name, value) in said {
        if value.is_null() {
            after.remove(name);
        } else {
            after.insert(name.clone(), value.clone());
        }
    }
    after
}

/// A title that people can read.
pub(super) fn title(title: &str) -> Result<String, Problem> {
    let title = title.trim();
    if title.is_empty() || title.len() > 500 || title.chars().any(char::is_control) {
        return Err(wrong("title", "write 1 to 500 printable characters"));
    }
    Ok(title.to_owned())
}

/// A status by its name.
pub(super) fn status(name: &str) -> Result<Status, Problem> {
    Status::from_name(name)
        .ok_or_else(|| wrong("status", "write needs-action, in-process, completed or cancelled"))
}

/// A field that can't be taken.
pub(super) fn wrong(field: &str, problem: &str) -> Problem {
    Problem::unprocessable(format!("`{field}`: {problem}"))
}
