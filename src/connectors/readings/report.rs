//! What a reading may be.
//!
//! Invariant: pure.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use contracts::events::state::{FACT_KEY_FORM, VALIDITY_FORM, is_fact_key, validity};
use serde::Deserialize;
use serde_json::Value;

/// Longest value, in bytes of JSON.
const VALUE_MAX: usize = 4_096;
/// Longest unit and name of a source, in characters.
const NAME_MAX: usize = 64;
/// A reading before 2000 comes from a clock that has no time yet.
const EARLIEST_S: i64 = 946_684_800;
/// A reading further ahead of the hub's clock than this is none.
const AHEAD_MAX: TimeDelta = TimeDelta::days(1);

/// What somebody says that something is.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Word {
    /// A text, number, true or false, or an object; at most 4 KB.
    pub(crate) value: Value,
    /// What it is measured in, such as `°C`.
    pub(crate) unit: Option<String>,
    /// When it was read; without it: now.
    pub(crate) taken_at: Option<DateTime<Utc>>,
    /// How sure it is, 0 to 1; without it: 1.
    pub(crate) confidence: Option<f64>,
    /// How long it holds, such as `30m`; without it: as the owner set it for this key.
    pub(crate) valid_for: Option<String>,
    /// Which sensor it was, where one token speaks for several, such as `thermostat`.
    pub(crate) source: Option<String>,
}

/// What somebody reports.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Report {
    /// What it is a reading of, such as `home.temperature`.
    pub(crate) key: String,
    /// A text, number, true or false, or an object; at most 4 KB.
    pub(crate) value: Value,
    /// What it is measured in, such as `°C`.
    pub(crate) unit: Option<String>,
    /// When it was read; without it: now.
    pub(crate) taken_at: Option<DateTime<Utc>>,
    /// How sure it is, 0 to 1; without it: 1.
    pub(crate) confidence: Option<f64>,
    /// How long it holds, such as `30m`; without it: as the owner set it for this key.
    pub(crate) valid_for: Option<String>,
    /// Which sensor it was, where one token speaks for several, such as `thermostat`.
    pub(crate) source: Option<String>,
}

impl Report {
    /// What is said of which key.
    pub(crate) fn split(self) -> (String, Word) {
        let Self {
            key,
            value,
            unit,
            taken_at,
            confidence,
            valid_for,
            source,
        } = self;
        let word = Word {
            value,
            unit,
            taken_at,
            confidence,
            valid_for,
            source,
        };
        (key, word)
    }
}

/// A reading that can be taken in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) unit: Option<String>,
    pub(crate) taken_at: DateTime<Utc>,
    pub(crate) confidence: f64,
    pub(crate) valid_for_s: Option<i64>,
    /// Which of the speaker's sensors.
    pub(crate) sensor: Option<String>,
}

/// Checks what arrived `now`; else what would be right.
pub(crate) fn read(key: String, word: Word, now: DateTime<Utc>) -> Result<Reading, String> {
    if !is_fact_key(&key) {
        return Err(FACT_KEY_FORM.to_owned());
    }
    check_value(&word.value)?;
    let unit = word.unit.filter(|unit| !unit.is_empty());
    if unit.as_deref().is_some_and(|unit| !is_short(unit)) {
        return Err("unit is longer than 64 characters, or has a control character".to_owned());
    }
    let confidence = word.confidence.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&confidence) {
        return Err("confidence is a number from 0 to 1".to_owned());
    }
    let valid_for = word.valid_for.as_deref().map(validity);
    if valid_for == Some(None) {
        return Err(format!("valid_for: {VALIDITY_FORM}"));
    }
    if word.source.as_deref().is_some_and(|name| !is_name(name)) {
        return Err(
            "source is a name of at most 64 letters, digits, `-`, `_` and dots, such as thermostat"
                .to_owned(),
        );
    }
    Ok(Reading {
        key,
        value: word.value,
        unit,
        taken_at: taken_at(word.taken_at, now)?,
        confidence,
        valid_for_s: valid_for.flatten().map(|length| length.num_seconds()),
        sensor: word.source,
    })
}

