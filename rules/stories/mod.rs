//! Stories of rules on a running hub.

mod keeping;
mod running;
mod stopping;
mod world;
