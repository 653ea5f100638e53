//! What an OwnTracks body means.
//!
//! Invariant: pure, and total: every sequence of bytes is one of the four kinds of [`Report`].

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::credentials::presentable;

/// Types that are kept as they came, without a meaning yet.
const OTHER_TYPES: [&str; 13] = [
    "beacon",
    "card",
    "cmd",
    "configuration",
    "dump",
    "lwt",
    "request",
    "status",
    "steps",
    "transition",
    "waypoint",
    "waypoints",
    "zone",
];
/// A fix before 2000 comes from a receiver that has no time yet.
const EARLIEST_S: i64 = 946_684_800;
/// A fix further ahead of the hub's clock than this is no fix.
const AHEAD_MAX: TimeDelta = TimeDelta::days(1);
/// Half of the earth's circumference, in metres: no circle is wider.
const ACCURACY_MAX_M: f64 = 20_100_000.0;
/// Longer ids are not the app's.
const ID_CHARS: usize = 64;

/// A body.
#[derive(Debug, PartialEq)]
pub(crate) enum Report {
    /// A zero-length body, which is legal and says nothing.
    Empty,
    /// A position.
    Location(Location),
    /// Something else that the app says, kept without a meaning.
    Other {
        /// Its type.
        stream: &'static str,
    },
    /// It can't be understood; the reason repeats nothing of it.
    Malformed {
        /// Its type as far as it is known.
        stream: &'static str,
        /// Why, and what would help.
        reason: String,
    },
}

/// Where a device was.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Location {
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    pub(crate) accuracy_m: Option<f64>,
    pub(crate) battery_percent: Option<u8>,
    /// When the fix was taken.
    pub(crate) taken_at: DateTime<Utc>,
    /// The tracker id: two letters that the app shows.
    pub(crate) tid: Option<String>,
    /// The app's own id of the message, where it sends one.
    pub(crate) id: Option<String>,
}

/// Understands a body that arrived `now`.
pub(crate) fn read(body: &[u8], now: DateTime<Utc>) -> Report {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Report::Empty;
    }
    let malformed = |stream, reason: &str| Report::Malformed {
        stream,
        reason: reason.to_owned(),
    };
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return malformed("unreadable", "the body is not JSON");
    };
    let Value::Object(fields) = value else {
        return malformed("unreadable", "the body is not a JSON object");
    };
    match fields.get("_type").and_then(Value::as_str) {
        Some("location") => match location(&fields, now) {
            Ok(location) => Report::Location(location),
            Err(reason) => Report::Malformed {
                stream: "location",
                reason,
            },
        },
        Some("encrypted") => malformed(
            "encrypted",
            "the report is encrypted: remove the encryption key from the app's settings; HTTPS protects it on its way",
        ),
        Some(other) => match OTHER_TYPES.iter().find(|known| **known == other) {
            Some(stream) => Report::Other { stream },
            None => malformed("unknown", "its _type is none that OwnTracks documents"),
        },
        None => malformed("unreadable", "the field _type is missing"),
    }
}

fn location(fields: &Map<String, Value>, now: DateTime<Utc>) -> Result<Location, String> {
    let latitude = degrees(fields, "lat", 90.0)?;
    let longitude = degrees(fields, "lon", 180.0)?;
    Ok(Location {
        latitude,
        longitude,
        accuracy_m: accuracy(fields)?,
        battery_percent: battery(fields),
        taken_at: taken_at(fields, now)?,
        tid: fields.get("tid").and_then(Value::as_str).and_then(presentable),
        id: fields
            .get("_id")
            .and_then(Value::as_str)
            .filter(|id| is_plain(id))
            .map(str::to_owned),
    })
}

fn degrees(fields: &Map<String, Value>, name: &str, most: f64) -> Result<f64, String> {
    let value = fields
        .get(name)
        .ok_or_else(|| format!("the field {name} is missing"))?;
    let value = value
        .as_f64()
        .ok_or_else(|| format!("the field {name} is not a number"))?;
    if value.abs() <= most {
        Ok(value)
    } else {
        Err(format!("the field {name} is beyond ±{most} degrees"))
    }
}

fn accuracy(fields: &Map<String, Value>) -> Result<Option<f64>, String> {
    let Some(value) = fields.get("acc").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let metres = value.as_f64().ok_or("the field acc is not a number")?;
    if metres < 0.0 {
        return Err("the field acc is negative: the device says that it has no position".to_owned());
    }
    Ok(Some(metres.min(ACCURACY_MAX_M)))
}

/// A battery reading beyond 0 to 100 (iOS says -1 for unknown) is no reason to lose a position.
fn battery(fields: &Map<String, Value>) -> Option<u8> {
    let percent = fields.get("batt")?.as_f64()?;
    // In range, so the conversion loses the fraction only.
    (0.0..=100.0).contains(&percent).then(|| percent.round() as u8)
}

fn taken_at(fields: &Map<String, Value>, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let value = fields.get("tst").ok_or("the field tst is missing")?;
    let seconds = value
        .as_i64()
        .ok_or("the field tst is not a whole number of seconds")?;
    let at = DateTime::from_timestamp(seconds, 0).filter(|_| seconds >= EARLIEST_S);
    let at = at.ok_or("the field tst is before 2000 or no time at all")?;
    if at <= now + AHEAD_MAX {
        Ok(at)
    } else {
        Err("the field tst is more than a day ahead".to_owned())
    }
}

fn is_plain(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= ID_CHARS
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests;
