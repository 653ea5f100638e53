//! The pure half of the service: what a rule's text means, which rules an event concerns, and entering a script.
//!
//! Invariant: no database, no clock, no network: an event, answers and inputs go in, decisions come out.
//! Begin with [`header`], then [`index`], [`host`] and [`evaluate`].

pub(crate) mod action;
pub(crate) mod duration;
pub(crate) mod evaluate;
pub(crate) mod event_types;
pub(crate) mod filter;
pub(crate) mod header;
pub(crate) mod host;
pub(crate) mod index;
pub(crate) mod input;
pub(crate) mod limit;
pub(crate) mod moment;
pub(crate) mod path;
pub(crate) mod rule;
pub(crate) mod terms;

#[cfg(test)]
mod tests;
