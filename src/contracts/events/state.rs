//! Changes of the present state, and the few rules of form that all who report or read it share.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event;

/// A fact about the present changed, such as `me.place` from `Home` to `Work`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FactChanged {
    /// The fact's key, such as `me.place`.
    pub key: String,
    /// Its value before; null if there was none, or if it had expired.
    pub from: Value,
    /// Its value now; null if it is unknown.
    pub to: Value,
    /// What it was when it was last known: `from`, unless that is unknown by now.
    #[serde(default)]
    pub last_known: Value,
    /// What `to` is measured in, such as `°C`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Since when it holds.
    pub since: DateTime<Utc>,
    /// What told it.
    pub source: String,
}
event!(FactChanged, "state.FactChanged");

/// Nobody has said for too long that a fact still holds: it is unknown. The envelope's `occurred_at` is when it expired,
/// which is long before it was written down if the hub was off meanwhile.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FactExpired {
    /// The fact's key.
    pub key: String,
    /// What it was.
    pub last_known: Value,
    /// Since when it had been that.
    pub since: DateTime<Utc>,
    /// When it was last seen to hold.
    pub observed_at: DateTime<Utc>,
    /// From when on it is unknown.
    pub expired_at: DateTime<Utc>,
    /// What had told it.
    pub source: String,
}
event!(FactExpired, "state.FactExpired");

/// A moment came by which a fact expires if nobody confirmed it meanwhile. The clock's word in the log, so that a
/// replay knows it too; [`FactExpired`] is what came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeadlinePassed {
    /// The fact's key.
    pub key: String,
    /// The moment.
    pub deadline: DateTime<Utc>,
}
event!(DeadlinePassed, "state.DeadlinePassed");

/// The owner said that what the hub believes is not so, and that the fact is unknown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FactRetracted {
    /// The fact's key.
    pub key: String,
}
event!(FactRetracted, "state.FactRetracted");

/// The owner said how long readings of a key hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ValidityChanged {
    /// The fact's key.
    pub key: String,
    /// In seconds; `None`: for ever.
    pub valid_for_s: Option<i64>,
}
event!(ValidityChanged, "state.ValidityChanged");

/// Longest key, in bytes: also the longest kind of a Reading.
const KEY_MAX: usize = 64;
/// Longest time that a reading may be said to hold.
const VALID_FOR_MAX: TimeDelta = TimeDelta::days(3_660);

/// True for the key of a fact: two or more lower-case words joined by dots, such as `home.temperature`; digits and
/// `_` may follow a word's first letter.
pub fn is_fact_key(text: &str) -> bool {
    let word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    text.len() <= KEY_MAX && text.contains('.') && text.split('.').all(word)
}

/// What a wrong key is told.
pub const FACT_KEY_FORM: &str =
    "a key is two or more lower-case words joined by dots, at most 64 characters, such as home.temperature";

/// What a wrong validity is told.
pub const VALIDITY_FORM: &str =
    "write how long it holds as 30s, 30m, 12h, 2d, 1w or 1h30m, from a second to ten years";

/// Reads how long something holds, such as `30m` or `1h30m`; `None` if it says nothing of the kind.
pub fn validity(text: &str) -> Option<TimeDelta> {
    let mut rest = text;
    let mut seconds: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest.get(..digits)?.parse().ok()?;
        let unit = match rest.as_bytes().get(digits)? {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    TimeDelta::try_seconds(seconds)
        .filter(|length| *length >= TimeDelta::seconds(1) && *length <= VALID_FOR_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lower_case_words_joined_by_dots() {
        for key in [
            "me.place",
            "home.temperature",
            "presence.sam",
            "a.b.c",
            "weather.pm2_5",
        ] {
            assert!(is_fact_key(key), "{key}");
        }
        let long = format!("a.{}", "b".repeat(63));
        for other in [
            "",
            "place",
            "me.",
            ".me",
            "me..place",
            "Me.place",
            "me.pläce",
            "me.2nd",
            "me place.a",
            "a.b\0",
            &long,
        ] {
            assert!(!is_fact_key(other), "{other}");
        }
    }

    #[test]
    fn a_validity_is_read_or_refused() {
        let table = [
            ("30s", 30),
            ("30m", 1_800),
            ("1h30m", 5_400),
            ("2d", 172_800),
            ("1w", 604_800),
        ];
        for (text, seconds) in table {
            assert_eq!(validity(text), Some(TimeDelta::seconds(seconds)), "{text}");
        }
        for other in [
            "",
            "30",
            "m",
            "0s",
            "-1m",
            "1.5h",
            "9999w",
            "30 m",
            "1é",
            "99999999999999999999s",
        ] {
            assert_eq!(validity(other), None, "{other}");
        }
    }
}
