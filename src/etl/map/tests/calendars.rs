//! Calendars.

use super::*;

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

/// The first entity of a calendar with these lines in its event, and these before it.
fn event(before: &str, lines: &str) -> EntityChange {
    let calendar = format!(
        "BEGIN:VCALENDAR\n{before}BEGIN:VEVENT\nUID:e\nSUMMARY:Lunch\n{lines}\nEND:VEVENT\nEND:VCALENDAR\n"
    );
    meant("text/calendar", &calendar).entities.remove(0)
}

fn observance(kind: &str, begin: &str, from: &str, to: &str, rule: &str) -> String {
    format!("BEGIN:{kind}\nDTSTART:{begin}\nTZOFFSETFROM:{from}\nTZOFFSETTO:{to}\n{rule}\nEND:{kind}\n")
}

#[test]
fn a_zone_that_only_the_calendar_describes_is_used() {
    let europe = format!(
        "BEGIN:VTIMEZONE\nTZID:Office time\n{}{}END:VTIMEZONE\n",
        observance(
            "STANDARD",
            "16010101T030000",
            "+0200",
            "+0100",
            "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10"
        ),
        observance(
            "DAYLIGHT",
            "16010101T020000",
            "+0100",
            "+0200",
            "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3"
        ),
    );
    let start = |day: &str| format!("DTSTART;TZID=Office time:{day}T120000\nRRULE:FREQ=WEEKLY");
    let summer = event(&europe, &start("20260501"));
    assert_eq!(summer.props["start_at"], "2026-05-01T10:00:00Z");
    assert_eq!(
        summer.props["time_zone"], "Europe/Berlin",
        "the owner's runs the same"
    );
    assert_eq!(
        event(&europe, &start("20261201")).props["start_at"],
        "2026-12-01T11:00:00Z"
    );
    let east = format!(
        "BEGIN:VTIMEZONE\nTZID:Office time\n{}{}END:VTIMEZONE\n",
        observance(
            "STANDARD",
            "16010101T020000",
            "-0400",
            "-0500",
            "RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=11"
        ),
        observance(
            "DAYLIGHT",
            "16010101T020000",
            "-0500",
            "-0400",
            "RRULE:FREQ=YEARLY;BYDAY=2SU;BYMONTH=3"
        ),
    );
    let east = event(&east, &start("20260501"));
    assert_eq!(east.props["start_at"], "2026-05-01T16:00:00Z");
    assert_eq!(east.props["time_zone"], "America/New_York");
    // A zone that the world doesn't have: twenty minutes ahead, an hour more from April to September.
    let own = format!(
        "BEGIN:VTIMEZONE\nTZID:Office time\n{}{}END:VTIMEZONE\n",
        observance(
            "STANDARD",
            "20200930T030000",
            "+0120",
            "+0020",
            "RRULE:FREQ=YEARLY;BYMONTH=9;BYMONTHDAY=30"
        ),
        observance(
            "DAYLIGHT",
            "20200401T020000",
            "+0020",
            "+0120",
            "RRULE:FREQ=YEARLY;BYMONTH=4;BYMONTHDAY=1"
        ),
    );
    for (time, instant) in [
        ("20260501T120000", "2026-05-01T10:40:00Z"),
        ("20261201T120000", "2026-12-01T11:40:00Z"),
        // Twice, the first counts; never, an hour later.
        ("20260930T023000", "2026-09-30T01:10:00Z"),
        ("20260401T023000", "2026-04-01T02:10:00Z"),
    ] {
        let event = event(&own, &format!("DTSTART;TZID=Office time:{time}"));
        assert_eq!(event.props["start_at"], instant, "{time}");
        assert!(!event.props.contains_key("time_zone"));
    }
    let nobodys = event("", "DTSTART;TZID=Nowhere:20260501T120000");
    assert_eq!(nobodys.props["start_at"], "2026-05-01T12:00:00");
    assert!(
        nobodys.props["x_problems"][0]
            .as_str()
            .unwrap()
            .contains("`Nowhere`")
    );
}

#[test]
fn a_time_that_is_none_parks_the_record_and_says_which() {
    for (kind, line, reason) in [
        ("VEVENT", "DTSTART:tomorrow", "its DTSTART is no time"),
        ("VEVENT", "DTSTART:20261345T120000", "its DTSTART is no time"),
        ("VTODO", "DUE:soon", "its DUE is no time"),
        (
            "VJOURNAL",
            "SUMMARY:Diary",
            "a journal entry (VJOURNAL) has no place in the graph yet; it is kept",
        ),
    ] {
        let calendar =
            format!("BEGIN:VCALENDAR\r\nBEGIN:{kind}\r\nUID:x\r\n{line}\r\nEND:{kind}\r\nEND:VCALENDAR\r\n");
        assert_eq!(
            map(&record("text/calendar", calendar), &hints()).unwrap_err(),
            reason,
            "{line}"
        );
    }
    let open = event("", "DTSTART:20260501T100000Z\nDTEND:later");
    assert_eq!(
        open.props["x_problems"],
        json!(["its DTEND is no time and left out"])
    );
}

