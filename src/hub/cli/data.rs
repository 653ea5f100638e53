//! Events, jobs and facts.

use clap::{Args, Subcommand};

use crate::commands::Paging;

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
        #[command(flatten)]
        stretch: Stretch,
    },
    /// List events that a consumer could not handle.
    Parked {
        #[command(flatten)]
        paging: Paging,
    },
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
        /// Which lane: what happens, or what is read again.
        #[arg(long, default_value = "live", value_parser = ["live", "backfill"])]
        lane: String,
    },
}

/// Which part of the log.
#[derive(Debug, Args)]
pub(crate) struct Stretch {
    /// How many.
    #[arg(long, short = 'n', default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
    /// The newest before this position, instead of the newest of all.
    #[arg(long, value_name = "POSITION", conflicts_with = "follow")]
    pub(crate) before: Option<String>,
    /// Go on with new ones until stopped.
    #[arg(long, short = 'f')]
    pub(crate) follow: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Job {
    /// List jobs, newest first.
    List {
        /// Only in this state.
        #[arg(long, value_parser = ["created", "retry", "active", "completed", "cancelled", "failed"])]
        state: Option<String>,
        /// Only of this queue.
        #[arg(long)]
        queue: Option<String>,
        /// Only dead letters: what was given up.
        #[arg(long)]
        dead: bool,
        #[command(flatten)]
        paging: Paging,
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

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct State {
    /// One fact, such as me.place.
    pub(crate) key: Option<String>,
    /// Only facts whose names begin so, such as home.
    #[arg(long, conflicts_with = "key")]
    pub(crate) prefix: Option<String>,
    /// What it was, newest first.
    #[arg(long, requires = "key", conflicts_with = "follow")]
    pub(crate) history: bool,
    /// Of the history: only what held after this time, such as yesterday.
    #[arg(long, value_name = "TIME", requires = "history", allow_hyphen_values = true)]
    pub(crate) since: Option<String>,
    /// Of the history: only what held before this time.
    #[arg(long, value_name = "TIME", requires = "history", allow_hyphen_values = true)]
    pub(crate) until: Option<String>,
    #[command(flatten)]
    pub(crate) paging: Paging,
    /// Show what changes as it happens.
    #[arg(long, short)]
    pub(crate) follow: bool,
    #[command(subcommand)]
    pub(crate) change: Option<StateChange>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StateChange {
    /// Say what something is now.
    Set {
        /// Such as home.temperature.
        key: String,
        /// A text, or JSON: a number, true, false or an object.
        #[arg(allow_hyphen_values = true)]
        value: String,
        /// What it is measured in.
        #[arg(long)]
        unit: Option<String>,
        /// How long it holds, such as 30m.
        #[arg(long)]
        valid_for: Option<String>,
    },
    /// Say that something is not so: it is unknown until the next reading.
    Retract {
        /// Such as me.place.
        key: String,
    },
    /// Set how long readings of a fact hold.
    Validity {
        /// Such as me.place.
        key: String,
        /// Such as 30m, 12h, 2d; or forever.
        valid_for: String,
    },
}
