//! `allod goal`.

use serde_json::{Map, Value, json};

use super::id::id as checked;
use super::page::{self, Query};
use super::task::{due, object, told, unset, whole, with_due};
use super::{CommandError, Session, flag};
use crate::cli::{Goal, GoalEdit, GoalFields};
use crate::render::{self, cell};
use crate::times::Toward;

pub(super) async fn run(session: &Session, command: Goal) -> Result<(), CommandError> {
    let client = &session.client;
    match command {
        Goal::Add { title, fields } => {
            let mut body = said(session, fields).await?;
            body.insert("title".to_owned(), title.into());
            let answer = client.post("/goals", &body.into()).await?;
            session.show(&answer, |answer| told("added", answer));
        }
        Goal::Edit(edit) => {
            let (path, body) = edited(session, edit).await?;
            let answer = client.patch(&path, &body.into()).await?;
            session.show(&answer, |answer| told("changed", answer));
        }
        Goal::Move { id, parent } => {
            let parent = whole(session, parent.as_deref()).await?;
            let answer = client.patch(&path(&id)?, &json!({ "parent": parent })).await?;
            session.show(&answer, |answer| told("moved", answer));
        }
        Goal::List { status, name, paging } => {
            let query = Query::default()
                .with("status", Some(&status))
                .with("name", name.as_deref());
            let answer = page::list(session, "/goals", &query, &paging).await?;
            let answer = if session.json { answer } else { with_due(answer) };
            let columns = [
                ("ID", "id"),
                ("TITLE", "title"),
                ("PROGRESS", "progress"),
                ("STATUS", "status"),
                ("DUE", "when"),
            ];
            let empty = "no goals here: `allod goal add \"Move house\"` adds one";
            page::show(session, &answer, &columns, empty);
        }
        Goal::Show { id } => {
            let answer = client.get(&path(&id)?).await?;
            session.show(&answer, shown);
        }
        Goal::Done { id } => turn(session, &id, "completed", "reached").await?,
        Goal::Cancel { id } => turn(session, &id, "cancelled", "given up").await?,
        Goal::Reopen { id } => turn(session, &id, "needs-action", "open again").await?,
    }
    Ok(())
}

fn path(id: &str) -> Result<String, CommandError> {
    Ok(format!(
        "/goals/{}",
        checked("goal", id, "allod goal list --status all")?
    ))
}

async fn turn(session: &Session, id: &str, status: &str, word: &str) -> Result<(), CommandError> {
    let answer = session
        .client
        .patch(&path(id)?, &json!({ "status": status }))
        .await?;
    session.show(&answer, |answer| told(word, answer));
    Ok(())
}

async fn said(session: &Session, fields: GoalFields) -> Result<Map<String, Value>, CommandError> {
    let parent = whole(session, fields.parent.as_deref()).await?;
    Ok(object([
        ("description", fields.description.map(Value::from)),
        (
            "due_at",
            flag::time_if("--due", fields.due.as_deref(), Toward::Future)?.map(Value::from),
        ),
        ("progress", fields.progress.map(Value::from)),
        ("parent", parent.map(Value::from)),
    ]))
}

async fn edited(session: &Session, edit: GoalEdit) -> Result<(String, Map<String, Value>), CommandError> {
    let path = path(&edit.id)?;
    let mut body = said(session, edit.fields).await?;
    body.extend(object([("title", edit.title.map(Value::from))]));
    for flag in &edit.unset {
        unset(&mut body, if flag == "due" { "due_at" } else { flag }, flag)?;
    }
    if body.is_empty() {
        return Err(CommandError::Usage(
            "nothing to change: give --title, --description, --due, --progress, --parent or --unset FIELD"
                .to_owned(),
        ));
    }
    Ok((path, body))
}

/// A goal as a page, with what is part of it.
fn shown(goal: &Value) {
    render::line(format!(
        "{}  ·  {}, {} %",
        cell(goal, "title"),
        cell(goal, "status"),
        (goal["progress"].as_f64().unwrap_or_default() * 100.0).round()
    ));
    render::line(cell(goal, "id"));
    let wholes: Vec<String> = render::list(&goal["goals"])
        .iter()
        .map(|one| format!("{} ({})", cell(one, "title"), cell(one, "id")))
        .collect();
    let tasks = format!("{} of {} done", cell(goal, "done"), cell(goal, "total"));
    for (label, value) in [
        ("due", due(goal)),
        ("about", cell(goal, "description")),
        ("part of", wholes.join(", ")),
        ("tasks", tasks),
        ("not understood", cell(goal, "problem")),
    ] {
        if !value.is_empty() {
            render::line(format!("  {label}: {value}"));
        }
    }
    for (title, key) in [("GOALS", "parts"), ("TASKS", "tasks")] {
        let rows = with_due(json!({ "items": goal[key] }));
        if !render::list(&rows).is_empty() {
            render::line(format!("\n{title}"));
            let columns = [
                ("ID", "id"),
                ("TITLE", "title"),
                ("STATUS", "status"),
                ("DUE", "when"),
            ];
            render::table(&rows, &columns, "");
        }
    }
}
