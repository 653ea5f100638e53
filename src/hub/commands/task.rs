//! `allod task`.

use serde_json::{Map, Value, json};

use super::id::{id as checked, titled};
use super::page::{self, Query};
use super::{CommandError, Session, flag};
use crate::cli::{Task, TaskEdit, TaskFields, TaskList};
use crate::client::escape;
use crate::render::{self, cell};
use crate::times::Toward;

const TASKS: [render::Column; 6] = [
    ("ID", "id"),
    ("TITLE", "title"),
    ("STATE", "state"),
    ("DUE", "when"),
    ("BLOCKED", "waits"),
    ("REPEATS", "recurrence"),
];

pub(super) async fn run(session: &Session, command: Task) -> Result<(), CommandError> {
    let client = &session.client;
    match command {
        Task::Add { title, fields } => {
            let mut body = said(session, fields).await?;
            body.insert("title".to_owned(), title.into());
            let answer = client.post("/tasks", &body.into()).await?;
            session.show(&answer, |answer| told("added", answer));
        }
        Task::List(asked) => list(session, asked).await?,
        Task::Show { id } => {
            let answer = client.get(&path(&id)?).await?;
            session.show(&answer, shown);
        }
        Task::Edit(edit) => {
            let (path, body) = edited(session, edit).await?;
            let answer = client.patch(&path, &body.into()).await?;
            session.show(&answer, |answer| told("changed", answer));
        }
        Task::Done { id, occurrence } => {
            let occurrence = flag::time_if("--occurrence", occurrence.as_deref(), Toward::Past)?;
            let body = occurrence.map_or_else(|| json!({}), |due| json!({ "occurrence": due }));
            let answer = client.post(&format!("{}/complete", path(&id)?), &body).await?;
            session.show(&answer, |answer| {
                if answer["status"] == "completed" {
                    told("done", answer);
                } else {
                    render::line(format!("done; the next one is due {}", due(answer)));
                }
            });
        }
        Task::Reopen { id } => reopen(session, &id).await?,
        Task::Cancel { id } => {
            let answer = client
                .patch(&path(&id)?, &json!({ "status": "cancelled" }))
                .await?;
            session.show(&answer, |answer| {
                told("given up", answer);
                render::note(format!("to take it back: allod task reopen {id}"));
            });
        }
    }
    Ok(())
}

/// The path of a task by the id that was typed.
fn path(id: &str) -> Result<String, CommandError> {
    Ok(format!(
        "/tasks/{}",
        checked("task", id, "allod task list --status all")?
    ))
}

async fn list(session: &Session, asked: TaskList) -> Result<(), CommandError> {
    let due_before = flag::time_if("--due-before", asked.due_before.as_deref(), Toward::Future)?;
    let goal = whole(session, asked.goal.as_deref()).await?;
    let query = Query::default()
        .with("status", Some(&asked.status))
        .with("name", asked.name.as_deref())
        .with("due_before", due_before.as_deref())
        .with("goal", goal.as_deref());
    let answer = page::list(session, "/tasks", &query, &asked.paging).await?;
    let answer = if session.json { answer } else { with_due(answer) };
    let empty = "nothing to do here: `allod task add \"Ring Sam\" --due \"tomorrow 9:30\"` adds a task, `allod task list \
                 --status all` lists what was done";
    page::show(session, &answer, &TASKS, empty);
    Ok(())
}

/// A list of tasks or goals with their due as `when`, and whether they wait.
pub(super) fn with_due(mut answer: Value) -> Value {
    for row in answer["items"].as_array_mut().into_iter().flatten() {
        row["when"] = due(row).into();
        row["waits"] = if row["blocked"] == true { "yes" } else { "" }.into();
    }
    answer
}

/// When a task or goal is due: a day, or the moment by the owner's clock.
pub(super) fn due(row: &Value) -> String {
    render::when(&row["due"], &row["due_at"])
}

/// The id of the goal that a task or another goal is part of, by its id or title.
pub(super) async fn whole(session: &Session, named: Option<&str>) -> Result<Option<String>, CommandError> {
    match named {
        Some(named) => titled(session, "goal", named).await.map(Some),
        None => Ok(None),
    }
}

/// The fields that were given, as the hub takes them.
async fn said(session: &Session, fields: TaskFields) -> Result<Map<String, Value>, CommandError> {
    let remind: Vec<String> = fields
        .remind
        .iter()
        .map(|text| flag::reminder(text))
        .collect::<Result<_, _>>()?;
    let goal = whole(session, fields.goal.as_deref()).await?;
    let mut after = Vec::new();
    for task in &fields.after {
        after.push(titled(session, "task", task).await?);
    }
    Ok(object([
        ("description", fields.description.map(Value::from)),
        (
            "due_at",
            flag::time_if("--due", fields.due.as_deref(), Toward::Future)?.map(Value::from),
        ),
        (
            "start_at",
            flag::time_if("--start", fields.start.as_deref(), Toward::Future)?.map(Value::from),
        ),
        ("priority", fields.priority.map(Value::from)),
        ("recurrence", fields.repeat.map(Value::from)),
        ("reminders", (!remind.is_empty()).then(|| remind.into())),
        ("goal", goal.map(Value::from)),
        ("depends_on", (!after.is_empty()).then(|| after.into())),
    ]))
}

