//! Runs: an event that rules listen to becomes a journal, messages and jobs, in the consumer's transaction.
//!
//! Invariant: an event has at most one run of each rule, and what a run queued commits with the consumer's position.
//! Begin with [`on_event`], then [`runner`].

pub(crate) mod actions;
pub(crate) mod conditions;
pub(crate) mod dry_run;
pub(crate) mod model;
pub(crate) mod on_entity_erased;
pub(crate) mod on_event;
pub(crate) mod reads;
pub(crate) mod retention;
pub(crate) mod runner;
pub(crate) mod store;
pub(crate) mod trace;