fn check_value(value: &Value) -> Result<(), String> {
    match value {
        Value::Null => {
            return Err(
                "value is null: to say that something is unknown, retract it (DELETE /api/v1/state/{key})"
                    .to_owned(),
            );
        }
        Value::Array(_) => {
            return Err("value is a list: a text, number, true or false, or an object is wanted".to_owned());
        }
        _ => {}
    }
    let bytes = value.to_string().len();
    if bytes > VALUE_MAX {
        return Err(format!(
            "value has {bytes} bytes of JSON, and {VALUE_MAX} is the most"
        ));
    }
    Ok(())
}

fn taken_at(told: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    // As fine as the database keeps it.
    let at = told.unwrap_or(now).trunc_subsecs(6);
    if at.timestamp() < EARLIEST_S {
        return Err("taken_at is before 2000".to_owned());
    }
    if at > now + AHEAD_MAX {
        return Err("taken_at is more than a day ahead".to_owned());
    }
    Ok(at)
}

fn is_short(text: &str) -> bool {
    text.chars().count() <= NAME_MAX && !text.chars().any(char::is_control)
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && text.len() <= NAME_MAX && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> DateTime<Utc> {
        "2026-11-21T10:00:00Z".parse().unwrap()
    }

    fn read(body: Value) -> Result<Reading, String> {
        let report: Report = serde_json::from_value(body).map_err(|error| error.to_string())?;
        let (key, word) = report.split();
        super::read(key, word, now())
    }

    #[test]
    fn a_key_and_a_value_are_enough() {
        let reading = read(json!({ "key": "home.temperature", "value": 21.5 })).unwrap();
        assert_eq!(
            (reading.taken_at, reading.confidence, reading.valid_for_s),
            (now(), 1.0, None)
        );
        let full = json!({ "key": "home.air", "value": { "co2": 612 }, "unit": "ppm", "confidence": 0.5,
            "taken_at": "2026-11-21T10:30:00.123456789+01:00", "valid_for": "1h30m", "source": "hall-1" });
        let reading = read(full).unwrap();
        assert_eq!(reading.taken_at.to_rfc3339(), "2026-11-21T09:30:00.123456+00:00");
        assert_eq!(
            (reading.valid_for_s, reading.sensor.as_deref()),
            (Some(5_400), Some("hall-1"))
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let with = |field: &str, value: Value| {
            let mut body = json!({ "key": "home.temperature", "value": 21.5 });
            body[field] = value;
            read(body).unwrap_err()
        };
        for (field, value, says) in [
            ("key", json!("Temperature"), "lower-case words joined by dots"),
            ("value", json!(null), "retract"),
            ("value", json!([1]), "list"),
            ("value", json!("x".repeat(4_095)), "4097 bytes"),
            ("unit", json!("x".repeat(65)), "unit"),
            ("unit", json!("a\nb"), "unit"),
            ("confidence", json!(1.01), "confidence"),
            ("valid_for", json!("soon"), "valid_for"),
            ("source", json!("a/b"), "source"),
            ("source", json!(""), "source"),
            ("taken_at", json!("1999-12-31T23:59:59Z"), "before 2000"),
            ("taken_at", json!("2026-11-22T10:00:01Z"), "a day ahead"),
            ("taken_at", json!(12), "invalid type"),
            ("kye", json!(1), "unknown field `kye`"),
        ] {
            let told = with(field, value);
            assert!(told.contains(says), "{field}: {told}");
        }
        assert!(read(json!({ "key": "a.b", "value": "x".repeat(4_094) })).is_ok());
        assert!(read(json!({ "key": "a.b" })).unwrap_err().contains("value"));
    }
}
