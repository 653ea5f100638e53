//! A calendar component (RFC 5545): a VEVENT is an Event, a VTODO a Task.
//!
//! Invariant: a component is found again by its UID, a changed occurrence by UID and RECURRENCE-ID. A recurrence is kept as
//! its rule's text and never expanded here. Begin with [`map`].

use std::str::FromStr;

use calcard::Entry;
use calcard::common::timezone::Tz;
use calcard::common::{IanaString, PartialDateTime};
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarEntry, ICalendarParameterName,
    ICalendarPeriod, ICalendarProperty, ICalendarValue,
};
use chrono::{DateTime, Datelike, NaiveDateTime, SecondsFormat, TimeDelta, TimeZone, Utc};
use serde_json::{Map, Value, json};

use super::alarm::{Ends, reminders};
use super::{Hints, Meaning, identified, set, text};
use crate::revision::Stamp;

const COMPONENT_BYTES_MAX: usize = 4 * 1024 * 1024;
const ATTENDEES_MAX: usize = 100;
const TIMES_MAX: usize = 500;

pub(super) fn map(body: &[u8], hints: &Hints) -> Result<Meaning, String> {
    if body.len() > COMPONENT_BYTES_MAX {
        return Err(format!(
            "a calendar component has at most {COMPONENT_BYTES_MAX} bytes"
        ));
    }
    let source = text::decoded(body);
    let Entry::ICalendar(calendar) = calcard::Parser::new(&source).entry() else {
        return Err("this is no calendar".to_owned());
    };
    let mut meaning = Meaning::default();
    for component in &calendar.components {
        if meaning.entities.is_empty() {
            meaning.stamp = stamp(component, hints);
        }
        match component.component_type {
            ICalendarComponentType::VEvent => event(&calendar, component, hints, &mut meaning),
            ICalendarComponentType::VTodo => task(&calendar, component, hints, &mut meaning),
            _ => {}
        }
    }
    if meaning.entities.is_empty() {
        return Err(nothing(&calendar));
    }
    Ok(meaning)
}

fn stamp(component: &ICalendarComponent, hints: &Hints) -> Option<Stamp> {
    let sequence = component.properties(&ICalendarProperty::Sequence).next();
    let sequence = sequence.and_then(|entry| match entry.values.first()? {
        ICalendarValue::Integer(number) => Some(*number),
        other => other.as_text()?.trim().parse().ok(),
    });
    let changed = moment(component, &ICalendarProperty::LastModified, hints)
        .or_else(|| moment(component, &ICalendarProperty::Dtstamp, hints));
    let at = changed.and_then(|one| one.at);
    (sequence.is_some() || at.is_some()).then_some(Stamp {
        sequence: sequence.unwrap_or_default(),
        at,
    })
}

fn nothing(calendar: &ICalendar) -> String {
    if calendar.components.len() > 1 {
        return "the calendar has neither an event nor a task".to_owned();
    }
    "the calendar is empty".to_owned()
}

fn event(calendar: &ICalendar, component: &ICalendarComponent, hints: &Hints, meaning: &mut Meaning) {
    let Some((mut entity, recurrence_id)) = component_entity("Event", component) else {
        return;
    };
    let props = &mut entity.props;
    common(component, props);
    set(props, "recurrence_id", recurrence_id);
    if let Some(start) = moment(component, &ICalendarProperty::Dtstart, hints) {
        entity.starts_at = start.at;
        set(props, "start_at", Some(start.said.clone()));
        set(props, "all_day", start.is_day.then_some(true));
        set(props, "time_zone", start.zone.clone());
        let end = end(component, &ICalendarProperty::Dtend, Some(&start), hints);
        let ends = Ends {
            start: start.at,
            end: end.as_ref().and_then(|end| end.at),
            from_end: false,
        };
        set(props, "ends_at", end.map(|end| end.said));
        set(props, "reminders", some(reminders(calendar, component, ends)));
    }
    if let Some((latitude, longitude)) = geo(component) {
        set(props, "latitude", Some(latitude));
        set(props, "longitude", Some(longitude));
    }
    set(props, "status", word(component, &ICalendarProperty::Status));
    let location = first(component, &ICalendarProperty::Location).and_then(|one| text::line(&one, 1_000));
    set(props, "location", location.clone());
    let organizer = component
        .properties(&ICalendarProperty::Organizer)
        .next()
        .and_then(|entry| text::email(entry.calendar_address()?));
    set(props, "organizer", organizer);
    let attendees: Vec<String> = component
        .properties(&ICalendarProperty::Attendee)
        .take(ATTENDEES_MAX)
        .filter_map(|entry| text::email(entry.calendar_address()?))
        .collect();
    set(
        props,
        "attendees",
        (!attendees.is_empty()).then(|| json!(attendees)),
    );
    if meaning.entities.is_empty() {
        meaning.place = location;
    }
    meaning.entities.push(entity);
}

