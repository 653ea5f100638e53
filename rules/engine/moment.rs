//! What `now()` tells a script.

use chrono::{DateTime, Datelike, Timelike, Utc};
use serde_json::{Value, json};

const WEEKDAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// A moment as a map: parts in the zone, and the seconds since 1970 for arithmetic.
pub(crate) fn describe(at: DateTime<Utc>, zone: chrono_tz::Tz) -> Value {
    let local = at.with_timezone(&zone);
    let weekday = WEEKDAYS
        .get(local.weekday().num_days_from_monday() as usize)
        .copied();
    json!({
        "unix": at.timestamp(),
        "text": local.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        "zone": zone.name(),
        "year": local.year(), "month": local.month(), "day": local.day(), "weekday": weekday,
        "hour": local.hour(), "minute": local.minute(), "second": local.second(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_in_its_zone() {
        let at: DateTime<Utc> = "2026-03-29T01:30:00Z".parse().unwrap();
        let vienna = describe(at, chrono_tz::Europe::Vienna);
        assert_eq!(
            (&vienna["hour"], &vienna["weekday"]),
            (&json!(3), &json!("sunday"))
        );
        assert_eq!(vienna["text"], "2026-03-29T03:30:00+02:00");
        assert_eq!(describe(at, chrono_tz::UTC)["hour"], 1);
        assert_eq!(vienna["unix"], at.timestamp());
    }
}
