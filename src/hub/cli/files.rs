//! Files: what comes in, what goes out.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, Subcommand};

use crate::commands::Paging;

/// The formats of files that are written, each also by how such a file's name ends.
fn written() -> [PossibleValue; 6] {
    [
        PossibleValue::new("archive").alias("tar"),
        PossibleValue::new("jsonld"),
        PossibleValue::new("vcard").alias("vcf"),
        PossibleValue::new("csv"),
        PossibleValue::new("ical").alias("ics"),
        PossibleValue::new("mbox"),
    ]
}

/// The formats of files that are read.
fn read() -> impl Iterator<Item = PossibleValue> {
    let only_read = [PossibleValue::new("gpx"), PossibleValue::new("geojson")];
    written().into_iter().chain(only_read)
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Import {
    #[command(subcommand)]
    pub(crate) command: Option<ImportCommand>,
    /// The file: vCard, iCalendar, mbox or a mail, a CSV table of contacts, tracks and places (GPX, GeoJSON), or an allod
    /// export (JSON-LD, or an archive in tar); or a folder of such files, or of mails (Maildir).
    pub(crate) file: Option<PathBuf>,
    /// What it is [default: by how the file's name ends].
    #[arg(long = "type", value_name = "TYPE", value_parser = PossibleValuesParser::new(read()))]
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
#[command(
    after_help = "Such as:\n  allod export --format archive -o allod.tar\n  allod export --format vcard -o contacts.vcf\n\n\
        What is in it: what the graph knows now (people, messages, events, tasks, places and all else, with their\n\
        relations), and with `archive` the bytes of your files; mails as they were received are in mbox.\n\
        What is not: rules, schedules, connections and their secrets, tokens, the event log, history, who said what.\n\
        To move a whole hub, copy its data directory instead (docs/operating)."
)]
pub(crate) struct Export {
    /// archive (the graph with the files), jsonld (the graph), vcard (people, organizations, groups), csv (people and
    /// organizations), ical (events and tasks) or mbox (mails).
    #[arg(long, value_parser = PossibleValuesParser::new(written()))]
    pub(crate) format: String,
    /// Where to write it [default: the standard output].
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Media {
    /// Keep files: pictures, documents, recordings. The same file twice is kept once.
    Add {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// List what is kept, newest first.
    List {
        /// Only of types that begin so, such as image/ or application/pdf.
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show what is known of a file: type, size, hash, what was made of it.
    Show {
        /// The media's id.
        id: String,
    },
    /// Write a file's bytes to a file or to the standard output.
    Get {
        /// The media's id.
        id: String,
        /// original, public (without metadata: to give to others), thumb-320 or thumb-1280.
        #[arg(long, default_value = "original", value_parser = ["original", "public", "thumb-320", "thumb-1280"])]
        rendition: String,
        /// Where to write it [default: the standard output].
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Remove a file for good, at once. (`allod entity delete` can be taken back for some days.)
    Remove {
        /// The media's id.
        id: String,
    },
    /// Compare what is kept with what lies in the store; ends with 1 if something is missing.
    Check,
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
