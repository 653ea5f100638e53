//! The types that entities may have, and whether properties fit theirs.
//!
//! A schema is the part of JSON Schema that the migrations use: `type`, `minimum`, `maximum`, `minLength`, `maxLength`,
//! `enum`, `format` of a property, and `required` of the whole. Read from the database once a start.
//! Invariant: a refusal names the type, the property, and what is expected there.
//! Begin with [`EntityType::accept`].

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
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
    /// Of what is left without the white space around it.
    min_length: Option<usize>,
    max_length: Option<usize>,
    format: Option<Format>,
    #[serde(rename = "enum")]
    one_of: Option<Vec<Value>>,
}

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Format {
    /// A day as vCard has it (RFC 6350 section 4.3.1), of which the end or the year may be missing.
    VcardDate,
    /// An instant, a local time or a day. Binds the owner's hand alone: a source's time that can't be read costs itself,
    /// not the record, and is named by who reads it.
    Time,
}

impl Format {
    fn accepts(self, text: &str) -> bool {
        match self {
            Self::VcardDate => ["", "-01", "-01-01"].iter().any(|rest| {
                is_day(&format!("{text}{rest}"))
                    || text
                        .strip_prefix("--")
                        .is_some_and(|day| is_day(&format!("2000-{day}")))
            }),
            Self::Time => {
                let local = [
                    "%Y-%m-%dT%H:%M:%S",
                    "%Y-%m-%dT%H:%M",
                    "%Y%m%dT%H%M%S",
                    "%Y%m%dT%H%M%SZ",
                ];
                is_day(text)
                    || DateTime::parse_from_rfc3339(text).is_ok()
                    || NaiveDate::parse_from_str(text, "%Y%m%d").is_ok()
                    || local
                        .iter()
                        .any(|form| NaiveDateTime::parse_from_str(text, form).is_ok())
            }
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::VcardDate => "a day, such as 1990-05-01 (--05-01 where the year isn't known)",
            Self::Time => {
                "a time: an instant (2026-05-01T09:30:00Z), a local time (2026-05-01T09:30) or a day (2026-05-01)"
            }
        }
    }
}

fn is_day(text: &str) -> bool {
    text.len() == 10 && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
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

    /// All of them, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = &EntityType> {
        self.0.values()
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
    /// The properties that it knows, by name: the type in JSON Schema, what is expected in words, whether it is required.
    pub(crate) fn properties(&self) -> impl Iterator<Item = (&str, Option<&str>, String, bool)> {
        self.schema.properties.iter().map(|(name, property)| {
            let required = self.schema.required.contains(name);
            (
                name.as_str(),
                property.kind.as_deref(),
                property.expected(),
                required,
            )
        })
    }

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
        if value.is_null() || property.accepts(value, unknown) {
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
            || {
                let known: Vec<&str> = self.schema.properties.keys().map(String::as_str).collect();
                format!(
                    "it has {}; a property of your own begins with `x_`",
                    known.join(", ")
                )
            },
            |near| format!("did you mean `{near}`?"),
        );
        format!("{} has no property `{}`: {hint}", self.name, shorten(name))
    }
}

impl Property {
    fn accepts(&self, value: &Value, unknown: Unknown) -> bool {
        let text = value.as_str();
        let binds = |format: &Format| *format != Format::Time || unknown == Unknown::Refuse;
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
            && self
                .min_length
                .is_none_or(|min| text.is_none_or(|text| text.trim().chars().take(min).count() == min))
            && self
                .max_length
                .is_none_or(|max| text.is_none_or(|text| text.chars().take(max + 1).count() <= max))
            && self
                .format
                .filter(binds)
                .is_none_or(|format| text.is_none_or(|text| format.accepts(text)))
            && self.one_of.as_ref().is_none_or(|allowed| allowed.contains(value))
    }

    /// In words, such as "a number from -90 to 90".
    fn expected(&self) -> String {
        if let Some(allowed) = &self.one_of {
            let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            return format!("one of {}", allowed.join(", "));
        }
        if let Some(format) = self.format {
            return format.words().to_owned();
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
        if self.min_length == Some(1) {
            words += " that isn't empty,";
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
            "title": {"type": "string", "minLength": 1, "maxLength": 9},
            "born": {"type": "string", "format": "vcard-date"},
            "opens_at": {"type": "string", "format": "time"},
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
    fn a_day_is_a_day_and_a_name_is_not_empty_whoever_says_it() {
        for (props, part) in [
            (
                json!({"born": "notadate"}),
                "`born` must be a day, such as 1990-05-01",
            ),
            (json!({"born": "1990-02-30"}), "is \"1990-02-30\""),
            (json!({"born": "--02-30"}), "`born`"),
            (json!({"born": ""}), "`born`"),
            (json!({"title": " "}), "`title` must be a text that isn't empty"),
        ] {
            assert!(accept(props.clone(), Unknown::Keep).is_err(), "{props}");
            let error = accept(props, Unknown::Refuse).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        for born in ["1990-05-01", "--02-29", "1990-05", "1990"] {
            assert!(accept(json!({"born": born}), Unknown::Keep).is_ok(), "{born}");
        }
    }

    #[test]
    fn a_time_that_can_not_be_read_is_refused_of_the_owner_and_costs_a_source_nothing_else() {
        for time in [
            "2026-05-01T09:30:00Z",
            "2026-05-01T09:30",
            "2026-05-01",
            "20260501T093000Z",
        ] {
            assert!(
                accept(json!({"opens_at": time}), Unknown::Refuse).is_ok(),
                "{time}"
            );
        }
        let error = accept(json!({"opens_at": "nine"}), Unknown::Refuse).unwrap_err();
        assert!(error.contains("must be a time: an instant"), "{error}");
        assert!(accept(json!({"opens_at": "nine"}), Unknown::Keep).is_ok());
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
