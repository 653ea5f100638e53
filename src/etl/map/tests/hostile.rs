//! Bytes that somebody made to harm.

use base64::Engine as _;
use proptest::prelude::*;

use super::mails::MAIL;
use super::*;

#[test]
fn bombs_end_soon_and_small() {
    let mut card = "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Bomb\r\n".to_owned();
    for n in 0..20_000 {
        card.push_str(&format!("EMAIL:a{n}@example.org\r\nX-A;X=\"{n}\":;;;;,,,,\r\n"));
    }
    let card = map(&record("text/vcard", card + "END:VCARD\r\n"), &hints()).unwrap();
    assert!(card.entities[0].identifiers.len() <= 50);
    let many: Vec<String> = (0..50_000).map(|n| format!("a{n}@example.org")).collect();
    let mail = format!(
        "From: sam@example.org\r\nTo: {}\r\nSubject: x\r\n\r\n",
        many.join(", ")
    );
    let mail = map(&record("message/rfc822", mail), &hints()).unwrap();
    assert!(mail.people.len() <= 20);
    assert!(serde_json::to_vec(&mail.entities[0].props).unwrap().len() < 64 * 1024);
    let mut nested = String::new();
    for n in 0..3_000 {
        nested.push_str(&format!(
            "Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"
        ));
    }
    map(
        &record("message/rfc822", format!("From: sam@example.org\r\n{nested}")),
        &hints(),
    )
    .unwrap();
    // Messages in messages, in the open and in a coded part.
    let levels = |many| "Content-Type: message/rfc822\n\n".repeat(many) + "hello";
    let coded = |many| {
        let coded = base64::prelude::BASE64_STANDARD.encode(levels(many));
        "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n".to_owned() + &coded
    };
    for inner in [levels(200), levels(100_000), coded(5_000), coded(60_000)] {
        let mail = format!("From: sam@example.org\nSubject: deep\n{inner}");
        let mail = map(&record("message/rfc822", mail), &hints()).unwrap();
        assert_eq!(mail.entities[0].props["subject"], "deep");
    }
    // Millions of parts without anything in them: what the header says is kept.
    let parts = "--b\n\nx\n".repeat(100_000);
    let mail =
        format!("From: sam@example.org\nSubject: wide\nContent-Type: multipart/mixed; boundary=b\n\n{parts}");
    let mail = map(&record("message/rfc822", mail), &hints()).unwrap();
    assert_eq!(mail.entities[0].props["subject"], "wide");
    assert!(!mail.entities[0].props.contains_key("attachments"));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(map(&record("application/ld+json", deep), &hints()).is_err());
}

/// Samples that mutations begin from.
const SAMPLES: [(&str, &str); 4] = [
    (
        "text/vcard",
        "BEGIN:VCARD\r\nVERSION:2.1\r\nN;ENCODING=QUOTED-PRINTABLE:=C3=A4;b\r\nBDAY:--0501\r\nTEL:+49\r\nEND:VCARD\r\n",
    ),
    (
        "text/calendar",
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;TZID=Europe/Berlin:20260329T023000\r\nDURATION:P9999999D\r\n\
         RRULE:FREQ=DAILY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
    ),
    ("message/rfc822", MAIL),
    ("text/csv", "Name,Phone 1 - Value\r\n\"a\"\"b\",1\r\n"),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_parser_fail(
        which in 0..SAMPLES.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..12),
    ) {
        let (media_type, sample) = SAMPLES[which];
        let mut body = sample.as_bytes().to_vec();
        for (at, byte, kind) in edits {
            let at = at.index(body.len().max(1)).min(body.len().saturating_sub(1));
            match kind {
                0 if !body.is_empty() => body[at] = byte,
                1 => body.insert(at, byte),
                _ if !body.is_empty() => drop(body.remove(at)),
                _ => {}
            }
        }
        // An error is as good as a meaning; the point is that it comes back at all.
        if let Ok(meaning) = map(&record(media_type, body), &hints()) {
            for entity in &meaning.entities {
                prop_assert!(entity.identifiers.iter().all(|one| one.value.len() <= 512 && !one.value.contains('\0')));
                prop_assert!(entity.title.as_ref().is_none_or(|title| !title.chars().any(char::is_control)));
            }
        }
    }
}
