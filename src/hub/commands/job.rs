//! `allod job`.

use serde_json::{Value, json};

use super::{CommandError, Session, id};
use crate::cli::Job;
use crate::client::escape;
use crate::render;

pub(super) async fn run(session: &Session, command: Job) -> Result<(), CommandError> {
    let client = &session.client;
    match command {
        Job::List { state, queue, limit } => {
            let mut path = format!("/jobs?limit={limit}");
            for (key, value) in [("state", state), ("queue", queue)] {
                if let Some(value) = value {
                    path.push_str(&format!("&{key}={}", escape(&value)));
                }
            }
            let answer = client.get(&path).await?;
            session.show(&answer, |answer| {
                let columns = [
                    ("ID", "id"),
                    ("QUEUE", "queue"),
                    ("STATE", "state"),
                    ("TRIES", "attempts"),
                    ("CREATED", "created_on"),
                    ("OUTPUT", "output"),
                ];
                render::table(answer, &columns, "no jobs");
            });
        }
        Job::Show { id } => {
            let id = id::id("job", &id, "allod job list")?;
            let answer = client.get(&format!("/jobs/{id}")).await?;
            session.show(&answer, |answer| {
                for (key, value) in answer.as_object().into_iter().flatten() {
                    render::line(format!("{key}: {}", render::text(value)));
                }
            });
        }
        Job::Retry { id } => act(session, &id, "retry").await?,
        Job::Cancel { id } => act(session, &id, "cancel").await?,
    }
    Ok(())
}

async fn act(session: &Session, id: &str, verb: &str) -> Result<(), CommandError> {
    let id = id::id("job", id, "allod job list")?;
    let answer: Value = session
        .client
        .post(&format!("/jobs/{id}/{verb}"), &json!({}))
        .await?;
    session.show(&answer, |_| render::line(format!("done: {verb}")));
    Ok(())
}
