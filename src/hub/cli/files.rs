//! Files: what comes in, what goes out.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Import {
    #[command(subcommand)]
    pub(crate) command: Option<ImportCommand>,
    /// The file: vCard, iCalendar, mbox or a mail, a CSV table of contacts, or an allod export in JSON-LD.
    pub(crate) file: Option<PathBuf>,
    /// vcard, ical, mbox, csv or jsonld [default: by how the file's name ends].
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<String>,
    /// Wait until it is done, and show how far it is.
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// List imports, newest first.
    List,
    /// Show how far an import is.
    Show {
        /// The import's id.
        id: String,
    },
    /// End an import; what it took in stays.
    Cancel {
        /// The import's id.
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// jsonld (everything), vcard, csv (people and organizations), ical (events and tasks) or mbox (mails).
    #[arg(long)]
    pub(crate) format: String,
    /// Where to write it [default: the standard output].
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Etl {
    /// Read all records again, as after an upgrade; adds nothing twice.
    Reprocess {
        /// Only of this source, such as import/vcard.
        #[arg(long)]
        source: Option<String>,
    },
}
