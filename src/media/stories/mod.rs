//! Stories over a real database and a real folder; the graph is one in memory.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a story stops where something goes wrong"
)]

mod keeping;
mod killed;
mod races;
mod serving;
mod world;
