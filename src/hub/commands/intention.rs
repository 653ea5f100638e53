//! `allod task`, `allod goal` and `allod schedule`.

use serde_json::{Map, Value, json};

use super::id::id as checked;
use super::{CommandError, Session};
use crate::cli::{Goal, Schedule, Task};
use crate::client::escape;
use crate::render;

const TASKS: [render::Column; 6] = [
    ("ID", "id"),
    ("TITLE", "title"),
    ("STATE", "state"),
    ("DUE", "due"),
    ("BLOCKED", "blocked"),
    ("REPEATS", "recurrence"),
];

pub(super) async fn task(session: &Session, command: Task) -> Result<(), CommandError> {
    let client = &session.client;
    match command {
        Task::Add { .. } => {
            let answer = client.post("/tasks", &new_task(command)).await?;
            session.show(&answer, |answer| said("added", answer));
        }
        Task::List {
            status,
            due_before,
            goal,
            limit,
        } => {
            let mut path = format!("/tasks?status={}&limit={limit}", escape(&status));
            for (name, value) in [("due_before", due_before), ("goal", goal)] {
                if let Some(value) = value {
                    path += &format!("&{name}={}", escape(&value));
                }
            }
            let answer = client.get(&path).await?;
            session.show(&answer, |answer| {
                render::table(
                    answer,
                    &TASKS,
                    "nothing to do here: `allod task add \"Ring Sam\" --due 2026-05-01T09:30` adds a task",
                );
                more(answer, "tasks");
            });
        }
        Task::Show { id } => {
            let answer = client.get(&format!("/tasks/{}", task_id(&id)?)).await?;
            session.show(&answer, fields);
        }
        Task::Done { id, occurrence } => {
            let body = object([("occurrence", occurrence.map(Value::from))]);
            let answer = client
                .post(&format!("/tasks/{}/complete", task_id(&id)?), &body)
                .await?;
            session.show(&answer, |answer| {
                if answer["status"] == "completed" {
                    said("done", answer);
                } else {
                    render::line(format!(
                        "done; the next one is due {}",
                        render::text(&answer["due"])
                    ));
                }
            });
        }
        Task::Reopen { id } => {
            let answer = client
                .post(&format!("/tasks/{}/reopen", task_id(&id)?), &json!({}))
                .await?;
            session.show(&answer, |answer| said("open again", answer));
        }
    }
    Ok(())
}

fn task_id(text: &str) -> Result<&str, CommandError> {
    checked("task", text, "allod task list --status all")
}

/// The body of a new task; nothing for other commands.
fn new_task(command: Task) -> Value {
    let Task::Add {
        title,
        description,
        due,
        start,
        priority,
        repeat,
        remind,
        goal,
        after,
    } = command
    else {
        return Value::Null;
    };
    object([
        ("title", Some(title.into())),
        ("description", description.map(Value::from)),
        ("due_at", due.map(Value::from)),
        ("start_at", start.map(Value::from)),
        ("priority", priority.map(Value::from)),
        ("recurrence", repeat.map(Value::from)),
        ("reminders", (!remind.is_empty()).then(|| remind.into())),
        ("goal", goal.map(Value::from)),
        ("depends_on", (!after.is_empty()).then(|| after.into())),
    ])
}

