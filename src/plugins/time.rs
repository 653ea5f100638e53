//! Times as providers write them.

use chrono::{DateTime, Utc};
use serde_json::Value;

/// RFC 3339, RFC 2822 (Twilio) or seconds since 1970.
pub(crate) fn parse(value: &Value) -> Option<DateTime<Utc>> {
    match value {
        Value::String(text) => {
            let parsed = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_rfc2822(text));
            parsed.ok().map(|at| at.with_timezone(&Utc))
        }
        Value::Number(seconds) => DateTime::from_timestamp(seconds.as_i64()?, 0),
        _ => None,
    }
}

/// How a time is given to scripts: RFC 3339 in UTC, to the second, so that texts compare as times do.
pub(crate) fn to_script(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_usual_forms_name_the_same_moment() {
        let at = DateTime::from_timestamp(1_795_219_200, 0).unwrap();
        for form in [
            json!("2026-11-21T00:00:00Z"),
            json!("Sat, 21 Nov 2026 00:00:00 +0000"),
            json!(1_795_219_200),
        ] {
            assert_eq!(parse(&form), Some(at), "{form}");
        }
        assert_eq!(to_script(at), "2026-11-21T00:00:00Z");
        for form in [json!("yesterday"), json!(null), json!(i64::MAX)] {
            assert_eq!(parse(&form), None, "{form}");
        }
    }
}