fn task(calendar: &ICalendar, component: &ICalendarComponent, hints: &Hints, meaning: &mut Meaning) {
    let Some((mut entity, _)) = component_entity("Task", component) else {
        return;
    };
    let props = &mut entity.props;
    common(component, props);
    let status = word(component, &ICalendarProperty::Status);
    let known = ["needs-action", "in-process", "completed", "cancelled"];
    let status = status.filter(|status| known.contains(&status.as_str()));
    let completed = moment(component, &ICalendarProperty::Completed, hints);
    let status = status.unwrap_or_else(|| {
        if completed.is_some() {
            "completed"
        } else {
            "needs-action"
        }
        .to_owned()
    });
    set(props, "status", Some(status));
    set(props, "completed_at", completed.map(|one| one.said));
    let start = moment(component, &ICalendarProperty::Dtstart, hints);
    let due = end(component, &ICalendarProperty::Due, start.as_ref(), hints);
    let zone = due.as_ref().or(start.as_ref()).and_then(|one| one.zone.clone());
    set(props, "time_zone", zone);
    let ends = Ends {
        start: start.as_ref().and_then(|one| one.at),
        end: due.as_ref().and_then(|one| one.at),
        from_end: true,
    };
    set(props, "reminders", some(reminders(calendar, component, ends)));
    // A series has to begin somewhere: that of a task without a start begins when it is due.
    let is_series = props.contains_key("recurrence");
    let start = start.filter(|start| !(is_series && due.as_ref().is_some_and(|due| due.said == start.said)));
    set(props, "due_at", due.map(|one| one.said));
    if let Some(start) = start {
        entity.starts_at = start.at;
        set(props, "start_at", Some(start.said));
    }
    let number = |name: &ICalendarProperty, range: std::ops::RangeInclusive<i64>| {
        let value = component.properties(name).next()?.values.first()?;
        let number = value
            .as_integer()
            .or_else(|| value.as_text()?.trim().parse().ok())?;
        range.contains(&number).then_some(number)
    };
    set(props, "priority", number(&ICalendarProperty::Priority, 0..=9));
    set(
        props,
        "percent",
        number(&ICalendarProperty::PercentComplete, 0..=100),
    );
    meaning.entities.push(entity);
}

/// The entity of a component, and of which occurrence it is.
fn component_entity(
    kind: &str,
    component: &ICalendarComponent,
) -> Option<(spine::ports::EntityChange, Option<String>)> {
    let title = first(component, &ICalendarProperty::Summary).and_then(|one| text::title(&one));
    let occurrence = component
        .properties(&ICalendarProperty::RecurrenceId)
        .next()
        .and_then(|entry| local(entry.values.first()?.as_partial_date_time()?));
    let uid = first(component, &ICalendarProperty::Uid).unwrap_or_else(|| {
        let start = component
            .properties(&ICalendarProperty::Dtstart)
            .next()
            .and_then(|entry| local(entry.values.first()?.as_partial_date_time()?));
        text::hash(&[
            kind.as_bytes(),
            title.as_deref().unwrap_or_default().as_bytes(),
            start.unwrap_or_default().as_bytes(),
        ])
    });
    let id = match &occurrence {
        Some(occurrence) => format!("{}#{occurrence}", uid.trim()),
        None => uid,
    };
    let identifier = text::own_id("ical.uid", &id)?;
    Some((identified(kind, title, vec![identifier]), occurrence))
}

