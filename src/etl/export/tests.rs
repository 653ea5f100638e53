//! Files as other programs read them.

use serde_json::json;

use super::*;

fn exported(kind: &str, starts_at: Option<&str>, props: Value) -> Exported {
    let at = "2026-04-01T00:00:00Z".parse().unwrap();
    let entity = ExportedEntity {
        id: Uuid::nil(),
        kind: kind.to_owned(),
        title: Some("Lunch".to_owned()),
        props: serde_json::from_value(props).unwrap(),
        starts_at: starts_at.map(|at| at.parse().unwrap()),
        created_at: at,
        updated_at: at,
        raw_record: None,
    };
    Exported {
        entity,
        told_apart: Vec::new(),
        identifiers: vec![Identifier::new("ical.uid", "x")],
    }
}

/// The lines of one component, unfolded, without the zones.
fn lines(one: &Exported) -> Vec<String> {
    let mut out = Vec::new();
    calendar::Calendar::default().component(one, chrono_tz::Europe::Vienna, &mut out);
    let text = String::from_utf8(out).unwrap().replace("\r\n ", "");
    let text = text
        .split("END:VTIMEZONE\r\n")
        .last()
        .unwrap_or_default()
        .to_owned();
    text.lines().map(ToOwned::to_owned).collect()
}

fn has(one: &Exported, expected: &[&str]) {
    let lines = lines(one);
    for line in expected {
        assert!(lines.iter().any(|one| one == line), "{line} in {lines:#?}");
    }
}

#[test]
fn a_zone_stands_before_the_first_component_that_names_it_and_once() {
    let lunch = exported(
        "Event",
        Some("2026-05-01T10:00:00Z"),
        json!({ "start_at": "2026-05-01T10:00:00Z", "time_zone": "Europe/Berlin" }),
    );
    let (mut out, mut calendar) = (Vec::new(), calendar::Calendar::default());
    for _ in 0..2 {
        calendar.component(&lunch, chrono_tz::UTC, &mut out);
    }
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.starts_with("BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\n"),
        "{text}"
    );
    assert_eq!(text.matches("BEGIN:VTIMEZONE").count(), 1);
    assert_eq!(
        text.matches("DTSTART;TZID=Europe/Berlin:20260501T120000").count(),
        2
    );
}

#[test]
fn an_event_ends_in_the_form_of_its_start_and_without_a_start_is_none() {
    let event = |props| exported("Event", None, props);
    let day = json!({ "start_at": "2026-05-01", "ends_at": "2026-05-02T22:00:00Z", "recurrence_dates": ["2026-06-01"] });
    has(
        &event(day),
        &[
            "DTSTART;VALUE=DATE:20260501",
            "DTEND;VALUE=DATE:20260503",
            "RDATE;VALUE=DATE:20260601",
        ],
    );
    let floating = json!({ "start_at": "2026-05-01T09:00", "ends_at": "2026-05-01T08:00:00Z" });
    has(
        &event(floating),
        &["DTSTART:20260501T090000", "DTEND:20260501T100000"],
    );
    assert_eq!(lines(&event(json!({ "location": "Café" }))), [""; 0]);
}

#[test]
fn a_task_is_done_at_an_instant_and_its_series_counts_what_is_left() {
    let task = |props| exported("Task", None, props);
    let moved_on = json!({
        "due_at": "2026-05-03", "recurrence": "FREQ=DAILY;COUNT=5", "recurrence_start": "2026-05-01",
        "completed_at": "2026-05-02T09:00:00",
    });
    has(
        &task(moved_on),
        &[
            "DTSTART;VALUE=DATE:20260503",
            "DUE;VALUE=DATE:20260503",
            "RRULE:FREQ=DAILY;COUNT=3",
            "COMPLETED:20260502T070000Z",
        ],
    );
    let from_start = json!({
        "start_at": "2026-05-15", "due_at": "2026-05-23", "recurrence": "FREQ=WEEKLY;COUNT=5",
        "recurrence_start": "2026-05-01",
    });
    has(
        &task(from_start),
        &["DTSTART;VALUE=DATE:20260515", "RRULE:FREQ=WEEKLY;COUNT=3"],
    );
    let new_york = json!({ "due_at": "2026-05-01T13:00:00Z", "time_zone": "America/New_York" });
    has(&task(new_york), &["DUE;TZID=America/New_York:20260501T090000"]);
    has(&task(json!({})), &["SUMMARY:Lunch"]);
}

