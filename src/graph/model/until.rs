//! Words that hold until another source changes its own: a series that the hub moved on stays moved until the calendar
//! moves it, too.
//!
//! Invariant: what such a word is compared with stands in its claim, so that the fold depends on the claims alone; it is
//! never shown. Pure. Begin with [`holding`].

use std::borrow::Cow;

use serde_json::{Map, Value};
use spine::ports::Until;

use super::{Content, same};

/// The property of a claim that holds, for each such field, what the others said of the watched ones. No source can
/// write it: unknown properties get a prefix.
const UNTIL: &str = "~until";
const STARTS_AT: &str = "starts_at";

/// A field by its name; null if nothing is said of it.
fn field(content: &Content, name: &str) -> Value {
    if name == STARTS_AT {
        return content.starts_at.map_or(Value::Null, |at| at.to_rfc3339().into());
    }
    content.props.get(name).cloned().unwrap_or_default()
}

/// What of a claim still holds over what weighs less.
pub(super) fn holding<'a>(claim: &'a Content, under: &Content) -> Cow<'a, Content> {
    let Some(until) = claim.props.get(UNTIL) else {
        return Cow::Borrowed(claim);
    };
    let mut left = claim.clone();
    left.props.remove(UNTIL);
    for (name, watched) in until.as_object().into_iter().flatten() {
        let mut watched = watched.as_object().into_iter().flatten();
        if watched.any(|(name, was)| !same(was, &field(under, name))) {
            left.props.remove(name);
            if name == STARTS_AT {
                left.starts_at = None;
            }
        }
    }
    Cow::Owned(left)
}

/// Notes in a claim which of the fields that are `said` hold until what lies under it changes. What is said without
/// such a condition is meant for good.
pub(crate) fn note(claim: &mut Content, said: &Content, until: &[Until], under: &Content) {
    let mut noted = match claim.props.remove(UNTIL) {
        Some(Value::Object(noted)) => noted,
        _ => Map::new(),
    };
    noted.retain(|name, _| field(said, name).is_null() && !said.props.contains_key(name));
    for one in until.iter().filter(|one| !field(said, one.field).is_null()) {
        let watched = one.watched.iter();
        let watched: Map<String, Value> = watched
            .map(|name| ((*name).to_owned(), field(under, name)))
            .collect();
        noted.insert(one.field.to_owned(), watched.into());
    }
    if !noted.is_empty() {
        claim.props.insert(UNTIL.to_owned(), noted.into());
    }
}
