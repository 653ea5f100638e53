//! Stories over a real database and a real folder; the graph is one in memory.

mod keeping;
mod killed;
mod races;
mod serving;
mod world;
