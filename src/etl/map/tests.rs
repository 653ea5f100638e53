//! What records of each format mean.

mod calendars;
mod cards;
mod ground;
mod hostile;
mod mails;
mod tables;

use serde_json::json;

use super::*;

fn record(media_type: &str, body: impl Into<Vec<u8>>) -> RawRecord {
    RawRecord {
        connection: None,
        stream: "file".to_owned(),
        remote_id: String::new(),
        revision: String::new(),
        media_type: media_type.to_owned(),
        body: body.into(),
    }
}

fn hints() -> Hints {
    Hints {
        country: Some("DE".to_owned()),
        zone: Some(Tz::Europe__Berlin),
        mailboxes: vec!["alice@example.org".to_owned()],
    }
}

fn meant(media_type: &str, body: &str) -> Meaning {
    map(&record(media_type, body.replace('\n', "\r\n")), &hints()).unwrap()
}

fn known_by(entity: &EntityChange) -> Vec<String> {
    entity
        .identifiers
        .iter()
        .map(|one| format!("{} {}", one.scheme, one.value))
        .collect()
}

#[test]
fn each_media_type_that_is_read_has_a_mapping_in_whatever_case() {
    for media_type in MEDIA_TYPES {
        let odd = format!(" {}; charset=x", media_type.to_uppercase());
        assert!(is_mapped(&odd), "{odd}");
        if let Err(reason) = map(&record(&odd, ""), &hints()) {
            assert!(!reason.contains("no mapping"), "{odd}");
        }
    }
    assert!(!is_mapped("text/html"));
}

#[test]
fn what_is_something_else_is_refused_without_a_word_of_its_content() {
    for (media_type, body) in [
        ("text/vcard", "secret"),
        ("text/calendar", "secret"),
        (
            "text/calendar",
            "BEGIN:VCALENDAR\r\nX-A:secret\r\nEND:VCALENDAR\r\n",
        ),
        ("message/rfc822", ""),
        ("text/csv", "secret"),
        ("application/ld+json", "{\"@type\": \"secret\"}"),
        ("application/ld+json", "[[[["),
        ("application/gpx+xml", "<gpx>secret"),
        ("application/geo+json", "{\"type\": \"secret\"}"),
        ("application/pdf", "secret"),
    ] {
        let reason = map(&record(media_type, body), &hints()).unwrap_err();
        assert!(
            !reason.contains("secret") && !reason.is_empty(),
            "{media_type}: {reason}"
        );
    }
}
