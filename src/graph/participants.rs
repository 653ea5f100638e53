//! Who takes part in a message, a call, an event: the addresses that its properties name.
//!
//! Invariant: what can't be an address takes part in nothing and is no error. Pure. Begin with [`participants`].

use serde_json::{Map, Value};
use spine::ports::Identifier;

use crate::normalise::normalise;

/// Properties that name addresses, one or a list.
const ROLES: [&str; 8] = [
    "attendees",
    "author",
    "bcc",
    "cc",
    "from",
    "organizer",
    "recipients",
    "to",
];
/// Of one item; a mailing to more is still found by the first of them.
const PARTICIPANTS_MAX: usize = 200;

/// The addresses of an item with the property that names each, without doubles, in order.
pub(crate) fn participants(props: &Map<String, Value>) -> Vec<(&'static str, Identifier)> {
    let mut found: Vec<(&'static str, Identifier)> = ROLES
        .iter()
        .flat_map(|role| {
            let named = match props.get(*role) {
                Some(Value::String(one)) => vec![one.as_str()],
                Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
                _ => Vec::new(),
            };
            named.into_iter().filter_map(|text| Some((*role, address(text)?)))
        })
        .take(PARTICIPANTS_MAX)
        .collect();
    found.sort_by(|(a, one), (b, other)| (a, &one.scheme, &one.value).cmp(&(b, &other.scheme, &other.value)));
    found.dedup();
    found
}

/// The identifier that a text is the address of.
fn address(text: &str) -> Option<Identifier> {
    let text = text.trim();
    let schemes: &[&str] = if text.starts_with('@') || text.starts_with("acct:") {
        &["acct"]
    } else if text.starts_with("https://") || text.starts_with("http://") {
        &["url"]
    } else if text.contains('@') {
        &["email"]
    } else {
        &["tel", "tel.short"]
    };
    schemes
        .iter()
        .find_map(|scheme| normalise(&Identifier::new(*scheme, text)).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_of_all_kinds_take_part_and_what_is_none_does_not() {
        let Value::Object(props) = json!({
            "from": "+1 (415) 555-2671", "to": "12345", "cc": ["Sam@Example.org", "sam@example.org", 7],
            "author": "https://social.example/@sam", "attendees": "anonymous", "text": "+14155552671"
        }) else {
            panic!("an object")
        };
        let found: Vec<(&str, String)> = participants(&props)
            .into_iter()
            .map(|(role, one)| (role, format!("{} {}", one.scheme, one.value)))
            .collect();
        assert_eq!(
            found,
            [
                ("author", "url https://social.example/@sam".to_owned()),
                ("cc", "email sam@example.org".to_owned()),
                ("from", "tel +14155552671".to_owned()),
                ("to", "tel.short 12345".to_owned()),
            ]
        );
    }
}
