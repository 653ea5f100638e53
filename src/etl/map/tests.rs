//! What records of each format mean.

use base64::Engine as _;
use proptest::prelude::*;
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
fn a_card_is_a_person_with_addresses_in_their_one_spelling() {
    let meaning = meant(
        "text/vcard",
        "BEGIN:VCARD\nVERSION:3.0\nUID:u-1\nFN:Sam Example\nN:Example;Sam;;;\nTEL;TYPE=CELL:030 901820\nTEL:12345\n\
         EMAIL:Sam@Example.org\nBDAY:1990-05-01\nNOTE:likes\\, tea\\nand cake\nORG:Example Ltd;Sales\nTITLE:Clerk\n\
         ADR:;;Main St 1;Town;;12345;\nURL:https://example.org/sam\nEND:VCARD\n",
    );
    let person = &meaning.entities[0];
    assert_eq!(
        (person.kind.as_str(), person.title.as_deref()),
        ("Person", Some("Sam Example"))
    );
    assert_eq!(
        known_by(person),
        ["vcard.uid u-1", "tel +4930901820", "email sam@example.org"]
    );
    assert_eq!(
        Value::Object(person.props.clone()),
        json!({
            "name": "Sam Example", "given_name": "Sam", "family_name": "Example", "x_tel": ["12345"],
            "url": "https://example.org/sam", "birthday": "1990-05-01", "note": "likes, tea\nand cake",
            "organization": "Example Ltd", "job_title": "Clerk", "address": "Main St 1, Town, 12345",
        })
    );
    assert_eq!(meaning.entities[1].kind, "Organization");
    assert_eq!(known_by(&meaning.entities[1]), ["org.name example ltd"]);
    assert_eq!(meaning.relations, [(0, "member-of", 1)]);
}

#[test]
fn a_card_without_an_id_is_the_same_after_its_note_changed_and_another_persons_is_not() {
    let card = |name: &str, note: &str| {
        let body =
            format!("BEGIN:VCARD\nVERSION:4.0\nFN:{name}\nEMAIL:a@example.org\nNOTE:{note}\nEND:VCARD\n");
        known_by(&meant("text/vcard", &body).entities[0])[0].clone()
    };
    assert_eq!(card("Sam", "one"), card("Sam", "two"));
    assert_ne!(card("Sam", "one"), card("Kim", "one"));
}

#[test]
fn a_card_of_an_organization_is_no_person() {
    for card in [
        "KIND:org\nFN:Example Ltd\n",
        "FN:Example Ltd\nORG:Example Ltd\n",
        "ORG:Example Ltd\n",
    ] {
        let meaning = meant(
            "text/vcard",
            &format!("BEGIN:VCARD\nVERSION:4.0\n{card}END:VCARD\n"),
        );
        assert_eq!(meaning.entities[0].kind, "Organization", "{card}");
        assert_eq!(meaning.entities[0].title.as_deref(), Some("Example Ltd"));
    }
}

#[test]
fn an_event_keeps_its_zone_its_rule_and_its_people() {
    let meaning = meant(
        "text/calendar",
        "BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nUID:e-1\nSUMMARY:Lunch\nDTSTART;TZID=Europe/Berlin:20260501T120000\n\
         DTEND;TZID=Europe/Berlin:20260501T130000\nRRULE:FREQ=WEEKLY;BYDAY=FR\nLOCATION:Café\nSTATUS:CONFIRMED\n\
         ORGANIZER:mailto:sam@example.org\nATTENDEE;CN=Kim:MAILTO:Kim@example.org\nEND:VEVENT\nEND:VCALENDAR\n",
    );
    let event = &meaning.entities[0];
    assert_eq!(
        (event.kind.as_str(), event.title.as_deref()),
        ("Event", Some("Lunch"))
    );
    assert_eq!(event.starts_at.unwrap().to_rfc3339(), "2026-05-01T10:00:00+00:00");
    assert_eq!(
        Value::Object(event.props.clone()),
        json!({
            "name": "Lunch", "start_at": "2026-05-01T10:00:00Z", "ends_at": "2026-05-01T11:00:00Z",
            "time_zone": "Europe/Berlin", "recurrence": "FREQ=WEEKLY;BYDAY=FR", "location": "Café", "status": "confirmed",
            "organizer": "sam@example.org", "attendees": ["kim@example.org"],
        })
    );
    assert_eq!(meaning.place.as_deref(), Some("Café"));
}

#[test]
fn a_whole_day_begins_at_the_owners_midnight_and_a_changed_occurrence_is_its_own_event() {
    let meaning = meant(
        "text/calendar",
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:e-1\nSUMMARY:Trip\nDTSTART;VALUE=DATE:20260501\nEND:VEVENT\nBEGIN:VEVENT\n\
         UID:e-1\nRECURRENCE-ID;VALUE=DATE:20260508\nSUMMARY:Trip, later\nDTSTART;VALUE=DATE:20260509\nEND:VEVENT\n\
         END:VCALENDAR\n",
    );
    let day = &meaning.entities[0];
    assert_eq!(day.starts_at.unwrap().to_rfc3339(), "2026-04-30T22:00:00+00:00");
    assert_eq!(
        (&day.props["start_at"], &day.props["all_day"]),
        (&json!("2026-05-01"), &json!(true))
    );
    assert_eq!(known_by(&meaning.entities[1]), ["ical.uid e-1#2026-05-08"]);
}

