//! What callers say of tasks and goals, read strictly: a slip is refused with what would be right.
//!
//! Invariant: what passes here is read by [`crate::model`] in the same way, without a problem.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use contracts::Problem;
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

    pub(super) fn whole(&mut self, name: &str, number: Option<Option<i64>>, max: i64) -> Result<(), Problem> {
        if let Some(Some(number)) =
            number.filter(|number| number.is_some_and(|number| !(0..=max).contains(&number)))
        {
            return Err(wrong(
                name,
                &format!("write a whole number from 0 to {max}, not {number}"),
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
