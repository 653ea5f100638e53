//! Dotted paths into an event's body: `from.relations`.

use serde_json::Value;

/// A path of at least one field.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Path(String);

impl Path {
    /// The path that `text` writes; `None` if a part is empty or holds other than letters, digits, `_` and `-`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_word = |part: &str| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        };
        text.split('.').all(is_word).then(|| Self(text.to_owned()))
    }

    /// As it is written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands at this path; `None` if the path leads nowhere.
    pub(crate) fn find<'a>(&self, body: &'a Value) -> Option<&'a Value> {
        self.0.split('.').try_fold(body, |value, part| value.get(part))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_to_a_field_or_nowhere() {
        let body = json!({ "from": { "id": 7, "relations": ["partner"] } });
        let find = |text: &str| Path::parse(text).unwrap().find(&body).cloned();
        assert_eq!(find("from.id"), Some(json!(7)));
        assert_eq!(find("from.relations"), Some(json!(["partner"])));
        assert_eq!(find("from.name"), None);
        assert_eq!(find("from.id.more"), None);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["", ".", "a.", ".a", "a..b", "a b", "a[0]"] {
            assert_eq!(Path::parse(text), None, "{text}");
        }
    }
}