#[test]
fn a_task_of_a_calendar_has_the_properties_of_a_task() {
    let meaning = meant(
        "text/calendar",
        "BEGIN:VCALENDAR\nBEGIN:VTODO\nUID:t-1\nSUMMARY:Taxes\nDUE:20260531T100000Z\nPRIORITY:1\nPERCENT-COMPLETE:40\n\
         STATUS:IN-PROCESS\nEND:VTODO\nEND:VCALENDAR\n",
    );
    let task = &meaning.entities[0];
    assert_eq!(
        (task.kind.as_str(), task.title.as_deref()),
        ("Task", Some("Taxes"))
    );
    assert_eq!(
        Value::Object(task.props.clone()),
        json!({"name": "Taxes", "due_at": "2026-05-31T10:00:00Z", "priority": 1, "percent": 40, "status": "in-process"})
    );
}

const MAIL: &str = "From: \"Sam Example\" <Sam@example.org>\nTo: alice@example.org, Kim <kim@example.org>\nCc: info@example.org\n\
    Subject: Re: Lunch\nDate: Fri, 1 May 2026 12:00:00 +0200\nMessage-ID: <b@example.org>\nIn-Reply-To: <a@example.org>\n\
    References: <r@example.org> <a@example.org>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n\
    --x\nContent-Type: text/html; charset=utf-8\n\n<p>See <b>you</b></p>\n--x\n\
    Content-Type: application/pdf\nContent-Disposition: attachment; filename=\"../../menu.pdf\"\n\nabc\n--x--\n";

#[test]
fn a_mail_is_a_message_of_a_thread_with_people() {
    let meaning = meant("message/rfc822", MAIL);
    let message = &meaning.entities[0];
    assert_eq!(
        (message.kind.as_str(), message.title.as_deref()),
        ("Message", Some("Re: Lunch"))
    );
    assert_eq!(known_by(message), ["mail.message-id b@example.org"]);
    assert_eq!(
        message.starts_at.unwrap().to_rfc3339(),
        "2026-05-01T10:00:00+00:00"
    );
    assert_eq!(
        Value::Object(message.props.clone()),
        json!({
            "direction": "in", "channel": "email", "status": "received", "subject": "Re: Lunch", "from": "sam@example.org",
            "to": "alice@example.org", "recipients": ["alice@example.org", "kim@example.org"], "cc": ["info@example.org"],
            "text": "See you", "sent_at": "2026-05-01T10:00:00Z", "in_reply_to": "a@example.org",
            "attachments": [{
                "name": "menu.pdf", "media_type": "application/pdf", "size_bytes": 3,
                "content_hash": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            }],
        })
    );
    let [menu] = &meaning.enclosures[..] else {
        panic!("{:?}", meaning.enclosures)
    };
    assert_eq!(
        (menu.predicate, menu.filename.as_deref(), &menu.bytes[..]),
        ("attachment", Some("menu.pdf"), &b"abc"[..])
    );
    assert!(
        !format!("{menu:?}").contains("menu.pdf"),
        "no content reaches a log"
    );
    assert_eq!(
        meaning.thread.unwrap(),
        Thread {
            ids: ["r@example.org", "a@example.org", "b@example.org"]
                .map(ToOwned::to_owned)
                .to_vec(),
            subject: Some("Lunch".to_owned()),
        }
    );
    let people: Vec<_> = meaning
        .people
        .iter()
        .map(|one| (one.email.as_str(), one.name.as_deref()))
        .collect();
    assert_eq!(
        people,
        [
            ("sam@example.org", Some("Sam Example")),
            ("kim@example.org", Some("Kim"))
        ]
    );
}

#[test]
fn what_the_owner_sends_goes_out_and_a_newsletter_introduces_nobody() {
    let own = meant(
        "message/rfc822",
        &MAIL.replace("Sam@example.org", "alice@example.org"),
    );
    assert_eq!(own.entities[0].props["direction"], "out");
    assert_eq!(own.entities[0].props["status"], "sent");
    let list = meant("message/rfc822", &format!("List-Id: <news.example.org>\n{MAIL}"));
    assert_eq!(list.people, []);
}

