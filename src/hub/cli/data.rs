//! The graph, what came in, events and jobs.

use clap::{Args, Subcommand};

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
        /// Add it although another one has that number or address; `allod merges list` then asks whether they are the same.
        #[arg(long)]
        anyway: bool,
    },
    #[command(flatten)]
    Deed(EntityDeed),
}

/// What is done with an entity that is there, and what is told of it.
#[derive(Debug, Subcommand)]
pub(crate) enum EntityDeed {
    /// Change an entity. What you say outlives every import.
    Edit {
        /// The entity's id, or `me`.
        id: String,
        /// A property to set.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// A property of which you take your word back, so that what other sources say shows again.
        #[arg(long, value_name = "KEY")]
        unset: Vec<String>,
        /// A phone number to add, in international form.
        #[arg(long)]
        tel: Vec<String>,
        /// An e-mail address to add.
        #[arg(long)]
        email: Vec<String>,
    },
    /// Say that two entities are one. The first stays and answers for the second.
    Merge {
        /// The one that stays: its id, or `me`.
        id: String,
        /// The one that becomes part of it.
        other: String,
    },
    /// Take a merge back; the two count as not the same from then on.
    Unmerge {
        /// The one that had become part of another.
        id: String,
    },
    /// Say that two entities are not the same, so that nobody merges them or asks again.
    Distinct {
        /// One.
        id: String,
        /// The other.
        other: String,
    },
    /// Delete an entity. No import brings it back; you can.
    Delete {
        /// The entity's id.
        id: String,
    },
    /// Erase an entity for good, with all that was merged into it. There is no way back.
    Erase {
        /// The entity's id.
        id: String,
        /// With everything on its timeline: messages, calls, events that it took part in.
        #[arg(long)]
        with_timeline: bool,
        /// Don't ask.
        #[arg(long)]
        yes: bool,
    },
    /// Take a deletion back.
    Restore {
        /// The entity's id.
        id: String,
    },
    /// What was known of an entity at a moment, and who said so.
    History {
        /// The entity's id, or `me`.
        id: String,
        /// The moment, such as 2026-05-01T00:00:00Z; now if not said.
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },
    /// Who and what is around an entity, nearest first.
    Neighbours {
        /// The entity's id, or `me`.
        id: String,
        /// How many steps, 1 to 3.
        #[arg(long, default_value_t = 1)]
        depth: u8,
        /// How many.
        #[arg(long, short = 'n', default_value_t = 50)]
        limit: u32,
    },
}

/// What happened, newest first.
#[derive(Debug, clap::Args)]
pub(crate) struct Timeline {
    /// Only around this person, place or anything else: its id, or `me`.
    pub(crate) about: Option<String>,
    /// Only of this type, such as Message.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<String>,
    /// From this moment on, such as 2026-05-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Before this moment.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// How many.
    #[arg(long, short = 'n', default_value_t = 50)]
    pub(crate) limit: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Merges {
    /// List who may be one (or who was merged, or told apart), with the reason.
    List {
        /// suggested, merged or distinct.
        #[arg(long, default_value = "suggested")]
        standing: String,
        /// How many.
        #[arg(long, short = 'n', default_value_t = 50)]
        limit: u32,
    },
    /// Yes, they are one.
    Accept {
        /// The suggestion's id.
        id: String,
    },
    /// No, they are not the same; don't ask again.
    Refuse {
        /// The suggestion's id.
        id: String,
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

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct State {
    /// One fact, such as me.place.
    pub(crate) key: Option<String>,
    /// What it was, newest first.
    #[arg(long, requires = "key", conflicts_with = "follow")]
    pub(crate) history: bool,
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
