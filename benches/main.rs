//! The measured claims, runnable by anyone: `cargo run --release -p allod-benches`, on a private PostgreSQL of its own
//! (or the one that `ALLOD_TEST_POSTGRES` names). Prints a table with the machine and its measured cost of a sync.
//!
//! Measured so far: appending events, and evaluating rules. What is not here is not claimed.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and stops where it can't go on"
)]

mod append;
mod evaluate;
mod machine;

/// A row of the table.
struct Row {
    what: String,
    per_second: f64,
}

#[tokio::main]
async fn main() {
    println!("{}", machine::describe());
    let mut rows = append::run().await;
    rows.extend(evaluate::run());
    println!("\n{:<72} {:>12}", "MEASURED", "PER SECOND");
    for row in rows {
        println!("{:<72} {:>12.0}", row.what, row.per_second);
    }
}
