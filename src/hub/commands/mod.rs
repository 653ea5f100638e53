//! One file a noun: each command asks the running hub and prints what it answered.

mod account;
mod connection;
mod entity;
mod entity_page;
mod event;
mod export;
mod flag;
mod goal;
mod graph;
mod id;
mod import;
mod import_folder;
mod job;
mod media;
mod page;
mod plugin;
mod record;
mod rule;
mod schedule;
mod state;
mod task;
mod trace;

use serde_json::{Map, Value, json};

pub(crate) use page::Paging;
pub(crate) use plugin::{check as plugin_check, new as plugin_new};
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
    /// It can't be done; says why.
    #[error("{0}")]
    Failed(String),
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

    /// The zone of the account: of the one that is named, else of the hub's owner, else of the only one.
    async fn zone(&self) -> Option<chrono_tz::Tz> {
        let all = self.client.get("/accounts").await.ok()?;
        let all = render::list(&all);
        let is = |account: &Value, name: &str| {
            let handle = account["handle"].as_str().unwrap_or_default();
            handle.eq_ignore_ascii_case(name) || account["id"] == name
        };
        let found = match self.client.account() {
            Some(name) => all.iter().find(|account| is(account, name)),
            None => all
                .iter()
                .find(|account| account["is_owner"] == true)
                .or(match all {
                    [only] => Some(only),
                    _ => None,
                }),
        };
        found?["zone"].as_str()?.parse().ok()
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
    // Who can't be asked is not there for the command either, which then says why.
    if let Some(zone) = session.zone().await {
        render::live_in(zone);
    }
    match command {
        Command::Status => status(session).await,
        Command::Account(command) => account::run(session, command).await,
        Command::Token(command) => account::run_token(session, command).await,
        Command::Connection(command) => connection::run(session, command).await,
        Command::Plugin(command) => plugin::run(session, command).await,
        Command::Entity(command) => entity::run(session, command).await,
        Command::Relation(command) => graph::relation(session, command).await,
        Command::Upcoming(asked) => graph::upcoming(session, asked).await,
        Command::Timeline(asked) => graph::timeline(session, asked).await,
        Command::Merges(command) => graph::merges(session, command).await,
        Command::Record(command) => record::run(session, command).await,
        Command::Import(import) => import::run(session, import).await,
        Command::Export(export) => export::run(session, export).await,
        Command::Media(command) => media::run(session, command).await,
        Command::Etl(Etl::Reprocess { source }) => import::reprocess(session, source).await,
        Command::Task(command) => task::run(session, command).await,
        Command::Goal(command) => goal::run(session, command).await,
        Command::Schedule(command) => schedule::run(session, command).await,
        Command::State(command) => state::run(session, command).await,
        Command::Event(command) => event::run(session, command).await,
        Command::Job(command) => job::run(session, command).await,
        Command::Rule(command) => rule::run(session, command).await,
        Command::Audit(Audit::List(stretch)) => event::audit(session, &stretch).await,
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
                            render::line(format!("  {key}: {}", render::named(key, value)));
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
                other => render::line(format!("{name}: {}", render::named(name, other))),
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
        .map(|(key, value)| format!("{key} {}", render::named(key, value)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A `KEY=VALUE` argument.
fn assignment(argument: &str) -> Result<(&str, &str), CommandError> {
    argument
        .split_once('=')
        .ok_or_else(|| CommandError::Usage(format!("`{argument}` should be KEY=VALUE")))
}

/// `KEY=VALUE` arguments; a value that is JSON (a number, true, a list) counts as such.
fn assignments(arguments: &[String]) -> Result<Map<String, Value>, CommandError> {
    arguments
        .iter()
        .map(|argument| {
            let (key, value) = assignment(argument)?;
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
