//! `allod connection`.

use serde_json::{Map, Value, json};

use super::{CommandError, Session, assignments, id, one_line};
use crate::cli::Connection;
use crate::{render, terminal};

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
            let id = id::connection(session, &id).await?;
            let answer = client.get(&format!("/connections/{id}")).await?;
            session.show(&answer, show);
        }
        Connection::Secret { id, secrets } => {
            let id = id::connection(session, &id).await?;
            let path = format!("/connections/{id}/secrets");
            let answer = client.put(&path, &read_secrets(&secrets)?.into()).await?;
            session.show(&answer, |_| render::line(format!("set: {}", secrets.join(", "))));
        }
        Connection::Reauthorise { id } => {
            let id = id::connection(session, &id).await?;
            let names = needed_secrets(session, &id).await?;
            let path = format!("/connections/{id}/secrets");
            let answer = client.put(&path, &read_secrets(&names)?.into()).await?;
            session.show(&answer, |_| render::line(format!("set: {}", names.join(", "))));
        }
        Connection::Diagnose { id } => {
            let id = id::connection(session, &id).await?;
            let answer = client.get(&format!("/connections/{id}/diagnostics")).await?;
            session.show(&answer, |answer| {
                render::line(serde_json::to_string_pretty(answer).unwrap_or_default());
            });
        }
        Connection::Test { id } => {
            let id = id::connection(session, &id).await?;
            let answer = client
                .post(&format!("/connections/{id}/test"), &json!({}))
                .await?;
            session.show(&answer, show);
            if answer["ok"] == false {
                return Err(CommandError::Unwell);
            }
        }
        Connection::Pause { id } => act(session, &id, "pause").await?,
        Connection::Resume { id } => act(session, &id, "resume").await?,
        Connection::Sync { id, stream, whole } => {
            let id = id::connection(session, &id).await?;
            let path = format!("/connections/{id}/sync");
            let body = json!({ "stream": stream, "whole": whole });
            let answer = client.post(&path, &body).await?;
            session.show(&answer, |_| {
                render::line(format!(
                    "reading; `allod connection show {id}` says how far it is"
                ));
            });
        }
        Connection::Reconcile { id } => act(session, &id, "reconcile").await?,
        Connection::Remove { id } => {
            let id = id::connection(session, &id).await?;
            client.delete(&format!("/connections/{id}")).await?;
            session.show(&json!({ "removed": id }), |_| {
                render::line("the connection and its secrets are removed");
            });
        }
    }
    Ok(())
}

async fn act(session: &Session, id: &str, verb: &str) -> Result<(), CommandError> {
    let id = id::connection(session, id).await?;
    let answer = session
        .client
        .post(&format!("/connections/{id}/{verb}"), &json!({}))
        .await?;
    session.show(&answer, |_| render::line(format!("done: {verb}")));
    Ok(())
}

fn show(connection: &Value) {
    for (key, value) in connection.as_object().into_iter().flatten() {
        match value {
            Value::Array(webhooks) if key == "webhooks" => addresses(webhooks),
            Value::Array(streams) if key == "streams" => reading(streams),
            Value::Array(rows) => {
                render::line(format!("{key}:"));
                for row in rows {
                    render::line(format!("  {}", one_line(row)));
                }
            }
            Value::Object(_) => render::line(format!("{key}: {}", one_line(value))),
            other => render::line(format!("{key}: {}", render::named(key, other))),
        }
    }
}

/// What it reads, how far it is, and what hinders it.
fn reading(streams: &[Value]) {
    render::line("\nstreams:");
    for stream in streams {
        let cell = |path| render::cell(stream, path);
        let part = match stream["part"].as_str() {
            Some(_) => format!(" {}", cell("part")),
            None => String::new(),
        };
        let stands = if stream["failures"].as_i64().unwrap_or(0) > 0 {
            format!(
                "{} ({}, next try {})",
                cell("reason"),
                cell("class"),
                cell("next_at")
            )
        } else if stream["under_way"] == true {
            cell("progress")
        } else if stream["read_at"].is_null() {
            "not read yet".to_owned()
        } else {
            format!(
                "read {}, {} records, {} parked",
                cell("read_at"),
                cell("taken"),
                cell("parked")
            )
        };
        render::line(format!("  {}{part}: {stands}", cell("name")));
    }
}

/// What its owner has to enter at the provider.
fn addresses(webhooks: &[Value]) {
    let mut webhooks = webhooks
        .iter()
        .filter(|webhook| webhook["url"].is_string())
        .peekable();
    if webhooks.peek().is_none() {
        return;
    }
    render::line("\nenter these addresses at the provider:");
    for webhook in webhooks {
        let cell = |path| render::cell(webhook, path);
        render::line(format!("  {}", cell("description")));
        render::line(format!("    {}  {}", cell("methods"), cell("url")));
    }
}

/// The names of the secrets that a connection's plugin can't be without.
async fn needed_secrets(session: &Session, id: &str) -> Result<Vec<String>, CommandError> {
    let connection = session.client.get(&format!("/connections/{id}")).await?;
    let plugins = session.client.get("/plugins").await?;
    let plugin = plugins
        .as_array()
        .and_then(|all| all.iter().find(|plugin| plugin["id"] == connection["plugin"]));
    let secrets = plugin.and_then(|plugin| plugin["secrets"].as_array()).cloned();
    let needed: Vec<String> = secrets
        .unwrap_or_default()
        .iter()
        .filter(|secret| secret["required"] == true)
        .filter_map(|secret| secret["name"].as_str().map(ToOwned::to_owned))
        .collect();
    if needed.is_empty() {
        return Err(CommandError::Usage(
            "the plugin needs no secret; `allod connection secret` sets one that it may have".to_owned(),
        ));
    }
    Ok(needed)
}

/// Asks at a terminal, else reads one line for each, in order.
pub(super) fn read_secrets(names: &[String]) -> Result<Map<String, Value>, CommandError> {
    let mut secrets = Map::new();
    for name in names {
        let secret = terminal::secret(name).map_err(|error| CommandError::Usage(error.to_string()))?;
        if secret.is_empty() {
            return Err(CommandError::Usage(format!(
                "no {name} was given on the standard input"
            )));
        }
        secrets.insert(name.clone(), Value::String(secret));
    }
    Ok(secrets)
}
