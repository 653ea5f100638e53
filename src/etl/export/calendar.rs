//! iCalendar: a VEVENT an event, a VTODO a task. A local time stands in its zone's name.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::{Exported, escaped, line};

pub(super) fn head(out: &mut Vec<u8>) {
    line(out, "BEGIN", "VCALENDAR");
    line(out, "VERSION", "2.0");
    line(out, "PRODID", "-//allod//EN");
}

pub(super) fn tail(out: &mut Vec<u8>) {
    line(out, "END", "VCALENDAR");
}

pub(super) fn component(one: &Exported, out: &mut Vec<u8>) {
    let is_task = one.entity.kind == "Task";
    let kind = if is_task { "VTODO" } else { "VEVENT" };
    line(out, "BEGIN", kind);
    let uid = one.uid("ical.uid");
    let occurrence = one.text("recurrence_id");
    let uid = occurrence
        .and_then(|id| uid.strip_suffix(&format!("#{id}")))
        .unwrap_or(&uid);
    line(out, "UID", &escaped(uid));
    line(
        out,
        "DTSTAMP",
        &one.entity.updated_at.format("%Y%m%dT%H%M%SZ").to_string(),
    );
    let zone = one.text("time_zone").filter(|zone| zone.parse::<Tz>().is_ok());
    if let Some(id) = occurrence {
        time(out, "RECURRENCE-ID", id, zone);
    }
    let at = one
        .entity
        .starts_at
        .map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    if let Some(start) = one.text("start_at").or(at.as_deref()) {
        time(out, "DTSTART", start, zone);
    }
    let texts = [
        ("SUMMARY", one.entity.title.as_deref()),
        ("DESCRIPTION", one.text("description")),
        ("LOCATION", one.text("location")),
    ];
    for (property, text) in texts {
        if let Some(text) = text {
            line(out, property, &escaped(text));
        }
    }
    for (property, prop) in [("URL", "url"), ("RRULE", "recurrence")] {
        if let Some(value) = one.text(prop) {
            line(out, property, value);
        }
    }
    if let Some(status) = one.text("status") {
        line(out, "STATUS", &escaped(&status.to_uppercase()));
    }
    if is_task {
        task(one, out);
    } else {
        event(one, zone, out);
    }
    for reminder in one.texts("reminders") {
        alarm(one, reminder, is_task, out);
    }
    line(out, "END", kind);
}

fn event(one: &Exported, zone: Option<&str>, out: &mut Vec<u8>) {
    if let Some(end) = one.text("ends_at") {
        time(out, "DTEND", end, zone);
    }
    let number = |name: &str| one.entity.props.get(name).and_then(serde_json::Value::as_f64);
    if let (Some(latitude), Some(longitude)) = (number("latitude"), number("longitude")) {
        line(out, "GEO", &format!("{latitude};{longitude}"));
    }
    for exception in one.texts("recurrence_exceptions") {
        time(out, "EXDATE", exception, zone);
    }
    if let Some(organizer) = one.text("organizer") {
        line(out, "ORGANIZER", &format!("mailto:{organizer}"));
    }
    for attendee in one.texts("attendees") {
        line(out, "ATTENDEE", &format!("mailto:{attendee}"));
    }
}

fn task(one: &Exported, out: &mut Vec<u8>) {
    for (property, prop) in [("DUE", "due_at"), ("COMPLETED", "completed_at")] {
        if let Some(at) = one.text(prop) {
            time(out, property, at, None);
        }
    }
    for (property, prop) in [("PRIORITY", "priority"), ("PERCENT-COMPLETE", "percent")] {
        if let Some(number) = one.entity.props.get(prop).and_then(serde_json::Value::as_i64) {
            line(out, property, &number.to_string());
        }
    }
}

/// A reminder. An offset counts from when a task is due, and from when an event begins; a local time is told as it was
/// said.
fn alarm(one: &Exported, reminder: &str, is_task: bool, out: &mut Vec<u8>) {
    line(out, "BEGIN", "VALARM");
    line(out, "ACTION", "DISPLAY");
    let title = one.entity.title.as_deref().unwrap_or("Reminder");
    line(out, "DESCRIPTION", &escaped(title));
    let is_offset = reminder.trim_start_matches(['+', '-']).starts_with(['P', 'p']);
    match (is_offset, is_task) {
        (true, true) => line(out, "TRIGGER;RELATED=END", reminder),
        (true, false) => line(out, "TRIGGER", reminder),
        (false, _) if reminder.contains('T') => time(out, "TRIGGER;VALUE=DATE-TIME", reminder, None),
        (false, _) => time(
            out,
            "TRIGGER;VALUE=DATE-TIME",
            &format!("{reminder}T00:00:00"),
            None,
        ),
    }
    line(out, "END", "VALARM");
}

/// A time as the graph keeps it: a day, a local time, or an instant, which is told in its zone if that is known.
fn time(out: &mut Vec<u8>, name: &str, said: &str, zone: Option<&str>) {
    let basic = |text: &str| text.replace(['-', ':'], "");
    if !said.contains('T') {
        return line(out, &format!("{name};VALUE=DATE"), &basic(said));
    }
    let Ok(instant) = said.parse::<DateTime<Utc>>() else {
        return match zone {
            Some(zone) => line(out, &format!("{name};TZID={zone}"), &basic(said)),
            None => line(out, name, &basic(said)),
        };
    };
    match zone
        .and_then(|zone| zone.parse::<Tz>().ok())
        .filter(|zone| *zone != Tz::UTC)
    {
        Some(zone) => {
            let local = instant.with_timezone(&zone).format("%Y%m%dT%H%M%S").to_string();
            line(out, &format!("{name};TZID={}", zone.name()), &local);
        }
        None => line(out, name, &instant.format("%Y%m%dT%H%M%SZ").to_string()),
    }
}
