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

/// The candidate that `name` was most likely meant to be: at most a third of its letters differ.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}