async fn edited(session: &Session, edit: TaskEdit) -> Result<(String, Map<String, Value>), CommandError> {
    let path = path(&edit.id)?;
    let mut body = said(session, edit.fields).await?;
    body.extend(object([
        ("title", edit.title.map(Value::from)),
        ("percent", edit.percent.map(Value::from)),
        ("status", edit.status.map(Value::from)),
    ]));
    for flag in &edit.unset {
        let name = match flag.as_str() {
            "due" => "due_at",
            "start" => "start_at",
            "repeat" => "recurrence",
            "remind" => "reminders",
            name => name,
        };
        unset(&mut body, name, flag)?;
    }
    if body.is_empty() {
        return Err(CommandError::Usage(
            "nothing to change: give --title, --due, --priority … or --unset FIELD; `allod task edit --help` lists them"
                .to_owned(),
        ));
    }
    Ok((path, body))
}

/// Takes a field back, unless it is set as well.
pub(super) fn unset(body: &mut Map<String, Value>, name: &str, flag: &str) -> Result<(), CommandError> {
    if body
        .insert(name.to_owned(), Value::Null)
        .is_some_and(|value| !value.is_null())
    {
        return Err(CommandError::Usage(format!(
            "--{flag} and --unset {flag} exclude each other"
        )));
    }
    Ok(())
}

/// Opens a task again, and says what that undid. The occurrence is named, so that typing it twice undoes one.
async fn reopen(session: &Session, id: &str) -> Result<(), CommandError> {
    let path = path(id)?;
    let before = session.client.get(&path).await?;
    let was_open = matches!(before["status"].as_str(), Some("needs-action" | "in-process"));
    let last = before["completions"][0]["occurrence"].as_str();
    let back = last.filter(|last| was_open && before["recurrence"].is_string() && !last.is_empty());
    let named = back
        .map(|last| format!("?occurrence={}", escape(last)))
        .unwrap_or_default();
    let answer = session
        .client
        .post(&format!("{path}/reopen{named}"), &json!({}))
        .await?;
    session.show(&answer, |answer| {
        if back.is_some() {
            render::line(format!(
                "{} is due {} again: that wasn't done",
                cell(answer, "title"),
                due(answer)
            ));
        } else if was_open && before["recurrence"].is_string() {
            render::line(format!(
                "{} is open: no occurrence of it was done yet",
                cell(answer, "title")
            ));
        } else if was_open {
            told("open already", answer);
        } else {
            told("open again", answer);
        }
    });
    Ok(())
}

/// A task as a page.
fn shown(task: &Value) {
    render::line(format!("{}  ·  {}", cell(task, "title"), cell(task, "state")));
    render::line(cell(task, "id"));
    let days = |key: &str| {
        let words: Vec<String> = render::list(&task[key]).iter().map(render::text).collect();
        words.join(", ")
    };
    let named = |key: &str| {
        let one = |one: &Value| format!("{} ({})", cell(one, "title"), cell(one, "id"));
        render::list(&task[key])
            .iter()
            .map(one)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let priority = cell(task, "priority");
    for (label, value) in [
        ("due", due(task)),
        ("starts", cell(task, "starts_at")),
        ("done", cell(task, "completed_at")),
        ("repeats", cell(task, "recurrence")),
        ("reminders", days("reminders")),
        ("priority", if priority == "0" { String::new() } else { priority }),
        ("percent", cell(task, "percent")),
        ("part of", named("goals")),
        ("about", cell(task, "description")),
        ("not understood", cell(task, "problem")),
    ] {
        if !value.is_empty() {
            render::line(format!("  {label}: {value}"));
        }
    }
    for one in render::list(&task["depends_on"]) {
        let (title, status, id) = (cell(one, "title"), cell(one, "status"), cell(one, "id"));
        render::line(format!("  after: {title}, {status} ({id})"));
    }
    let done = render::list(&task["completions"]);
    if !done.is_empty() {
        render::line("\nWAS DONE");
        for one in done {
            let occurrence = render::when(&one["occurrence"], &one["occurrence"]);
            render::line(format!("  {occurrence}  at {}", cell(one, "completed_at")));
        }
    }
}

/// An object of the fields that are there.
pub(super) fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    let fields = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    fields.collect()
}

/// What became of a task or goal.
pub(super) fn told(what: &str, answer: &Value) {
    let due = due(answer);
    let due = if due.is_empty() {
        due
    } else {
        format!(", due {due}")
    };
    render::line(format!(
        "{what}: {}  {}{due}",
        cell(answer, "title"),
        cell(answer, "id")
    ));
}
