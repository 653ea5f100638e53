//! The graph, what came in, events and jobs.

use clap::Subcommand;

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