#[test]
fn what_ends_before_it_begins_has_no_end_and_says_so() {
    let backwards = event("", "DTSTART:20260501T100000Z\nDTEND:20260501T090000Z");
    assert!(!backwards.props.contains_key("ends_at"));
    assert_eq!(
        backwards.props["x_problems"],
        json!(["ends_at: it ends before it begins; its end is left out"])
    );
    let moment = event("", "DTSTART:20260501T100000Z\nDTEND:20260501T100000Z");
    assert_eq!(moment.props["ends_at"], "2026-05-01T10:00:00Z");
    assert!(!moment.props.contains_key("x_problems"));
    let task = meant(
        "text/calendar",
        "BEGIN:VCALENDAR\nBEGIN:VTODO\nUID:t\nDTSTART:20260502T100000Z\nDUE:20260501T100000Z\nEND:VTODO\nEND:VCALENDAR\n",
    );
    assert_eq!(
        task.entities[0].props["x_problems"],
        json!(["due_at: it is due before it begins"])
    );
}

#[test]
fn an_occurrence_that_moves_all_later_ones_says_that_they_stay_here() {
    let lines = |range: &str| format!("RECURRENCE-ID{range}:20260508T100000Z\nDTSTART:20260508T110000Z");
    let moved = event("", &lines(";RANGE=THISANDFUTURE"));
    assert_eq!(moved.props["recurrence_id"], "2026-05-08T10:00:00Z");
    let problem = moved.props["x_problems"][0].as_str().unwrap();
    assert!(
        problem.contains("all later ones") && problem.contains("only this one"),
        "{problem}"
    );
    assert!(!event("", &lines("")).props.contains_key("x_problems"));
}

#[test]
fn no_rule_is_lost_and_one_that_can_not_be_planned_by_is_said() {
    let sixty = (0..60)
        .map(|number| number.to_string())
        .collect::<Vec<_>>()
        .join(",");
    let dense = format!("FREQ=DAILY;BYMINUTE={sixty}");
    let long = format!("FREQ=DAILY;BYDAY=MO{}", ",MO".repeat(200));
    for (rule, problem) in [
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", None),
        ("FREQ=DAILY;INTERVAL=99999999", Some("INTERVAL")),
        ("FREQ=SECONDLY", Some("more often than daily")),
        ("FREQ=DAILY;COUNT=2147483647", Some("COUNT")),
        ("FREQ=SOMETIMES", Some("FREQ")),
        ("weekly", Some("FREQ")),
        ("FREQ=DAILY;BYHOUR=9,12;BYMINUTE=0,30;BYSECOND=0", None),
        (&dense, Some("60 times a day, where 48 is the most")),
        (&long, Some("more than 500 characters")),
    ] {
        let event = event("", &format!("DTSTART:20260501T100000Z\nRRULE:{rule}"));
        assert_eq!(event.props["recurrence"], rule);
        let said = event
            .props
            .get("x_problems")
            .map(|said| said[0].as_str().unwrap().to_owned());
        match problem {
            Some(part) => assert!(said.unwrap().contains(part), "{rule}"),
            None => assert_eq!(said, None, "{rule}"),
        }
    }
}

#[test]
fn an_event_says_who_answered_what_and_belongs_to_what() {
    let event = event(
        "",
        "DTSTART:20260501T100000Z\nATTENDEE;PARTSTAT=ACCEPTED;ROLE=CHAIR:mailto:kim@example.org\n\
         ATTENDEE:mailto:sam@example.org\nCATEGORIES:Work,Food\nCATEGORIES:Food\nRELATED-TO:parent-1\n\
         RELATED-TO;RELTYPE=SIBLING:other-1",
    );
    assert_eq!(
        event.props["attendees"],
        json!(["kim@example.org", "sam@example.org"])
    );
    assert_eq!(
        event.props["attendance"],
        json!([{"email": "kim@example.org", "status": "accepted", "role": "chair"}])
    );
    assert_eq!(event.props["categories"], json!(["Work", "Food"]));
    assert_eq!(
        event.props["related_to"],
        json!([{"is": "parent", "uid": "parent-1"}, {"is": "sibling", "uid": "other-1"}])
    );
}