pub(super) async fn goal(session: &Session, command: Goal) -> Result<(), CommandError> {
    let client = &session.client;
    match command {
        Goal::Add {
            title,
            description,
            due,
            progress,
            parent,
        } => {
            let body = object([
                ("parent", parent.map(Value::from)),
                ("title", Some(title.into())),
                ("description", description.map(Value::from)),
                ("due_at", due.map(Value::from)),
                ("progress", progress.map(Value::from)),
            ]);
            let answer = client.post("/goals", &body).await?;
            session.show(&answer, |answer| said("added", answer));
        }
        Goal::Move { id, parent } => {
            let path = format!("/goals/{}", checked("goal", &id, "allod goal list")?);
            let answer = client.patch(&path, &json!({ "parent": parent })).await?;
            session.show(&answer, |answer| said("moved", answer));
        }
        Goal::List { status } => {
            let answer = client
                .get(&format!("/goals?limit=200&status={}", escape(&status)))
                .await?;
            session.show(&answer, |answer| {
                let columns = [
                    ("ID", "id"),
                    ("TITLE", "title"),
                    ("PROGRESS", "progress"),
                    ("STATUS", "status"),
                    ("DUE", "due"),
                ];
                render::table(
                    answer,
                    &columns,
                    "no goals here: `allod goal add \"Move house\"` adds one",
                );
                more(answer, "goals");
            });
        }
        Goal::Show { id } => {
            let answer = client
                .get(&format!("/goals/{}", checked("goal", &id, "allod goal list")?))
                .await?;
            session.show(&answer, fields);
        }
    }
    Ok(())
}

pub(super) async fn schedule(session: &Session, command: Schedule) -> Result<(), CommandError> {
    let client = &session.client;
    match command {
        Schedule::Add {
            name,
            cron,
            rrule,
            starts,
            zone,
            catch_up,
        } => {
            let body = object([
                ("name", Some(name.into())),
                ("cron", cron.map(Value::from)),
                ("rrule", rrule.map(Value::from)),
                ("starts", starts.map(Value::from)),
                ("zone", zone.map(Value::from)),
                ("catch_up", Some(catch_up.into())),
            ]);
            let answer = client.post("/schedules", &body).await?;
            session.show(&answer, next);
        }
        Schedule::List => {
            let answer = client.get("/schedules").await?;
            session.show(&answer, |answer| {
                let columns = [
                    ("NAME", "name"),
                    ("NEXT", "next_at"),
                    ("CRON", "cron"),
                    ("RRULE", "rrule"),
                    ("ZONE", "zone"),
                    ("PAUSED", "paused"),
                    ("LAST", "last_planned_at"),
                ];
                render::table(
                    answer,
                    &columns,
                    "no schedules yet: `allod schedule add morning --cron \"0 9 * * 1-5\"` adds one",
                );
            });
        }
        Schedule::Pause { name } => {
            let answer = client
                .post(&format!("/schedules/{}/pause", escape(&name)), &json!({}))
                .await?;
            session.show(&answer, |_| render::line("paused"));
        }
        Schedule::Resume { name } => {
            let answer = client
                .post(&format!("/schedules/{}/resume", escape(&name)), &json!({}))
                .await?;
            session.show(&answer, next);
        }
        Schedule::Remove { name } => {
            let answer = client.delete(&format!("/schedules/{}", escape(&name))).await?;
            session.show(&answer, |_| render::line("removed"));
        }
    }
    Ok(())
}

/// An object of the fields that are there.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let fields = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(fields.collect::<Map<String, Value>>())
}

fn said(what: &str, answer: &Value) {
    render::line(format!(
        "{what}: {}  {}",
        render::text(&answer["title"]),
        render::text(&answer["id"])
    ));
}

fn next(answer: &Value) {
    match answer["next_at"].as_str() {
        Some(at) => render::line(format!("{} fires next at {at}", render::text(&answer["name"]))),
        None => render::line(format!("{} fires no more", render::text(&answer["name"]))),
    }
}

fn more(answer: &Value, what: &str) {
    if answer["next_cursor"].is_string() {
        render::line(format!(
            "there are more {what}; `GET /api/v1/{what}` gives them in pages"
        ));
    }
}

/// Fields that are there, one a line, and lists below their name.
fn fields(answer: &Value) {
    for (key, value) in answer.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::Array(rows) if rows.iter().any(Value::is_object) => {
                render::line(format!("{key}:"));
                for row in rows {
                    render::line(format!("  {}", super::one_line(row)));
                }
            }
            Value::Array(rows) if rows.is_empty() => {}
            other => render::line(format!("{key}: {}", render::text(other))),
        }
    }
}
