//! The types that entities may have, and whether properties fit theirs.
//!
//! A schema is the part of JSON Schema that the migrations use: `type`, `minimum`, `maximum`, `maxLength`, `enum` of a
//! property, and `required` of the whole. Read from the database once a start.
//! Invariant: a refusal names the type, the property, and what is expected there.
//! Begin with [`EntityType::accept`].

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// More alike than this, a name is taken for a slip of the one that is there.
const ALIKE: f64 = 0.8;
/// What begins so is a source's own and not checked.
const FOREIGN: &str = "x_";

/// All types.
#[derive(Debug)]
pub(crate) struct Types(BTreeMap<String, EntityType>);

/// A type.
#[derive(Debug)]
pub(crate) struct EntityType {
    pub(crate) name: String,
    /// Its entities hold their props themselves until a second source asserts something.
    pub(crate) single_source: bool,
    schema: Schema,
}

#[derive(Debug, Deserialize)]
struct Schema {
    #[serde(default)]
    required: Vec<String>,
    #[serde(default)]
    properties: BTreeMap<String, Property>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Property {
    #[serde(rename = "type")]
    kind: Option<String>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    max_length: Option<usize>,
    #[serde(rename = "enum")]
    one_of: Option<Vec<Value>>,
}

/// What to do with a property that the type doesn't know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// A program's mapping: kept under `x_`.
    Keep,
    /// A person's hand: likely a slip, so it is refused with the nearest name.
    Refuse,
}

impl Types {
    /// From rows of name, single source, schema.
    pub(crate) fn new(rows: Vec<(String, bool, Value)>) -> Result<Self, serde_json::Error> {
        let mut types = BTreeMap::new();
        for (name, single_source, schema) in rows {
            let schema = Schema::deserialize(schema)?;
            types.insert(
                name.clone(),
                EntityType {
                    name,
                    single_source,
                    schema,
                },
            );
        }
        Ok(Self(types))
    }

    /// The type of this name, or a sentence that says which ones there are.
    pub(crate) fn get(&self, name: &str) -> Result<&EntityType, String> {
        self.0.get(name).ok_or_else(|| {
            let hint = nearest(name, self.0.keys()).map_or_else(
                || "Person, Place, Call and Message are some of them".to_owned(),
                |near| format!("did you mean {near}?"),
            );
            format!("there is no type {}: {hint}", shorten(name))
        })
    }
}

impl EntityType {
    /// The properties as they are kept, if each fits. Nulls pass: they take a property back.
    pub(crate) fn accept(
        &self,
        props: &Map<String, Value>,
        unknown: Unknown,
    ) -> Result<Map<String, Value>, String> {
        let mut kept = Map::new();
        for (name, value) in props {
            match self.schema.properties.get(name) {
                _ if name.starts_with(FOREIGN) => kept.insert(name.clone(), value.clone()),
                Some(property) => {
                    self.fits(name, property, value, unknown)?;
                    kept.insert(name.clone(), value.clone())
                }
                None if unknown == Unknown::Keep => kept.insert(format!("{FOREIGN}{name}"), value.clone()),
                None => return Err(self.unknown(name)),
            };
        }
        Ok(kept)
    }

    /// Refuses an entity that lacks what its type can't be without.
    pub(crate) fn complete(&self, props: &Map<String, Value>) -> Result<(), String> {
        match self
            .schema
            .required
            .iter()
            .find(|name| !props.contains_key(*name))
        {
            None => Ok(()),
            Some(missing) => {
                let expected = self
                    .schema
                    .properties
                    .get(missing)
                    .map_or_else(|| "a value".to_owned(), Property::expected);
                Err(format!(
                    "{} needs the property `{missing}`: {expected}",
                    self.name
                ))
            }
        }
    }

    fn fits(&self, name: &str, property: &Property, value: &Value, unknown: Unknown) -> Result<(), String> {
        if value.is_null() || property.accepts(value) {
            return Ok(());
        }
        if unknown == Unknown::Keep {
            // Said of a stranger's record: it becomes the reason why that is parked, which is logged.
            return Err(format!(
                "{}'s property `{name}` is not {}",
                self.name,
                property.expected()
            ));
        }
        Err(format!(
            "{}'s property `{name}` must be {}, but is {}",
            self.name,
            property.expected(),
            shorten(&value.to_string())
        ))
    }

