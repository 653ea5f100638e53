//! Stories of rules on a running hub.

mod judging;
mod keeping;
mod running;
mod stopping;
mod world;