fn common(component: &ICalendarComponent, props: &mut Map<String, Value>) {
    let summary = first(component, &ICalendarProperty::Summary).and_then(|one| text::line(&one, 512));
    set(props, "name", summary);
    let description =
        first(component, &ICalendarProperty::Description).and_then(|one| text::block(&one, 16_000));
    set(props, "description", description);
    set(
        props,
        "url",
        first(component, &ICalendarProperty::Url).and_then(|one| text::url(&one)),
    );
    let rule = component
        .properties(&ICalendarProperty::Rrule)
        .next()
        .and_then(|entry| match entry.values.first()? {
            ICalendarValue::RecurrenceRule(rule) => Some(rule.to_string()),
            other => other.as_text().map(ToOwned::to_owned),
        });
    set(
        props,
        "recurrence",
        rule.and_then(|rule| text::line(&rule, 2_000)),
    );
    for (prop, name) in [
        ("recurrence_exceptions", &ICalendarProperty::Exdate),
        ("recurrence_dates", &ICalendarProperty::Rdate),
    ] {
        set(props, prop, some(times(component, name)));
    }
}

/// The times of a property of several, as they are written.
fn times(component: &ICalendarComponent, name: &ICalendarProperty) -> Vec<String> {
    let values = component.properties(name).flat_map(|entry| &entry.values);
    let times = values.filter_map(|value| match value {
        ICalendarValue::Period(
            ICalendarPeriod::Range { start, .. } | ICalendarPeriod::Duration { start, .. },
        ) => local(start),
        other => local(other.as_partial_date_time()?),
    });
    times.take(TIMES_MAX).collect()
}

fn first(component: &ICalendarComponent, name: &ICalendarProperty) -> Option<String> {
    let value = component.properties(name).next()?.values.first()?;
    let text = value.as_text()?;
    (!text.trim().is_empty()).then(|| text.to_owned())
}

fn word(component: &ICalendarComponent, name: &ICalendarProperty) -> Option<String> {
    let value = component.properties(name).next()?.values.first()?;
    let word = match value {
        ICalendarValue::Status(status) => status.as_str(),
        other => other.as_text()?,
    };
    text::line(&word.to_lowercase(), 60)
}

/// A time of a calendar: as it is said, and which instant that is.
#[derive(Clone)]
struct Moment {
    /// An instant, a local time or a day.
    said: String,
    at: Option<DateTime<Utc>>,
    is_day: bool,
    /// The zone in which it was said, if that is one of the world's.
    zone: Option<String>,
    /// What a clock shows then, and whose clock; none of an instant.
    clock: Option<(NaiveDateTime, Option<Tz>)>,
}

fn moment(component: &ICalendarComponent, name: &ICalendarProperty, hints: &Hints) -> Option<Moment> {
    let entry = component.properties(name).next()?;
    let time = entry.values.first()?.as_partial_date_time()?;
    time.year?;
    let named = zone_name(entry).and_then(|name| Tz::from_str(name).ok());
    let naive = time.to_date_time()?;
    let is_day = time.hour.is_none();
    let zone = named.or_else(|| hints.zone.map(Tz::Tz)).unwrap_or(Tz::UTC);
    let is_instant = naive.offset.is_some();
    let at = if is_instant {
        naive
            .to_date_time_with_tz(Tz::UTC)
            .map(|at| at.with_timezone(&Utc))
    } else {
        instant(naive.date_time, zone)
    };
    let said = if is_day {
        local(time)?
    } else if is_instant || named.is_some() {
        at?.to_rfc3339_opts(SecondsFormat::Secs, true)
    } else {
        local(time)?
    };
    let zone = named
        .and_then(|zone| zone.name())
        .map(std::borrow::Cow::into_owned)
        .filter(|name| name.len() <= 64);
    Some(Moment {
        said,
        at,
        is_day,
        zone,
        clock: if is_instant {
            None
        } else {
            Some((naive.date_time, named))
        },
    })
}

