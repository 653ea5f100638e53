//! The graph, and what came in.

use clap::{Args, Subcommand};

use crate::commands::Paging;

#[derive(Debug, Subcommand)]
pub(crate) enum Entity {
    /// List entities, newest first.
    List(EntityList),
    /// Show an entity: what is known of it, who said so and since when, and how it is related.
    Show {
        /// The entity's id, or `me`.
        id: String,
    },
    /// List the types that there are, or the fields of one.
    Types {
        /// The type, such as Person.
        name: Option<String>,
    },
    /// Add an entity, such as a person or a place.
    Add {
        /// The type, such as Person or Place; `allod entity types` lists them.
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
        /// A field; `allod entity types TYPE` lists them.
        #[arg(long = "set", value_name = "FIELD=VALUE")]
        props: Vec<String>,
        /// Add it although another one has that number or address; `allod merges list` then asks whether they are the same.
        #[arg(long)]
        anyway: bool,
    },
    #[command(flatten)]
    Deed(EntityDeed),
}

#[derive(Debug, Args)]
pub(crate) struct EntityList {
    /// Only of this type, such as Person.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<String>,
    /// Only those whose name has this part, in any case.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Only who bears this address, in any spelling: tel:+14155552671, email:sam@example.org.
    #[arg(long, value_name = "SCHEME:VALUE")]
    pub(crate) identifier: Option<String>,
    /// What was deleted, instead of what is there.
    #[arg(long)]
    pub(crate) deleted: bool,
    #[command(flatten)]
    pub(crate) paging: Paging,
}

/// What is done with an entity that is there, and what is told of it.
#[derive(Debug, Subcommand)]
pub(crate) enum EntityDeed {
    /// Change an entity. What you say outlives every import.
    Edit {
        /// The entity's id, or `me`.
        id: String,
        /// A field to set; `allod entity types TYPE` lists them.
        #[arg(long = "set", value_name = "FIELD=VALUE")]
        set: Vec<String>,
        /// A field of which you take your word back, so that what other sources say shows again.
        #[arg(long, value_name = "FIELD")]
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
        /// The entity's id; `allod entity list --deleted` lists what was deleted.
        id: String,
    },
    /// How an entity became what it is: who said what, when; or, with --at, what was known of it then.
    History {
        /// The entity's id, or `me`.
        id: String,
        /// What was known at this time, such as 2026-05-01 or yesterday.
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        at: Option<String>,
    },
    /// Who and what is around an entity, nearest first.
    Neighbours {
        /// The entity's id, or `me`.
        id: String,
        /// How many steps, 1 to 3.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
        depth: u8,
        #[command(flatten)]
        paging: Paging,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Relation {
    /// List what is related to an entity, newest first.
    List {
        /// The entity's id, or `me`.
        id: String,
        /// Only of this kind, such as partner.
        #[arg(long)]
        predicate: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Say what the second entity is to the first.
    Add {
        /// The first entity's id, or `me`.
        from: String,
        /// What the second is to the first, such as partner, friend, part-of.
        predicate: String,
        /// The second entity's id, or `me`.
        to: String,
    },
    /// Say that a relation doesn't hold, whoever said it did. No import brings it back.
    Remove {
        /// The relation's id; `allod relation list` shows it.
        id: String,
    },
}

/// What happened, newest first.
#[derive(Debug, Args)]
pub(crate) struct Timeline {
    /// Only around this person, place or anything else: its id, or `me`.
    pub(crate) about: Option<String>,
    /// Only of this type, such as Message.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<String>,
    /// From this time on, such as 2026-05-01, yesterday or 2h.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) since: Option<String>,
    /// Before this time.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) until: Option<String>,
    #[command(flatten)]
    pub(crate) paging: Paging,
}

/// What is to come, soonest first: events, tasks that come due, reminders, schedules.
#[derive(Debug, Args)]
pub(crate) struct Upcoming {
    /// Until this time, such as tomorrow, friday or 2w [default: 7 days from now].
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Only of these kinds; may be given several times [default: all but overdue].
    #[arg(long, value_name = "KIND", value_parser = ["event", "due", "overdue", "reminder", "schedule"])]
    pub(crate) kind: Vec<String>,
    #[command(flatten)]
    pub(crate) paging: Paging,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Merges {
    /// List who may be one, the likeliest first (or who was merged, or told apart), with the reason.
    List {
        /// Open questions, or what was decided.
        #[arg(long, default_value = "suggested", value_parser = ["suggested", "merged", "distinct"])]
        standing: String,
        #[command(flatten)]
        paging: Paging,
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
    /// List records as sources sent them, newest first.
    List {
        /// What could not be understood, what was, or both.
        #[arg(long, default_value = "all", value_parser = ["parked", "processed", "all"])]
        status: String,
        /// Only of sources that begin so, such as import/ or twilio/.
        #[arg(long)]
        source: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// List records that are parked, with the reason, newest first.
    Parked {
        /// Only of sources that begin so, such as import/ or twilio/.
        #[arg(long)]
        source: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Read a parked record again, after an upgrade or a mended setting.
    Retry {
        /// The record's id.
        id: String,
    },
}
