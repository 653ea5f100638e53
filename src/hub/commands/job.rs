//! `allod job`.

use serde_json::{Value, json};

use super::page::{self, Query};
use super::{CommandError, Session, id};
use crate::cli::Job;
use crate::render;

pub(super) async fn run(session: &Session, command: Job) -> Result<(), CommandError> {
    let client = &session.client;
    match command {
        Job::List {
            state,
            queue,
            dead,
            paging,
        } => {
            let query = Query::default()
                .with("state", state.as_deref())
                .with("queue", queue.as_deref())
                .with("dead", dead.then_some("true"));
            let answer = page::list(session, "/jobs", &query, &paging).await?;
            let columns = [
                ("ID", "id"),
                ("QUEUE", "queue"),
                ("STATE", "state"),
                ("TRIES", "attempts"),
                ("CREATED", "created_on"),
                ("OUTPUT", "output"),
            ];
            page::show(
                session,
                &answer,
                &columns,
                "no jobs like that: there is nothing to be done or mended",
            );
        }
        Job::Show { id } => {
            let id = id::id("job", &id, "allod job list")?;
            let answer = client.get(&format!("/jobs/{id}")).await?;
            session.show(&answer, |answer| {
                for (key, value) in answer.as_object().into_iter().flatten() {
                    render::line(format!("{key}: {}", render::named(key, value)));
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
