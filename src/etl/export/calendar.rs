//! iCalendar: a VEVENT an event, a VTODO a task.
//!
//! Invariant: a local time stands in its zone's name, and the zone before the first component that names it; an end has
//! the form of its start. Begin with [`Calendar::component`].

use std::collections::HashSet;

use chrono_tz::Tz;
use serde_json::Value;

use super::times::{When, counted_from};
use super::{Exported, escaped, line, zones};
use crate::map::RECURRENCE_RANGE;

/// What the components of a file have in common.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    /// Zones that stand in the file already.
    told: HashSet<Tz>,
}

pub(super) fn head(out: &mut Vec<u8>) {
    line(out, "BEGIN", "VCALENDAR");
    line(out, "VERSION", "2.0");
    line(out, "PRODID", "-//allod//EN");
}

pub(super) fn tail(out: &mut Vec<u8>) {
    line(out, "END", "VCALENDAR");
}

impl Calendar {
    /// Writes an event or a task. An event without a time has no place in a calendar.
    pub(super) fn component(&mut self, one: &Exported, own: Tz, out: &mut Vec<u8>) {
        let zone = one.text("time_zone").and_then(|zone| zone.parse::<Tz>().ok());
        let mut component = Component {
            one,
            zone,
            own,
            is_zone_named: false,
            out: Vec::new(),
        };
        if !component.write() {
            return;
        }
        if let Some(zone) = zone.filter(|_| component.is_zone_named)
            && self.told.insert(zone)
        {
            zones::component(zone, out);
        }
        out.append(&mut component.out);
    }
}

struct Component<'a> {
    one: &'a Exported,
    /// In which its times are told.
    zone: Option<Tz>,
    /// The owner's.
    own: Tz,
    is_zone_named: bool,
    out: Vec<u8>,
}

impl Component<'_> {
    fn when(&self, name: &str) -> Option<When> {
        self.one.text(name).and_then(When::read)
    }

    /// False: it can't be one.
    fn write(&mut self) -> bool {
        let one = self.one;
        let is_task = one.entity.kind == "Task";
        let kind = if is_task { "VTODO" } else { "VEVENT" };
        let at = one.entity.starts_at.map(When::Instant);
        let due = self.when("due_at").filter(|_| is_task);
        let rule = one.text("recurrence");
        // A series begins somewhere (RFC 5545, 3.8.2.4).
        let from_due = due.filter(|_| rule.is_some());
        let start = self.when("start_at").or(at).or(from_due);
        if start.is_none() && !is_task {
            return false;
        }
        self.line("BEGIN", kind);
        self.named();
        for property in ["DTSTAMP", "LAST-MODIFIED"] {
            self.line(property, &one.revised());
        }
        if let Some(start) = start {
            self.time("DTSTART", start);
        }
        self.texts();
        if let Some(rule) = rule {
            let rule = self.rule(rule, start);
            self.line("RRULE", &rule);
        }
        for (property, prop) in [("EXDATE", "recurrence_exceptions"), ("RDATE", "recurrence_dates")] {
            for when in one.texts(prop).into_iter().filter_map(When::read) {
                self.time(property, when);
            }
        }
        if is_task {
            self.task(start, due);
        } else if let Some(start) = start {
            self.event(start);
        }
        let zone = self.zone.unwrap_or(self.own);
        for reminder in one.texts("reminders") {
            alarm(one, reminder, is_task, zone, &mut self.out);
        }
        self.line("END", kind);
        true
    }

    fn named(&mut self) {
        let uid = self.one.uid("ical.uid");
        let occurrence = self.one.text("recurrence_id");
        let uid = occurrence
            .and_then(|id| uid.strip_suffix(&format!("#{id}")))
            .unwrap_or(&uid);
        self.line("UID", &escaped(uid));
        if let Some(id) = occurrence.and_then(When::read) {
            match self.one.text(RECURRENCE_RANGE) {
                Some(_) => self.time("RECURRENCE-ID;RANGE=THISANDFUTURE", id),
                None => self.time("RECURRENCE-ID", id),
            }
        }
    }

    fn texts(&mut self) {
        let one = self.one;
        let texts = [
            ("SUMMARY", one.entity.title.as_deref()),
            ("DESCRIPTION", one.text("description")),
            ("LOCATION", one.text("location")),
        ];
        for (property, text) in texts {
            if let Some(text) = text {
                self.line(property, &escaped(text));
            }
        }
        if let Some(url) = one.text("url") {
            self.line("URL", url);
        }
        if let Some(status) = one.text("status") {
            self.line("STATUS", &escaped(&status.to_uppercase()));
        }
        let categories: Vec<String> = one.texts("categories").into_iter().map(escaped).collect();
        if !categories.is_empty() {
            self.line("CATEGORIES", &categories.join(","));
        }
        for related in one.items("related_to") {
            let text = |name: &str| related.get(name).and_then(Value::as_str).unwrap_or_default();
            let kind = parameter("RELTYPE", text("is"));
            self.line(&format!("RELATED-TO{kind}"), &escaped(text("uid")));
        }
    }

    /// The rule as it counts from the occurrence that stands here: earlier ones are done.
    fn rule(&self, rule: &str, present: Option<When>) -> String {
        let rule = rule.strip_prefix("RRULE:").unwrap_or(rule);
        let zone = self.zone.unwrap_or(self.own);
        self.when("recurrence_start")
            .zip(present)
            .and_then(|(began, present)| counted_from(rule, began.clock(zone), present.clock(zone)))
            .unwrap_or_else(|| rule.to_owned())
    }

    fn event(&mut self, start: When) {
        let one = self.one;
        let zone = self.zone.unwrap_or(self.own);
        if let Some(end) = self.when("ends_at") {
            self.time("DTEND", end.end_of(start, zone));
        }
        let number = |name: &str| one.entity.props.get(name).and_then(Value::as_f64);
        if let (Some(latitude), Some(longitude)) = (number("latitude"), number("longitude")) {
            self.line("GEO", &format!("{latitude};{longitude}"));
        }
        if let Some(organizer) = one.text("organizer") {
            self.line("ORGANIZER", &format!("mailto:{organizer}"));
        }
        for attendee in one.texts("attendees") {
            let name = format!("ATTENDEE{}", answered(one, attendee));
            self.line(&name, &format!("mailto:{attendee}"));
        }
    }

    fn task(&mut self, start: Option<When>, due: Option<When>) {
        let zone = self.zone.unwrap_or(self.own);
        if let Some(due) = due {
            self.time("DUE", start.map_or(due, |start| due.like(start, zone)));
        }
        if let Some(done) = self.when("completed_at") {
            let done = done.instant(self.own).format("%Y%m%dT%H%M%SZ").to_string();
            self.line("COMPLETED", &done);
        }
        for (property, prop) in [("PRIORITY", "priority"), ("PERCENT-COMPLETE", "percent")] {
            if let Some(number) = self.one.entity.props.get(prop).and_then(Value::as_i64) {
                self.line(property, &number.to_string());
            }
        }
    }

    /// A local time, and an instant, are told by the clock of the component's zone if that is known.
    fn time(&mut self, name: &str, when: When) {
        let zone = self.zone.filter(|zone| *zone != Tz::UTC);
        match (when, zone) {
            (When::Day(day), _) => {
                self.line(&format!("{name};VALUE=DATE"), &day.format("%Y%m%d").to_string());
            }
            (_, Some(zone)) => {
                self.is_zone_named = true;
                let local = when.clock(zone).format("%Y%m%dT%H%M%S").to_string();
                self.line(&format!("{name};TZID={}", zone.name()), &local);
            }
            (When::Local(time), None) if self.zone.is_none() => {
                self.line(name, &time.format("%Y%m%dT%H%M%S").to_string());
            }
            _ => self.line(name, &when.instant(Tz::UTC).format("%Y%m%dT%H%M%SZ").to_string()),
        }
    }

    fn line(&mut self, name: &str, value: &str) {
        line(&mut self.out, name, value);
    }
}

