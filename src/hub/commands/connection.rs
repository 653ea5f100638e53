//! `allod connection`.

use std::io::{BufRead, IsTerminal, Write};

use serde_json::{Map, Value, json};

use super::{CommandError, Session, assignments, one_line};
use crate::cli::Connection;
use crate::client::escape;
use crate::render;

pub(super) async fn run(session: &Session, command: Connection) -> Result<(), CommandError> {
    let client = &session.client;
    match command {
        Connection::Plugins => {
            let answer = client.get("/plugins").await?;
            session.show(&answer, |answer| {
                let columns = [
                    ("PLUGIN", "id"),
                    ("VERSION", "version"),
                    ("KIND", "kind"),
                    ("WHAT", "description"),
                ];
                render::table(answer, &columns, "no plugin packs are installed");
            });
        }
        Connection::Add {
            plugin,
            name,
            settings,
            secrets,
            ranges,
        } => {
            let body = json!({
                "plugin": plugin,
                "name": name.unwrap_or_else(|| plugin.clone()),
                "settings": assignments(&settings)?,
                "secrets": read_secrets(&secrets)?,
                "allowed_ranges": ranges,
            });
            let answer = client.post("/connections", &body).await?;
            session.show(&answer, show);
        }
        Connection::List => {
            let answer = client.get("/connections").await?;
            session.show(&answer, |answer| {
                let columns = [
                    ("ID", "id"),
                    ("PLUGIN", "plugin"),
                    ("NAME", "name"),
                    ("HEALTH", "health"),
                    ("WHY", "reason"),
                ];
                render::table(
                    answer,
                    &columns,
                    "nothing is connected yet: `allod connection plugins` lists what can be",
                );
            });
        }
        Connection::Show { id } => {
            let answer = client.get(&format!("/connections/{}", escape(&id))).await?;
            session.show(&answer, show);
        }
        Connection::Secret { id, secrets } => {
            let path = format!("/connections/{}/secrets", escape(&id));
            let answer = client.put(&path, &read_secrets(&secrets)?.into()).await?;
            session.show(&answer, |_| render::line(format!("set: {}", secrets.join(", "))));
        }
        Connection::Test { id } => {
            let answer = client
                .post(&format!("/connections/{}/test", escape(&id)), &json!({}))
                .await?;
            session.show(&answer, show);
        }
        Connection::Pause { id } => act(session, &id, "pause").await?,
        Connection::Resume { id } => act(session, &id, "resume").await?,
        Connection::Reconcile { id } => act(session, &id, "reconcile").await?,
        Connection::Remove { id } => {
            client.delete(&format!("/connections/{}", escape(&id))).await?;
            session.show(&json!({ "removed": id }), |_| {
                render::line("the connection and its secrets are removed");
            });
        }
    }
    Ok(())
}

async fn act(session: &Session, id: &str, verb: &str) -> Result<(), CommandError> {
    let answer = session
        .client
        .post(&format!("/connections/{}/{verb}", escape(id)), &json!({}))
        .await?;
    session.show(&answer, |_| render::line(format!("done: {verb}")));
    Ok(())
}

fn show(connection: &Value) {
    for (key, value) in connection.as_object().into_iter().flatten() {
        match value {
            Value::Array(rows) => {
                render::line(format!("{key}:"));
                for row in rows {
                    render::line(format!("  {}", one_line(row)));
                }
            }
            Value::Object(_) => render::line(format!("{key}: {}", one_line(value))),
            other => render::line(format!("{key}: {}", render::text(other))),
        }
    }
}

/// Asks at a terminal, else reads one line for each, in order.
#[expect(clippy::print_stderr, reason = "a question to the person at the terminal")]
pub(super) fn read_secrets(names: &[String]) -> Result<Map<String, Value>, CommandError> {
    let stdin = std::io::stdin();
    let mut secrets = Map::new();
    for name in names {
        if stdin.is_terminal() {
            eprint!("{name} (shown while you type): ");
            std::io::stderr()
                .flush()
                .map_err(|error| CommandError::Usage(error.to_string()))?;
        }
        let mut line = String::new();
        stdin
            .lock()
            .read_line(&mut line)
            .map_err(|error| CommandError::Usage(error.to_string()))?;
        let secret = line.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err(CommandError::Usage(format!(
                "no {name} was given on the standard input"
            )));
        }
        secrets.insert(name.clone(), Value::String(secret.to_owned()));
    }
    Ok(secrets)
}