#[test]
fn a_reminder_at_a_time_is_told_as_the_instant_that_it_is() {
    let trigger = |zone: Value, reminder: &str| {
        let props = json!({ "start_at": "2026-05-01", "time_zone": zone, "reminders": [reminder] });
        let lines = lines(&exported("Event", None, props));
        lines.iter().find(|line| line.starts_with("TRIGGER")).cloned()
    };
    let at = |time: &str| Some(format!("TRIGGER;VALUE=DATE-TIME:{time}"));
    let local = "2026-05-01T09:00:00";
    assert_eq!(trigger(json!("America/New_York"), local), at("20260501T130000Z"));
    assert_eq!(
        trigger(Value::Null, local),
        at("20260501T070000Z"),
        "the owner's clock"
    );
    assert_eq!(
        trigger(Value::Null, "2026-05-01T09:00:00Z"),
        at("20260501T090000Z")
    );
    assert_eq!(trigger(Value::Null, "soon"), None);
}

#[test]
fn an_event_tells_who_answered_what_and_belongs_to_what() {
    let event = json!({
        "start_at": "2026-05-01T10:00:00Z", "attendees": ["kim@example.org", "sam@example.org"],
        "attendance": [{"email": "kim@example.org", "status": "accepted", "role": "chair"}, {"email": 1}],
        "categories": ["Work", "Food, drink"], "related_to": [{"is": "parent", "uid": "p;1"}, 2],
    });
    has(
        &exported("Event", None, event),
        &[
            "ATTENDEE;ROLE=CHAIR;PARTSTAT=ACCEPTED:mailto:kim@example.org",
            "ATTENDEE:mailto:sam@example.org",
            "CATEGORIES:Work,Food\\, drink",
            "RELATED-TO;RELTYPE=PARENT:p\\;1",
        ],
    );
}

#[test]
fn a_calendar_says_when_it_was_changed_and_how_far_a_moved_occurrence_reaches() {
    let mut one = exported(
        "Event",
        None,
        json!({
            "start_at": "2026-05-08T11:00:00Z", "recurrence_id": "2026-05-08T10:00:00Z",
            "x_recurrence_range": "this-and-future",
        }),
    );
    one.entity.updated_at = "2026-05-09T12:30:00Z".parse().unwrap();
    has(
        &one,
        &[
            "DTSTAMP:20260509T123000Z",
            "LAST-MODIFIED:20260509T123000Z",
            "RECURRENCE-ID;RANGE=THISANDFUTURE:20260508T100000Z",
        ],
    );
}

/// What the file of somebody means when it is read again.
fn again(
    media_type: &str,
    write: impl FnOnce(&Exported, &mut Vec<u8>),
    one: &Exported,
) -> crate::map::Meaning {
    let mut body = Vec::new();
    write(one, &mut body);
    let record = spine::ports::RawRecord {
        connection: None,
        stream: spine::ports::FILES.to_owned(),
        remote_id: String::new(),
        revision: String::new(),
        media_type: media_type.to_owned(),
        body,
    };
    crate::map::map(&record, &crate::map::Hints::default()).unwrap()
}

fn somebody(props: Value) -> Exported {
    let mut one = exported("Person", None, props);
    one.entity.title = Some("Sam Lee Example".to_owned());
    one.entity.updated_at = "2026-05-09T12:30:00Z".parse().unwrap();
    one.identifiers = vec![
        Identifier::new("tel", "+4930901820"),
        Identifier::new("email", "sam@example.org"),
    ];
    one
}