/// When a clock shows a time. Of an hour that a change of the clock repeats, the first; of one that it skips, the one
/// after.
fn instant(time: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    let later = || zone.from_local_datetime(&(time + TimeDelta::hours(1))).earliest();
    let found = zone.from_local_datetime(&time).earliest().or_else(later)?;
    Some(found.with_timezone(&Utc))
}

/// When a component ends: as it says, or so long after its start, in the same form as that.
fn end(
    component: &ICalendarComponent,
    name: &ICalendarProperty,
    start: Option<&Moment>,
    hints: &Hints,
) -> Option<Moment> {
    if let Some(end) = moment(component, name, hints) {
        return Some(end);
    }
    let start = start?;
    let entry = component.properties(&ICalendarProperty::Duration).next()?;
    let ICalendarValue::Duration(lasts) = entry.values.first()? else {
        return None;
    };
    let days = TimeDelta::try_days(i64::from(lasts.weeks) * 7 + i64::from(lasts.days))?;
    let time = lasts.to_time_delta()?.abs() - days;
    let sign = if lasts.neg { -1 } else { 1 };
    let written = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let Some((clock, named)) = start.clock else {
        let at = start.at?.checked_add_signed((days + time) * sign)?;
        return Some(Moment {
            said: written(at),
            at: Some(at),
            ..start.clone()
        });
    };
    // Days are of the calendar, and hours pass (RFC 5545, 3.3.6).
    let day = clock.checked_add_signed(days * sign)?;
    let zone = named.or_else(|| hints.zone.map(Tz::Tz)).unwrap_or(Tz::UTC);
    let at = instant(day, zone)?.checked_add_signed(time * sign)?;
    if !(1..=9_999).contains(&at.year()) {
        return None;
    }
    let local = if start.is_day {
        // What is said of days ends with one.
        let rest = if time.is_zero() {
            TimeDelta::zero()
        } else {
            TimeDelta::days(1)
        };
        day.checked_add_signed(rest * sign)?.format("%Y-%m-%d")
    } else {
        day.checked_add_signed(time * sign)?.format("%Y-%m-%dT%H:%M:%S")
    };
    let said = if named.is_some() && !start.is_day {
        written(at)
    } else {
        local.to_string()
    };
    Some(Moment {
        said,
        at: Some(at),
        ..start.clone()
    })
}

/// GEO: latitude and longitude.
fn geo(component: &ICalendarComponent) -> Option<(f64, f64)> {
    let entry = component.properties(&ICalendarProperty::Geo).next()?;
    let number = |at: usize| match entry.values.get(at)? {
        ICalendarValue::Float(number) => Some(*number),
        ICalendarValue::Integer(number) => number.to_string().parse().ok(),
        other => other.as_text()?.trim().parse().ok(),
    };
    let (latitude, longitude): (f64, f64) = (number(0)?, number(1)?);
    let usable = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
    usable.then_some((latitude, longitude))
}

/// A list, if it has anything.
fn some(list: Vec<String>) -> Option<Vec<String>> {
    (!list.is_empty()).then_some(list)
}

fn zone_name(entry: &ICalendarEntry) -> Option<&str> {
    entry
        .parameters(&ICalendarParameterName::Tzid)
        .next()
        .and_then(|value| value.as_text())
}

/// As it is written, without a zone: `2026-05-01` or `2026-05-01T09:00:00`, with `Z` for an instant.
pub(super) fn local(time: &PartialDateTime) -> Option<String> {
    let day = format!("{:04}-{:02}-{:02}", time.year?, time.month?, time.day?);
    let Some(hour) = time.hour else {
        return Some(day);
    };
    let (minute, second) = (time.minute.unwrap_or(0), time.second.unwrap_or(0));
    let is_instant = time.tz_hour == Some(0) && time.tz_minute.unwrap_or(0) == 0;
    let zone = if is_instant { "Z" } else { "" };
    Some(format!("{day}T{hour:02}:{minute:02}:{second:02}{zone}"))
}
