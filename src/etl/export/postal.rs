//! The postal addresses of a contact.
//!
//! `address` is the one that is shown, in one line, and may be changed by itself; `addresses` has the parts and kinds of
//! all. Begin with [`postals`].

use serde_json::Value;

use super::Exported;
use crate::map::POSTAL_PARTS;

/// Each in one line, and with its parts where they are known; the one that is shown first.
pub(super) fn postals(one: &Exported) -> Vec<(String, Option<&Value>)> {
    let all = one.items("addresses").into_iter();
    let mut all: Vec<(String, Option<&Value>)> = all
        .map(|postal| {
            let said: Vec<&str> = parts(postal)
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect();
            (said.join(", "), Some(postal))
        })
        .collect();
    if let Some(shown) = one.text("address")
        && all.first().is_none_or(|(text, _)| text != shown)
    {
        // The first was changed since, in one line.
        all.splice(..all.len().min(1), [(shown.to_owned(), None)]);
    }
    all
}

/// The parts of an address in the order of ADR.
pub(super) fn parts(postal: &Value) -> [&str; 7] {
    POSTAL_PARTS.map(|name| postal.get(name).and_then(Value::as_str).unwrap_or_default())
}
