//! The command line of intentions: tasks, goals, schedules.

use clap::{Args, Subcommand};

use crate::commands::Paging;

const STATUSES: [&str; 6] = [
    "open",
    "all",
    "needs-action",
    "in-process",
    "completed",
    "cancelled",
];

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Add a task.
    Add {
        /// What is to be done.
        title: String,
        #[command(flatten)]
        fields: TaskFields,
    },
    /// List tasks, the next due first.
    List(TaskList),
    /// Show a task: what it depends on, and what was done of it.
    Show {
        /// The task's id.
        id: String,
    },
    /// Change a task. What you say outlives every calendar.
    Edit(TaskEdit),
    /// Complete a task; a recurring one moves on to its next occurrence.
    Done {
        /// The task's id.
        id: String,
        /// Only if it is due then: what was done already isn't done twice.
        #[arg(long, value_name = "DUE")]
        occurrence: Option<String>,
    },
    /// Open a task again; a recurring one goes back to the occurrence that was done last.
    Reopen {
        /// The task's id.
        id: String,
    },
    /// Give a task up; `allod task reopen` takes that back.
    Cancel {
        /// The task's id.
        id: String,
    },
}

/// What may be said of a task besides its title.
#[derive(Debug, Args)]
pub(crate) struct TaskFields {
    /// More about it.
    #[arg(long)]
    pub(crate) description: Option<String>,
    /// When it is due, such as tomorrow, friday 9:30, 2026-05-01.
    #[arg(long, value_name = "TIME")]
    pub(crate) due: Option<String>,
    /// When it starts.
    #[arg(long, value_name = "TIME")]
    pub(crate) start: Option<String>,
    /// 1 is the highest, 9 the lowest.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) priority: Option<u8>,
    /// An RRULE by day, week, month or year, such as FREQ=WEEKLY;BYDAY=MO.
    #[arg(long, value_name = "RRULE")]
    pub(crate) repeat: Option<String>,
    /// How long before it is due (15m, 1d) or when; may be given several times.
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub(crate) remind: Vec<String>,
    /// The goal that it is part of, by its title or id.
    #[arg(long, value_name = "GOAL")]
    pub(crate) goal: Option<String>,
    /// A task that has to be done before, by its title or id; may be given several times.
    #[arg(long, value_name = "TASK")]
    pub(crate) after: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TaskEdit {
    /// The task's id.
    pub(crate) id: String,
    /// What is to be done.
    #[arg(long)]
    pub(crate) title: Option<String>,
    #[command(flatten)]
    pub(crate) fields: TaskFields,
    /// How much of it is done, 0 to 100.
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) percent: Option<u8>,
    /// How it stands.
    #[arg(long, value_parser = ["needs-action", "in-process", "completed", "cancelled"])]
    pub(crate) status: Option<String>,
    /// What you take back; may be given several times.
    #[arg(long, value_name = "FIELD",
        value_parser = ["description", "due", "start", "priority", "percent", "repeat", "remind"])]
    pub(crate) unset: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TaskList {
    /// How they stand.
    #[arg(long, default_value = "open", value_parser = STATUSES)]
    pub(crate) status: String,
    /// Only those whose title has this part, in any case.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Due before this time, such as tomorrow or 1w.
    #[arg(long, value_name = "TIME")]
    pub(crate) due_before: Option<String>,
    /// Parts of this goal, by its title or id.
    #[arg(long, value_name = "GOAL")]
    pub(crate) goal: Option<String>,
    #[command(flatten)]
    pub(crate) paging: Paging,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Goal {
    /// Add a goal; tasks become part of it with `allod task add … --goal`.
    Add {
        /// What is to be reached.
        title: String,
        #[command(flatten)]
        fields: GoalFields,
    },
    /// Change a goal, or say how far it is.
    Edit(GoalEdit),
    /// Make a goal part of another one, or of none.
    Move {
        /// The goal's id.
        id: String,
        /// The goal that it is part of from now on [default: none].
        #[arg(long, value_name = "GOAL")]
        parent: Option<String>,
    },
    /// List goals with their progress, the next due first.
    List {
        /// How they stand.
        #[arg(long, default_value = "open", value_parser = STATUSES)]
        status: String,
        /// Only those whose title has this part, in any case.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a goal with its tasks.
    Show {
        /// The goal's id.
        id: String,
    },
    /// Say that a goal is reached.
    Done {
        /// The goal's id.
        id: String,
    },
    /// Give a goal up.
    Cancel {
        /// The goal's id.
        id: String,
    },
    /// Open a goal again.
    Reopen {
        /// The goal's id.
        id: String,
    },
}

/// What may be said of a goal besides its title.
#[derive(Debug, Args)]
pub(crate) struct GoalFields {
    /// More about it.
    #[arg(long)]
    pub(crate) description: Option<String>,
    /// When, such as 2026-05-01 or friday.
    #[arg(long, value_name = "TIME")]
    pub(crate) due: Option<String>,
    /// 0 to 1, by hand [default: counted from its tasks and goals].
    #[arg(long, value_parser = share)]
    pub(crate) progress: Option<f64>,
    /// The goal that it is part of, by its title or id.
    #[arg(long, value_name = "GOAL")]
    pub(crate) parent: Option<String>,
}

/// How much of a whole.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| {
        "write a number from 0 to 1, such as 0.4; `allod goal edit ID --unset progress` counts its tasks and goals again"
            .to_owned()
    })
}

#[derive(Debug, Args)]
pub(crate) struct GoalEdit {
    /// The goal's id.
    pub(crate) id: String,
    /// What is to be reached.
    #[arg(long)]
    pub(crate) title: Option<String>,
    #[command(flatten)]
    pub(crate) fields: GoalFields,
    /// What you take back; may be given several times.
    #[arg(long, value_name = "FIELD", value_parser = ["description", "due", "progress", "parent"])]
    pub(crate) unset: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Schedule {
    /// Add a schedule; rules listen to it by its name.
    Add {
        /// Small letters, digits, hyphens.
        name: String,
        /// Minute, hour, day, month, weekday.
        #[arg(long, required_unless_present = "rrule", conflicts_with = "rrule")]
        cron: Option<String>,
        /// An RRULE by day, week, month or year.
        #[arg(long)]
        rrule: Option<String>,
        /// The local time from which the RRULE counts, and at which it fires.
        #[arg(long, value_name = "TIME", conflicts_with = "cron")]
        starts: Option<String>,
        /// A time zone, such as Europe/Lisbon [default: yours].
        #[arg(long)]
        zone: Option<String>,
        /// Which of the moments that passed while the hub was off fires afterwards: the latest, once, or none.
        #[arg(long, default_value = "latest", value_parser = ["latest", "none"])]
        catch_up: String,
    },
    /// List schedules with when they fire next.
    List {
        /// Only those whose name has this part.
        #[arg(long)]
        name: Option<String>,
    },
    /// Pause a schedule.
    Pause {
        /// The schedule's name or id.
        name: String,
    },
    /// Let a paused schedule go on; what passed meanwhile doesn't fire.
    Resume {
        /// The schedule's name or id.
        name: String,
    },
    /// Remove a schedule.
    Remove {
        /// The schedule's name or id.
        name: String,
    },
}
