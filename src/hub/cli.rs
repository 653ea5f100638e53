//! The command line: what there is to say, and what `--help` teaches. The nouns stand in files of their own.

mod data;
mod examples;
mod files;
mod graph;
mod intentions;
mod people;
mod rules;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use data::{Event, Job, State, StateChange, Stretch};
pub(crate) use examples::command;
pub(crate) use files::{Etl, Export, Import, ImportCommand, Media};
pub(crate) use graph::{Entity, EntityDeed, EntityList, Merges, Record, Relation, Timeline, Upcoming};
pub(crate) use intentions::{Goal, GoalEdit, GoalFields, Schedule, Task, TaskEdit, TaskFields, TaskList};
pub(crate) use people::{Account, Connection, Plugin, Token};
pub(crate) use rules::Rule;

/// A sovereign personal hub: your data in one graph, your rules on everything that happens.
#[derive(Debug, Parser)]
#[command(
    name = "allod",
    version,
    after_help = "Begin with:\n  allod serve            start the hub; it prints its address and a set-up link\n  \
                  allod demo             see a call answered by a rule, on the running hub\n  \
                  allod status           how the hub is doing\n\n\
                  Times are read and shown by your clock (`allod account change HANDLE --zone ZONE`), such as 2026-10-01, \
                  yesterday, monday 9:30, 2h; with --json they are RFC 3339 in UTC.\n\n\
                  Exit codes: 0 it is done; 1 it was refused, failed, or something isn't well; 2 what was typed can't be \
                  understood; 75 another hub has the data directory."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Under which head `--help` has the flags that every command takes.
const EVERYWHERE: &str = "Options of every command";

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The hub's data directory [env: ALLOD_DATA_DIR].
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// A configuration file instead of DATA_DIR/allod.toml [env: ALLOD_CONFIG].
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The account to act in, by handle or id; `instance` is the hub itself. Without it, the owner's.
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "ALLOD_ACCOUNT", value_name = "HANDLE")]
    pub(crate) account: Option<String>,
    /// Print JSON instead of text.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the hub and serve until it is stopped.
    Serve(Serve),
    /// How the hub is doing: database, log, consumers, jobs, connections.
    Status,
    /// Find out what keeps the hub from running, and what to do about it.
    Doctor,
    /// Play the main story: a call comes in while the owner is at work, and a rule answers it.
    Demo(Demo),
    /// Make, list and erase accounts.
    #[command(subcommand)]
    Account(Account),
    /// Issue, list and revoke tokens for devices and programs.
    #[command(subcommand)]
    Token(Token),
    /// Connect services: phone numbers, mailboxes, feeds.
    #[command(subcommand)]
    Connection(Connection),
    /// Look at plugin packs, and write one.
    #[command(subcommand)]
    Plugin(Plugin),
    /// Look at and add to the knowledge graph.
    #[command(subcommand)]
    Entity(Entity),
    /// Say what entities are to each other.
    #[command(subcommand)]
    Relation(Relation),
    /// What happened, newest first: everything, or around somebody or something.
    Timeline(Timeline),
    /// What is to come, soonest first: events, tasks that come due, reminders, schedules.
    Upcoming(Upcoming),
    /// Who may be one and the same: look at suggestions and answer them.
    #[command(subcommand)]
    Merges(Merges),
    /// What came in but could not be understood: look at it, and try again.
    #[command(subcommand)]
    Record(Record),
    /// Import a file: mails, contacts, calendars, an export.
    Import(Import),
    /// Export what the graph knows in one format, or all of it with the files.
    Export(Export),
    /// Keep, show and remove files: pictures, documents, recordings.
    #[command(subcommand)]
    Media(Media),
    /// Read again what came in.
    #[command(subcommand)]
    Etl(Etl),
    /// What there is to do: tasks with due, recurrence and dependence.
    #[command(subcommand)]
    Task(Task),
    /// What tasks are for, and how far it is.
    #[command(subcommand)]
    Goal(Goal),
    /// Named recurring moments that rules listen to (`on: "intention.ScheduleFired"`).
    #[command(subcommand)]
    Schedule(Schedule),
    /// The present state, such as where you are: look at it, follow it, say what is.
    State(State),
    /// Look at the event log; retry and replay.
    #[command(subcommand)]
    Event(Event),
    /// Look at jobs, retry dead letters, cancel.
    #[command(subcommand)]
    Job(Job),
    /// Check, add, run and trace rules.
    #[command(subcommand)]
    Rule(Rule),
    /// Prove that the log was not tampered with.
    #[command(subcommand)]
    Audit(Audit),
    /// Show and check the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Prepare an external database.
    #[command(subcommand)]
    Db(Db),
    /// Print completions for a shell.
    Completions {
        /// bash, zsh, fish, elvish or powershell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Serve {
    /// Where to listen [env: ALLOD_LISTEN] [default: 127.0.0.1:8640].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// The public domain, such as hub.example [env: ALLOD_DOMAIN].
    #[arg(long)]
    pub(crate) domain: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Demo {
    /// Start a hub of its own on a temporary directory, kill and restart it on the way, and fail when any step fails.
    #[arg(long)]
    pub(crate) check: bool,
    /// Kill the hub of a check at each named place on the way of a call.
    #[cfg(feature = "failpoints")]
    #[arg(long, conflicts_with = "check")]
    pub(crate) kill_points: bool,
}

impl Demo {
    /// True if the demo starts a hub of its own.
    pub(crate) fn starts_a_hub(&self) -> bool {
        #[cfg(feature = "failpoints")]
        return self.check || self.kill_points;
        #[cfg(not(feature = "failpoints"))]
        return self.check;
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Show who read, wrote and did what, and what was refused; with --account instance the hub's own.
    List(Stretch),
    /// Compute every link and signature of the log again; exits 1 when a row was changed, removed or moved.
    Verify,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the configuration that holds.
    Show,
    /// Check the configuration.
    Check,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Db {
    /// Make the hub's roles and database on the server of DATABASE_URL, as the administrator of
    /// ALLOD_DATABASE_ADMIN_URL.
    Init {
        /// Give the roles new passwords, though another hub may be using them.
        #[arg(long)]
        reset_passwords: bool,
    },
    /// Print the SQL that `init` would run, for an administrator to run by hand.
    Sql,
}
