//! One file a noun: each command asks the running hub and prints what it answered.

mod account;
mod connection;
mod data;
mod event;
mod export;
mod graph;
mod id;
mod import;
mod intention;
mod job;
mod media;
mod rule;
mod state;
mod trace;

use serde_json::{Map, Value, json};

pub(crate) use rule::check as rule_check;
pub(crate) use trace::{of_run as run_trace, show as show_trace};

use crate::cli::{Audit, Command, Etl, Global};
use crate::client::{Client, ClientError};
use crate::render;

/// Why a command ended without success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The hub refused or is not there.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// What was typed can't be done; says what can.
    #[error("{0}")]
    Usage(String),
    /// What was asked for is not well: the command said so already, the exit code says it again.
    #[error("")]
    Unwell,
}

/// Everything that a command needs.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) json: bool,
}

impl Session {
    pub(crate) fn new(socket: std::path::PathBuf, global: &Global) -> Self {
        Self {
            client: Client::new(socket, global.account.clone()),
            json: global.json,
        }
    }

    /// Prints an answer: as it is with `--json`, else by `human`.
    fn show(&self, answer: &Value, human: impl FnOnce(&Value)) {
        if self.json {
            render::json(answer);
        } else {
            human(answer);
        }
    }
}

/// Runs a command that needs a running hub.
pub(crate) async fn run(session: &Session, command: Command) -> Result<(), CommandError> {
    match command {
        Command::Status => status(session).await,
        Command::Account(command) => account::run(session, command).await,
        Command::Token(command) => account::run_token(session, command).await,
        Command::Connection(command) => connection::run(session, command).await,
        Command::Entity(command) => data::run(session, command).await,
        Command::Timeline(asked) => graph::timeline(session, asked).await,
        Command::Merges(command) => graph::merges(session, command).await,
        Command::Record(command) => data::records(session, command).await,
        Command::Import(import) => import::run(session, import).await,
        Command::Export(export) => export::run(session, export).await,
        Command::Media(command) => media::run(session, command).await,
        Command::Etl(Etl::Reprocess { source }) => import::reprocess(session, source).await,
        Command::Task(command) => intention::task(session, command).await,
        Command::Goal(command) => intention::goal(session, command).await,
        Command::Schedule(command) => intention::schedule(session, command).await,
        Command::State(command) => state::run(session, command).await,
        Command::Event(command) => event::run(session, command).await,
        Command::Job(command) => job::run(session, command).await,
        Command::Rule(command) => rule::run(session, command).await,
        Command::Audit(Audit::List { limit, follow }) => event::audit(session, limit, follow).await,
        Command::Audit(Audit::Verify) => event::verify(session).await,
        Command::Serve(_)
        | Command::Doctor
        | Command::Demo(_)
        | Command::Config(_)
        | Command::Db(_)
        | Command::Completions { .. } => {
            Err(CommandError::Usage("this command runs without a hub".to_owned()))
        }
    }
}

async fn status(session: &Session) -> Result<(), CommandError> {
    let mut answer = session.client.get("/status").await?;
    let client = &session.client;
    let count = async |path: &str| -> Result<usize, CommandError> {
        Ok(render::list(&client.get(path).await?).len())
    };
    let connections: Vec<Value> = render::list(&client.get("/connections").await?)
        .iter()
        .map(|one| json!({ "name": one["name"], "plugin": one["plugin"], "health": one["health"], "reason": one["reason"] }))
        .collect();
    // At most a page of each: how many there are exactly, the commands that list them say.
    answer["failures"] = json!({
        "dead_jobs": count("/jobs?dead=true").await?,
        "parked_events": count("/events/parked").await?,
        "parked_records": count("/raw-records?status=parked&limit=50").await?,
    });
    answer["connections"] = Value::Array(connections);
    session.show(&answer, |answer| {
        for (name, part) in answer.as_object().into_iter().flatten() {
            match part {
                Value::Object(fields) => {
                    render::line(format!("{name}:"));
                    for (key, value) in fields {
                        if let Value::Array(rows) = value {
                            render::line(format!("  {key}:"));
                            for row in rows {
                                render::line(format!("    {}", one_line(row)));
                            }
                        } else {
                            render::line(format!("  {key}: {}", render::text(value)));
                        }
                    }
                }
                Value::Array(rows) if rows.is_empty() => render::line(format!("{name}: none")),
                Value::Array(rows) => {
                    render::line(format!("{name}:"));
                    for row in rows {
                        render::line(format!("  {}", one_line(row)));
                    }
                }
                other => render::line(format!("{name}: {}", render::text(other))),
            }
        }
    });
    Ok(())
}

/// An object in one line: `key value, key value`.
fn one_line(row: &Value) -> String {
    let Value::Object(fields) = row else {
        return render::text(row);
    };
    fields
        .iter()
        .map(|(key, value)| format!("{key} {}", render::text(value)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// `KEY=VALUE` arguments; a value that is JSON (a number, true, a list) counts as such.
fn assignments(arguments: &[String]) -> Result<Map<String, Value>, CommandError> {
    arguments
        .iter()
        .map(|argument| {
            let (key, value) = argument
                .split_once('=')
                .ok_or_else(|| CommandError::Usage(format!("`{argument}` should be KEY=VALUE")))?;
            let value = match serde_json::from_str(value) {
                Ok(parsed @ (Value::Number(_) | Value::Bool(_) | Value::Array(_) | Value::Object(_))) => {
                    parsed
                }
                _ => Value::String(value.to_owned()),
            };
            Ok((key.to_owned(), value))
        })
        .collect()
}
