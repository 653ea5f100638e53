//! Inputs: what a rule's owner may set without touching the script.

use contracts::nearest;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

/// A text that an owner sets is at most this long.
const TEXT_CHARS_MAX: usize = 4_000;

/// The type of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InputType {
    /// A text.
    String,
    /// A number, whole or not.
    Number,
    /// Yes or no.
    Bool,
}

impl InputType {
    const ALL: [(&'static str, Self); 3] = [
        ("string", Self::String),
        ("number", Self::Number),
        ("bool", Self::Bool),
    ];

    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("", |(name, _)| name)
    }

    fn admits(self, value: &Value) -> bool {
        match self {
            Self::String => value
                .as_str()
                .is_some_and(|text| text.chars().count() <= TEXT_CHARS_MAX && !text.contains('\0')),
            Self::Number => value.is_number(),
            Self::Bool => value.is_boolean(),
        }
    }
}

/// One input as the header declares it.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub(crate) struct Input {
    /// Its type.
    #[serde(rename = "type")]
    pub(crate) kind: InputType,
    /// Its value unless the owner sets another; without one, the owner must.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) initial: Option<Value>,
    /// What it is, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
}

impl Input {
    /// Reads one input. The error names the key at fault, if it is one.
    pub(crate) fn read(value: &Value) -> Result<Self, (Option<String>, String)> {
        let Value::Object(fields) = value else {
            return Err((None, "must be a map".to_owned()));
        };
        if let Some(key) = fields
            .keys()
            .find(|key| !["type", "initial", "title"].contains(&key.as_str()))
        {
            return Err((
                Some(key.clone()),
                format!("`{key}` is none of type, initial, title"),
            ));
        }
        let named = fields.get("type").and_then(Value::as_str);
        let Some((_, kind)) = InputType::ALL.into_iter().find(|(name, _)| named == Some(*name)) else {
            let key = fields.contains_key("type").then(|| "type".to_owned());
            return Err((key, "its type is \"string\", \"number\" or \"bool\"".to_owned()));
        };
        let initial = fields.get("initial").cloned();
        if initial.as_ref().is_some_and(|value| !kind.admits(value)) {
            return Err((
                Some("initial".to_owned()),
                format!("its initial value is no {}", kind.name()),
            ));
        }
        let title = match fields.get("title") {
            None => None,
            Some(Value::String(title)) => Some(title.clone()),
            Some(_) => return Err((Some("title".to_owned()), "its title must be a string".to_owned())),
        };
        Ok(Self { kind, initial, title })
    }
}

/// Why values don't fit a rule's inputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InputError {
    /// The rule has no such input.
    #[error("the rule has no input `{name}`")]
    Unknown {
        /// What was set.
        name: String,
        /// What may have been meant.
        near: Option<String>,
    },
    /// The value has another type, or is too long.
    #[error("input `{name}` takes a {kind}")]
    Type {
        /// Which.
        name: String,
        /// What it takes.
        kind: &'static str,
    },
    /// The rule needs a value and has none.
    #[error("input `{0}` has no value yet")]
    Missing(String),
}

/// The values that a run gets: what the owner set, else the initial ones.
pub(crate) fn resolve(
    declared: &BTreeMap<String, Input>,
    set: &Map<String, Value>,
) -> Result<Map<String, Value>, InputError> {
    for (name, value) in set {
        let Some(input) = declared.get(name) else {
            let near = nearest(name, declared.keys().map(String::as_str)).map(str::to_owned);
            return Err(InputError::Unknown {
                name: name.clone(),
                near,
            });
        };
        if !input.kind.admits(value) {
            return Err(InputError::Type {
                name: name.clone(),
                kind: input.kind.name(),
            });
        }
    }
    declared
        .iter()
        .map(|(name, input)| {
            let value = set.get(name).or(input.initial.as_ref()).cloned();
            value
                .map(|value| (name.clone(), value))
                .ok_or_else(|| InputError::Missing(name.clone()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn declared() -> BTreeMap<String, Input> {
        let text = Input::read(&json!({ "type": "string", "initial": "Later" })).unwrap();
        let count = Input::read(&json!({ "type": "number" })).unwrap();
        BTreeMap::from([("text".to_owned(), text), ("count".to_owned(), count)])
    }

    fn set(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn what_the_owner_set_stands_before_the_initial_value() {
        let values = resolve(&declared(), &set(json!({ "count": 2 }))).unwrap();
        assert_eq!(Value::Object(values), json!({ "count": 2, "text": "Later" }));
        let values = resolve(&declared(), &set(json!({ "count": 2.5, "text": "Soon" }))).unwrap();
        assert_eq!(Value::Object(values), json!({ "count": 2.5, "text": "Soon" }));
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        assert_eq!(
            resolve(&declared(), &Map::new()),
            Err(InputError::Missing("count".to_owned()))
        );
        assert_eq!(
            resolve(&declared(), &set(json!({ "count": "2" }))),
            Err(InputError::Type {
                name: "count".to_owned(),
                kind: "number"
            })
        );
        assert_eq!(
            resolve(&declared(), &set(json!({ "count": 1, "txt": "" }))),
            Err(InputError::Unknown {
                name: "txt".to_owned(),
                near: Some("text".to_owned())
            })
        );
    }

    #[test]
    fn an_input_that_is_declared_wrongly_is_refused() {
        for (wrong, key) in [
            (json!("string"), None),
            (json!({}), None),
            (json!({ "type": "text" }), Some("type")),
            (json!({ "type": "bool", "initial": "yes" }), Some("initial")),
            (json!({ "type": "bool", "default": true }), Some("default")),
            (json!({ "type": "bool", "title": 1 }), Some("title")),
        ] {
            assert_eq!(Input::read(&wrong).unwrap_err().0.as_deref(), key, "{wrong}");
        }
    }
}