#[test]
fn a_card_of_ours_says_all_that_is_kept_and_when_it_changed() {
    let props = json!({
        "name": "Sam Lee Example", "given_name": "Sam", "family_name": "Example", "additional_name": "Lee",
        "honorific_prefix": "Dr.", "organization": "Example; Ltd", "department": "Sales", "note": "one\n\ntwo",
        "address": "Main St 1, Town, 12345",
        "addresses": [
            {"is": ["home"], "street": "Main St 1", "locality": "Town", "postal_code": "12345"},
            {"is": ["work"], "post_office_box": "7", "locality": "City, North", "country": "Land"},
        ],
        "labels": [{"of": "+4930901820", "is": ["work", "fax"]}, {"of": "sam@example.org", "is": ["home"]}],
    });
    let meaning = again("text/vcard", cards::card, &somebody(props.clone()));
    assert_eq!(Value::Object(meaning.entities[0].props.clone()), props);
    let stamp = meaning.stamp.unwrap();
    assert_eq!(stamp.at.unwrap().to_rfc3339(), "2026-05-09T12:30:00+00:00");

    // The owner gave another address by hand: that is the first one.
    let mut moved = props;
    moved["address"] = json!("Elsewhere 2");
    let meaning = again("text/vcard", cards::card, &somebody(moved));
    let props = &meaning.entities[0].props;
    assert_eq!(props["address"], "Elsewhere 2");
    assert_eq!(props["addresses"].as_array().unwrap().len(), 2);
    assert_eq!(props["addresses"][1]["post_office_box"], "7");
}

#[test]
fn a_row_of_ours_says_all_that_a_table_holds_and_when_it_changed() {
    let props = json!({
        "name": "Sam Lee Example", "given_name": "Sam", "family_name": "Example", "additional_name": "Lee",
        "organization": "Example Ltd", "department": "Sales", "address": "Main St 1, Town",
        "addresses": [{"street": "Main St 1, Town"}, {"street": "Other St 2, City"}],
        "related": [{"is": "spouse", "who": "Kim Example"}],
    });
    let write = |one: &Exported, out: &mut Vec<u8>| {
        table::head(out);
        table::row(one, out);
    };
    let meaning = again("text/csv", write, &somebody(props.clone()));
    assert_eq!(Value::Object(meaning.entities[0].props.clone()), props);
    let stamp = meaning.stamp.unwrap();
    assert_eq!(stamp.at.unwrap().to_rfc3339(), "2026-05-09T12:30:00+00:00");
}

#[test]
fn a_mail_without_its_bytes_is_written_so_that_any_program_reads_it() {
    let mail = exported(
        "Message",
        Some("2026-05-01T10:00:00Z"),
        json!({
            "channel": "email", "from": "sam@example.org", "recipients": ["alice@example.org", "kim@example.org"],
            "subject": "Grüße\nBcc: x@example.org", "in_reply_to": "a@example.org", "text": "Schöne Grüße\n",
        }),
    );
    let bytes = mails::written(&mail);
    assert!(
        bytes.is_ascii() || !bytes.starts_with(b"Subject"),
        "headers are of seven bits"
    );
    let head = bytes
        .split(|byte| *byte == b'\n')
        .take_while(|line| line.trim_ascii() != b"");
    assert!(head.into_iter().all(<[u8]>::is_ascii));
    let read = mail_parser::MessageParser::default().parse(&bytes).unwrap();
    assert_eq!(read.subject(), Some("Grüße Bcc: x@example.org"));
    assert_eq!(read.in_reply_to().as_text(), Some("a@example.org"));
    assert_eq!(read.to().unwrap().iter().count(), 2);
    assert!(read.bcc().is_none());
    assert_eq!(read.body_text(0).unwrap().trim(), "Schöne Grüße");
    assert_eq!(read.date().unwrap().to_timestamp(), 1_777_629_600);
    assert_eq!(bytes, mails::written(&mail), "and each time the same");
}
