//! The command line of intentions: tasks, goals, schedules.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Add a task.
    #[command(
        after_help = "Times are a day (2026-05-01), a local time (2026-05-01T09:30) or an instant \
                            (2026-05-01T07:30:00Z).\n\nExamples:\n  allod task add \"Ring Sam\" --due 2026-05-01T09:30 \
                            --remind=-PT15M\n  allod task add \"Water the plants\" --due 2026-05-01 --repeat \
                            \"FREQ=WEEKLY;BYDAY=MO,TH\"\n  allod task add \"Paint the wall\" --after <task> --goal <goal>"
    )]
    Add {
        /// What is to be done.
        title: String,
        /// More about it.
        #[arg(long)]
        description: Option<String>,
        /// When it is due.
        #[arg(long, value_name = "TIME")]
        due: Option<String>,
        /// When it starts.
        #[arg(long, value_name = "TIME")]
        start: Option<String>,
        /// 1 is the highest, 9 the lowest.
        #[arg(long)]
        priority: Option<u8>,
        /// An RRULE by day, week, month or year.
        #[arg(long, value_name = "RRULE")]
        repeat: Option<String>,
        /// How long before it is due (--remind=-PT15M, --remind=-P1D) or when; may be given several times.
        #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
        remind: Vec<String>,
        /// The goal that it is part of.
        #[arg(long, value_name = "ID")]
        goal: Option<String>,
        /// A task that has to be done before; may be given several times.
        #[arg(long, value_name = "ID")]
        after: Vec<String>,
    },
    /// List tasks, the next due first.
    List {
        /// open, all, needs-action, in-process, completed or cancelled.
        #[arg(long, default_value = "open")]
        status: String,
        /// Due before this time.
        #[arg(long, value_name = "TIME")]
        due_before: Option<String>,
        /// Parts of this goal.
        #[arg(long, value_name = "ID")]
        goal: Option<String>,
        /// How many.
        #[arg(long, short = 'n', default_value_t = 50)]
        limit: u32,
    },
    /// Show a task: what it depends on, and what was done of it.
    Show {
        /// The task's id.
        id: String,
    },
    /// Complete a task; a recurring one moves on to its next occurrence.
    Done {
        /// The task's id.
        id: String,
        /// Only if it is due then: what was done already isn't done twice.
        #[arg(long, value_name = "DUE")]
        occurrence: Option<String>,
    },
    /// Open a task again.
    Reopen {
        /// The task's id.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Goal {
    /// Add a goal; tasks become part of it with `allod task add … --goal`.
    Add {
        /// What is to be reached.
        title: String,
        /// More about it.
        #[arg(long)]
        description: Option<String>,
        /// When: a day, a local time or an instant.
        #[arg(long, value_name = "TIME")]
        due: Option<String>,
        /// 0 to 1, by hand [default: counted from its tasks and goals].
        #[arg(long)]
        progress: Option<f64>,
        /// The goal that it is part of.
        #[arg(long, value_name = "GOAL")]
        parent: Option<String>,
    },
    /// Make a goal part of another one, or of none.
    Move {
        /// The goal's id.
        id: String,
        /// The goal that it is part of from now on [default: none].
        #[arg(long, value_name = "GOAL")]
        parent: Option<String>,
    },
    /// List goals with their progress.
    List {
        /// open, all, needs-action, in-process, completed or cancelled.
        #[arg(long, default_value = "open")]
        status: String,
    },
    /// Show a goal with its tasks.
    Show {
        /// The goal's id.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Schedule {
    /// Add a schedule; rules listen to it by its name.
    #[command(
        after_help = "Examples:\n  allod schedule add morning --cron \"0 9 * * 1-5\"\n  allod schedule add \
                            last-friday --rrule \"FREQ=MONTHLY;BYDAY=-1FR\" --starts 2026-05-29T17:00\n\nIn a rule:\n  \
                            on: \"intention.ScheduleFired\", where: #{ \"name\": \"morning\" }"
    )]
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
        /// Of moments that passed while the hub was off: latest (once) or none.
        #[arg(long, default_value = "latest")]
        catch_up: String,
    },
    /// List schedules with when they fire next.
    List,
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