#[test]
fn contacts_of_google_and_outlook_are_known_by_their_columns_names() {
    let google = "Name,Given Name,Family Name,E-mail 1 - Type,E-mail 1 - Value,Phone 1 - Value,Organization 1 - Name\n\
        Sam Example,Sam,Example,* Home,sam@example.org,+49 30 901820 ::: 12345,Example Ltd\n";
    let outlook = "First Name,Last Name,E-mail Address,Mobile Phone,Company\n\
        Sam,Example,sam@example.org,030/901820,Example Ltd\n";
    for table in [google, outlook] {
        let meaning = meant("text/csv", table);
        let person = &meaning.entities[0];
        assert_eq!(person.title.as_deref(), Some("Sam Example"), "{table}");
        assert_eq!(
            known_by(person)[1..],
            ["tel +4930901820", "email sam@example.org"],
            "{table}"
        );
        assert_eq!(meaning.entities[1].title.as_deref(), Some("Example Ltd"));
    }
    assert!(
        map(&record("text/csv", "a,b\n1,2\n"), &hints())
            .unwrap_err()
            .contains("names nobody")
    );
}

#[test]
fn numbers_of_others_and_ids_of_one_table_are_not_the_contacts_own() {
    let outlook = "id,First Name,Last Name,Assistant's Phone,Company Main Phone,Business Phone 2,Home Fax,Pager\n\
        7,Sam,Example,030 901821,030 901822,030 901820,030 901823,030 901824\n";
    let person = &meant("text/csv", outlook).entities[0];
    assert_eq!(known_by(person)[1..], ["tel +4930901820"]);
    assert!(!known_by(person)[0].ends_with(" 7"), "{:?}", known_by(person));
    let own = &meant("text/csv", "UID,Name\nurn:uuid:1,Sam\n").entities[0];
    assert_eq!(known_by(own), ["vcard.uid urn:uuid:1"]);
}

#[test]
fn a_card_of_eight_bits_is_read_in_its_charset() {
    for (charset, name) in [
        (";CHARSET=ISO-8859-2", &b"Ji\xf8\xed"[..]),
        ("", &b"J\xfcrgen"[..]),
    ] {
        let mut card = b"BEGIN:VCARD\r\nVERSION:2.1\r\nFN".to_vec();
        card.extend([charset.as_bytes(), b":", name, b"\r\nEND:VCARD\r\n"].concat());
        let person = map(&record("text/vcard", card), &hints()).unwrap();
        let expected = if charset.is_empty() { "Jürgen" } else { "Jiří" };
        assert_eq!(person.entities[0].title.as_deref(), Some(expected));
    }
}

/// `start_at` and `ends_at` of an event.
fn lasting(start: &str, duration: &str) -> (String, String) {
    let calendar = format!(
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:e\nDTSTART{start}\nDURATION:{duration}\nEND:VEVENT\nEND:VCALENDAR\n"
    );
    let props = &meant("text/calendar", &calendar).entities[0].props;
    let text = |name: &str| props[name].as_str().unwrap().to_owned();
    (text("start_at"), text("ends_at"))
}

#[test]
fn an_event_that_lasts_so_long_ends_in_the_form_in_which_it_starts() {
    for (start, duration, expected) in [
        (";VALUE=DATE:20260501", "P2D", ("2026-05-01", "2026-05-03")),
        (
            ":20260501T090000",
            "PT90M",
            ("2026-05-01T09:00:00", "2026-05-01T10:30:00"),
        ),
        (
            ":20260501T090000Z",
            "P1D",
            ("2026-05-01T09:00:00Z", "2026-05-02T09:00:00Z"),
        ),
        // A day over the change of the clocks has 23 hours; 24 hours are 24 hours.
        (
            ";TZID=Europe/Berlin:20260328T120000",
            "P1D",
            ("2026-03-28T11:00:00Z", "2026-03-29T10:00:00Z"),
        ),
        (
            ";TZID=Europe/Berlin:20260328T120000",
            "PT24H",
            ("2026-03-28T11:00:00Z", "2026-03-29T11:00:00Z"),
        ),
    ] {
        let (starts, ends) = lasting(start, duration);
        assert_eq!((starts.as_str(), ends.as_str()), expected, "{start} {duration}");
    }
}

#[test]
fn a_task_of_a_series_has_its_zone_its_exceptions_and_a_due_moment_from_its_duration() {
    let meaning = meant(
        "text/calendar",
        "BEGIN:VCALENDAR\nBEGIN:VTODO\nUID:t-1\nSUMMARY:Call\nDTSTART;TZID=America/New_York:20260501T090000\n\
         DURATION:PT1H\nRRULE:FREQ=WEEKLY\nEXDATE;TZID=America/New_York:20260508T090000\n\
         RDATE;TZID=America/New_York:20260509T090000\nEND:VTODO\nEND:VCALENDAR\n",
    );
    assert_eq!(
        Value::Object(meaning.entities[0].props.clone()),
        json!({
            "name": "Call", "status": "needs-action", "start_at": "2026-05-01T13:00:00Z",
            "due_at": "2026-05-01T14:00:00Z", "time_zone": "America/New_York", "recurrence": "FREQ=WEEKLY",
            "recurrence_exceptions": ["2026-05-08T09:00:00"], "recurrence_dates": ["2026-05-09T09:00:00"],
        })
    );
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
        ("application/pdf", "secret"),
    ] {
        let reason = map(&record(media_type, body), &hints()).unwrap_err();
        assert!(
            !reason.contains("secret") && !reason.is_empty(),
            "{media_type}: {reason}"
        );
    }
}

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
