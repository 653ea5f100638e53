//! The measured claims, runnable by anyone: `scripts/bench`, which gives this program a throwaway PostgreSQL that syncs
//! to disk (`ALLOD_TEST_POSTGRES`) and the hub's release binary (`ALLOD_BENCH_HUB`). Prints a table with the machine and
//! its measured cost of a sync. What is not here is not claimed.
//!
//! Calls and requests go through the code that `allod demo` uses, taken from its folder.
//! Begin with [`BENCHES`].
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark prints, and stops where it can't go on"
)]

mod append;
mod calls;
#[expect(dead_code, reason = "the demo needs more of it")]
#[path = "../src/hub/client.rs"]
mod client;
mod cpu;
#[expect(dead_code, reason = "the stories need more of it")]
#[path = "../tests/imap/dovecot.rs"]
mod dovecot;
mod evaluate;
mod event_types;
mod graph_fill;
mod graph_reads;
mod hub;
mod imap;
mod machine;
mod mailbox;
mod mails;
mod measure;
mod pgboss;
#[expect(
    dead_code,
    unexpected_cfgs,
    reason = "the demo needs more of it, and has a feature of its own"
)]
#[path = "../src/hub/demo/provider.rs"]
mod provider;
mod queue;
mod rest;
mod rules_path;
#[path = "../src/hub/demo/wire.rs"]
mod wire;

use std::process::ExitCode;

use measure::Measure;
use tokio::signal::unix::{SignalKind, signal};

/// What can be measured, in the order of the table.
const BENCHES: [&str; 9] = [
    "append", "calls", "queue", "rules", "evaluate", "mails", "imap", "graph", "hub",
];
/// A part of the full size of `mails`, `imap` and `graph`, such as 0.1.
const SIZE: &str = "ALLOD_BENCH_SIZE";

/// A row of events a second.
struct Row {
    what: String,
    per_second: f64,
}

/// Why the demo's parts failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct DemoError(String);

impl DemoError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let signals = [SignalKind::terminate(), SignalKind::interrupt()].map(|kind| signal(kind).unwrap());
    let [mut term, mut int] = signals;
    // What was started ends with the future that holds it.
    tokio::select! {
        code = measure_all() => code,
        _ = term.recv() => ExitCode::FAILURE,
        _ = int.recv() => ExitCode::FAILURE,
    }
}

async fn measure_all() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|name| !BENCHES.contains(&name.as_str())) {
        eprintln!(
            "error: there is no bench `{unknown}`; there are: {}",
            BENCHES.join(", ")
        );
        return ExitCode::from(2);
    }
    println!("{}", machine::Machine::look());
    let mut measures = Vec::new();
    for name in BENCHES {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            eprintln!("== {name} (load {})", machine::load());
            let fresh = run(name).await;
            fresh.iter().for_each(|measure| eprintln!("   {measure}"));
            measures.extend(fresh);
        }
    }
    println!("Load average at the end: {}.\n", machine::load());
    println!("{}", measure::table(&measures));
    ExitCode::SUCCESS
}

async fn run(name: &str) -> Vec<Measure> {
    match name {
        "append" => append::run().await.into_iter().map(appended).collect(),
        "calls" => calls::run().await,
        "queue" => queue::run().await,
        "rules" => rules_path::run().await,
        "evaluate" => evaluate::run(),
        "mails" => mails::run(size()).await,
        "imap" => imap::run(size()).await,
        "graph" => graph_reads::run(size()).await,
        _ => rest::run().await,
    }
}

fn size() -> f64 {
    let size = std::env::var(SIZE).ok().and_then(|size| size.parse().ok());
    size.filter(|size| (0.0..=1.0).contains(size)).unwrap_or(1.0)
}

fn appended(row: Row) -> Measure {
    let measure = Measure::per_second(row.what, row.per_second);
    if measure.what().contains("100 a commit") {
        measure.at_least(40_000.0)
    } else {
        measure
    }
}