/// What an attendee answered, and as what, as parameters.
fn answered(one: &Exported, attendee: &str) -> String {
    let is_hers = |one: &&Value| one.get("email").and_then(Value::as_str) == Some(attendee);
    let Some(answer) = one.items("attendance").into_iter().find(is_hers) else {
        return String::new();
    };
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    parameter("ROLE", text("role")) + &parameter("PARTSTAT", text("status"))
}

/// A parameter of one word; nothing, if it is none.
fn parameter(name: &str, word: &str) -> String {
    let is_word = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    match is_word {
        true => format!(";{name}={}", word.to_ascii_uppercase()),
        false => String::new(),
    }
}

/// A reminder. An offset counts from when a task is due, and from when an event begins; a time is told as an instant (RFC
/// 5545, 3.8.6.3), a local one by the clock of the component's zone.
fn alarm(one: &Exported, reminder: &str, is_task: bool, zone: Tz, out: &mut Vec<u8>) {
    let is_offset = reminder.trim_start_matches(['+', '-']).starts_with(['P', 'p']);
    let (name, trigger) = match (is_offset, is_task, When::read(reminder)) {
        (true, true, _) => ("TRIGGER;RELATED=END", reminder.to_owned()),
        (true, false, _) => ("TRIGGER", reminder.to_owned()),
        (false, _, Some(when)) => {
            let at = when.instant(zone).format("%Y%m%dT%H%M%SZ").to_string();
            ("TRIGGER;VALUE=DATE-TIME", at)
        }
        // Nobody can be reminded by it.
        (false, _, None) => return,
    };
    line(out, "BEGIN", "VALARM");
    line(out, "ACTION", "DISPLAY");
    let title = one.entity.title.as_deref().unwrap_or("Reminder");
    line(out, "DESCRIPTION", &escaped(title));
    line(out, name, &trigger);
    line(out, "END", "VALARM");
}
