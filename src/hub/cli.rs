//! The command line: what there is to say, and what `--help` teaches.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use crate::cli_intentions::{Goal, Schedule, Task};

/// A sovereign personal hub: your data in one graph, your rules on everything that happens.
#[derive(Debug, Parser)]
#[command(
    name = "allod",
    version,
    after_help = "Begin with:\n  allod serve            start the hub; it prints its address and a set-up link\n  \
                  allod demo             see a call answered by a rule, on the running hub\n  \
                  allod status           how the hub is doing"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The hub's data directory [env: ALLOD_DATA_DIR].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// A configuration file instead of DATA_DIR/allod.toml [env: ALLOD_CONFIG].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The account to act in, by handle or id; needed when there are several.
    #[arg(long, global = true, env = "ALLOD_ACCOUNT", value_name = "HANDLE")]
    pub(crate) account: Option<String>,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
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
    /// Look at and add to the knowledge graph.
    #[command(subcommand)]
    Entity(Entity),
    /// What came in but could not be understood: look at it, and try again.
    #[command(subcommand)]
    Record(Record),
    /// What there is to do: tasks with due, recurrence and dependence.
    #[command(subcommand)]
    Task(Task),
    /// What tasks are for, and how far it is.
    #[command(subcommand)]
    Goal(Goal),
    /// Named recurring moments that rules listen to (`on: "intention.ScheduleFired"`).
    #[command(subcommand)]
    Schedule(Schedule),
    /// The present state, such as where you are.
    State {
        /// One fact, such as me.place.
        key: Option<String>,
    },
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
pub(crate) enum Account {
    /// Make an account.
    Create {
        /// The handle: letters, digits, - and _.
        handle: String,
        /// The name that people read [default: the handle].
        #[arg(long)]
        name: Option<String>,
        /// The time zone, such as Europe/Lisbon [default: UTC].
        #[arg(long)]
        zone: Option<String>,
    },
    /// List accounts.
    List,
    /// Print a new one-time set-up link for the first owner.
    SetupLink,
    /// Set an account's password, read as a line from the standard input or asked for.
    SetPassword {
        /// The handle or id.
        handle: String,
    },
    /// Erase an account with everything in it: rows, bodies, jobs, secrets. There is no way back.
    Erase {
        /// The handle or id.
        handle: String,
        /// Don't ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Issue a token; its secret is shown this once.
    Create {
        /// device (reports to /device-events) or api (uses /api/v1).
        #[arg(long, default_value = "api")]
        kind: String,
        /// What it is for, such as "Alice's phone".
        name: String,
    },
    /// List tokens.
    List,
    /// Revoke a token.
    Revoke {
        /// The token's id.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Connection {
    /// List the plugins that can be connected.
    Plugins,
    /// Connect a plugin.
    Add {
        /// The plugin's id, such as twilio.
        plugin: String,
        /// What you call it [default: the plugin's id].
        #[arg(long)]
        name: Option<String>,
        /// A setting.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        settings: Vec<String>,
        /// A secret to ask for, or to read as a line from the standard input; never given as an argument.
        #[arg(long = "secret", value_name = "NAME")]
        secrets: Vec<String>,
        /// A private address range that it may reach, such as 192.168.1.0/24; none is allowed by itself.
        #[arg(long = "allow-range", value_name = "CIDR")]
        ranges: Vec<String>,
    },
    /// List connections with their health.
    List,
    /// Show a connection: settings, health, webhook addresses.
    Show {
        /// The connection's id.
        id: String,
    },
    /// Ask the provider whether the settings and secrets are right.
    Test {
        /// The connection's id.
        id: String,
    },
    /// Pause a connection.
    Pause {
        /// The connection's id.
        id: String,
    },
    /// Let a paused connection go on.
    Resume {
        /// The connection's id.
        id: String,
    },
    /// Fetch what the provider may have said while the hub was away.
    Reconcile {
        /// The connection's id.
        id: String,
    },
    /// Remove a connection with its secrets; what it brought stays.
    Remove {
        /// The connection's id.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Entity {
    /// List entities.
    List {
        /// Only of this type, such as Person.
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show an entity with where each value comes from.
    Show {
        /// The entity's id, or `me`.
        id: String,
    },
    /// Add an entity, such as a person or a place.
    Add {
        /// The type, such as Person or Place.
        kind: String,
        /// The name.
        name: String,
        /// A phone number in international form.
        #[arg(long)]
        tel: Vec<String>,
        /// An e-mail address.
        #[arg(long)]
        email: Vec<String>,
        /// What it is to you, such as partner.
        #[arg(long)]
        relation: Option<String>,
        /// Another property.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        props: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Record {
    /// List records that are parked, with the reason.
    Parked,
    /// Read a parked record again, after an upgrade or a mended setting.
    Retry {
        /// The record's id.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Event {
    /// Show the newest events, and with --follow those that come.
    Tail {
        /// Only what one occurrence set off.
        #[arg(long)]
        correlation: Option<String>,
        /// Only of these types.
        #[arg(long = "type", value_name = "TYPE")]
        types: Vec<String>,
        /// How many.
        #[arg(long, short = 'n', default_value_t = 50)]
        limit: u32,
        /// Go on with new events until stopped.
        #[arg(long, short = 'f')]
        follow: bool,
    },
    /// List events that a consumer could not handle.
    Parked,
    /// Handle a parked event again.
    Retry {
        /// The consumer that parked it.
        consumer: String,
        /// The event's id.
        event: String,
    },
    /// Let a consumer read the log again from a position.
    Replay {
        /// The consumer.
        consumer: String,
        /// After this position; 0 for everything.
        #[arg(long)]
        after: i64,
        /// live or backfill.
        #[arg(long, default_value = "live")]
        lane: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Job {
    /// List jobs, newest first.
    List {
        /// Only in this state: created, retry, active, completed, cancelled, failed.
        #[arg(long)]
        state: Option<String>,
        /// Only of this queue.
        #[arg(long)]
        queue: Option<String>,
        /// How many.
        #[arg(long, short = 'n', default_value_t = 50)]
        limit: u32,
    },
    /// Show a job.
    Show {
        /// The job's id.
        id: String,
    },
    /// Run a failed or dead job again.
    Retry {
        /// The job's id.
        id: String,
    },
    /// Cancel a job that waits or runs.
    Cancel {
        /// The job's id.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Rule {
    /// List rules, and the ones that come with the hub.
    List,
    /// Check rule files without a hub; exits 1 when one has a mistake.
    Check {
        /// Files, or - for the standard input.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Add or change a rule; it is checked first.
    Add {
        /// The file.
        file: PathBuf,
    },
    /// Show a rule's source.
    Show {
        /// The rule's id.
        id: String,
    },
    /// Let a rule run; a shipped one is installed by it.
    Enable {
        /// The rule's id.
        id: String,
        /// An input of the rule.
        #[arg(long = "input", value_name = "KEY=VALUE")]
        inputs: Vec<String>,
    },
    /// Stop a rule from running.
    Disable {
        /// The rule's id.
        id: String,
    },
    /// Remove a rule; its runs stay.
    Remove {
        /// The rule's id.
        id: String,
    },
    /// Try a rule on an event without doing anything.
    Run {
        /// The rule's id.
        id: String,
        /// An event of the log, by id.
        #[arg(long, conflicts_with = "body")]
        event: Option<String>,
        /// An event made up here, as JSON.
        #[arg(long, value_name = "JSON")]
        body: Option<String>,
    },
    /// List runs, newest first.
    Runs {
        /// Only of this rule.
        #[arg(long)]
        rule: Option<String>,
        /// How many.
        #[arg(long, short = 'n', default_value_t = 20)]
        limit: u32,
    },
    /// Show everything about a run: what came in, each value, what was queued, what was answered.
    Trace {
        /// The run's id.
        run: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
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