    fn unknown(&self, name: &str) -> String {
        let hint = nearest(name, self.schema.properties.keys()).map_or_else(
            || "a property of your own begins with `x_`".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        format!("{} has no property `{}`: {hint}", self.name, shorten(name))
    }
}

impl Property {
    fn accepts(&self, value: &Value) -> bool {
        let kind = match self.kind.as_deref() {
            Some("string") => value.is_string(),
            Some("boolean") => value.is_boolean(),
            Some("number") => value.is_number(),
            Some("integer") => value.as_f64().is_some_and(|number| number.fract() == 0.0),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            _ => true,
        };
        let number = value.as_f64();
        kind && self
            .minimum
            .is_none_or(|min| number.is_none_or(|number| number >= min))
            && self
                .maximum
                .is_none_or(|max| number.is_none_or(|number| number <= max))
            && self.max_length.is_none_or(|max| {
                value
                    .as_str()
                    .is_none_or(|text| text.chars().take(max + 1).count() <= max)
            })
            && self.one_of.as_ref().is_none_or(|allowed| allowed.contains(value))
    }

    /// In words, such as "a number from -90 to 90".
    fn expected(&self) -> String {
        if let Some(allowed) = &self.one_of {
            let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            return format!("one of {}", allowed.join(", "));
        }
        let mut words = match self.kind.as_deref() {
            Some("string") => "a text",
            Some("boolean") => "true or false",
            Some("number") => "a number",
            Some("integer") => "a whole number",
            Some("array") => "a list",
            Some("object") => "an object",
            _ => "a value",
        }
        .to_owned();
        match (self.minimum, self.maximum) {
            (Some(min), Some(max)) => words += &format!(" from {min} to {max}"),
            (Some(min), None) => words += &format!(" of at least {min}"),
            (None, Some(max)) => words += &format!(" of at most {max}"),
            (None, None) => {}
        }
        if let Some(max) = self.max_length {
            words += &format!(" of at most {max} characters");
        }
        words
    }
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    let name = shorten(name).to_lowercase();
    known
        .map(|known| (strsim::jaro_winkler(&name, &known.to_lowercase()), known))
        .filter(|(alike, _)| *alike > ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// Enough to recognise it by, in a message.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn types() -> Types {
        let place = json!({"required": ["direction"], "properties": {
            "latitude": {"type": "number", "minimum": -90, "maximum": 90},
            "name": {"type": "string", "maxLength": 4},
            "direction": {"type": "string", "enum": ["in", "out"]},
            "count": {"type": "integer", "minimum": 0},
            "value": {},
        }});
        Types::new(vec![("Place".to_owned(), false, place)]).unwrap()
    }

    fn accept(props: Value, unknown: Unknown) -> Result<Map<String, Value>, String> {
        types()
            .get("Place")
            .unwrap()
            .accept(props.as_object().unwrap(), unknown)
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_with_property_and_expectation() {
        for (props, part) in [
            (
                json!({"latitude": 91}),
                "`latitude` must be a number from -90 to 90, but is 91",
            ),
            (
                json!({"latitude": "52"}),
                "`latitude` must be a number from -90 to 90, but is \"52\"",
            ),
            (
                json!({"name": "abcde"}),
                "`name` must be a text of at most 4 characters",
            ),
            (
                json!({"direction": "up"}),
                "`direction` must be one of \"in\", \"out\", but is \"up\"",
            ),
            (
                json!({"count": 1.5}),
                "`count` must be a whole number of at least 0",
            ),
        ] {
            let kept = accept(props.clone(), Unknown::Keep).unwrap_err();
            assert!(
                !kept.contains("but is"),
                "of a source's record nothing is quoted: {kept}"
            );
            let error = accept(props, Unknown::Refuse).unwrap_err();
            assert!(
                error.starts_with("Place's property ") && error.contains(part),
                "{error}"
            );
        }
        assert!(
            accept(
                json!({"latitude": -90, "name": "äöüß", "count": 2.0, "value": [1]}),
                Unknown::Refuse
            )
            .is_ok()
        );
    }

    #[test]
    fn an_unknown_property_is_kept_apart_for_programs_and_refused_for_people() {
        let kept = accept(json!({"colour": "red", "x_own": 1}), Unknown::Keep).unwrap();
        assert_eq!(Value::Object(kept), json!({"x_colour": "red", "x_own": 1}));
        let error = accept(json!({"lattitude": 1}), Unknown::Refuse).unwrap_err();
        assert_eq!(
            error,
            "Place has no property `lattitude`: did you mean `latitude`?"
        );
        assert!(
            accept(json!({"zzz": 1}), Unknown::Refuse)
                .unwrap_err()
                .contains("begins with `x_`")
        );
    }

    #[test]
    fn an_entity_without_what_its_type_needs_is_refused() {
        let types = types();
        let error = types.get("Place").unwrap().complete(&Map::new()).unwrap_err();
        assert_eq!(
            error,
            "Place needs the property `direction`: one of \"in\", \"out\""
        );
        assert!(types.get("Plase").unwrap_err().contains("did you mean Place?"));
        assert!(types.get("Zebra").is_err());
    }
}
