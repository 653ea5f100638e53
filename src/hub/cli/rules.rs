//! Rules.

use std::path::PathBuf;

use clap::Subcommand;

use crate::commands::Paging;

#[derive(Debug, Subcommand)]
pub(crate) enum Rule {
    /// List rules, and the ones that come with the hub.
    List,
    /// Check rule files without a hub; exits 1 when one has a mistake.
    Check {
        /// Files, folders (every *.rhai in them), or - for the standard input.
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
        #[command(flatten)]
        paging: Paging,
    },
    /// Show everything about a run: what came in, each value, what was queued, what was answered.
    Trace {
        /// The run's id.
        run: String,
    },
}
