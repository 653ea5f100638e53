//! Alarms of a calendar component (RFC 5545, VALARM) as reminders: an offset such as `-PT15M`, or a time.
//!
//! Invariant: an offset counts from the moment that the component's reminders count from (a task's due moment, an event's
//! start), whichever end its alarm names. Pure.

use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarParameterName, ICalendarParameterValue,
    ICalendarProperty, ICalendarRelated, ICalendarValue,
};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// Of one component.
const REMINDERS_MAX: usize = 10;
/// About ten years, as intentions have it.
const OFFSET_MAX: TimeDelta = TimeDelta::days(3_660);

/// When a component begins and ends (a task ends when it is due), and from which of both its reminders count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) start: Option<DateTime<Utc>>,
    pub(super) end: Option<DateTime<Utc>>,
    pub(super) from_end: bool,
}

/// What the alarms of a component mean, in order, without doubles.
pub(super) fn reminders(calendar: &ICalendar, component: &ICalendarComponent, ends: Ends) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let inner = component.component_ids.iter();
    let alarms = inner
        .filter_map(|id| calendar.components.get(usize::try_from(*id).ok()?))
        .filter(|inner| inner.component_type == ICalendarComponentType::VAlarm && !is_off(inner));
    for reminder in alarms.filter_map(|alarm| reminder(alarm, ends)) {
        if found.len() < REMINDERS_MAX && !found.contains(&reminder) {
            found.push(reminder);
        }
    }
    found
}

/// Some programs write an alarm to say that there is none.
fn is_off(alarm: &ICalendarComponent) -> bool {
    let action = alarm.properties(&ICalendarProperty::Action).next();
    let action = action.and_then(|entry| entry.values.first()?.as_text());
    action.is_some_and(|action| action.eq_ignore_ascii_case("none"))
}

fn reminder(alarm: &ICalendarComponent, ends: Ends) -> Option<String> {
    let trigger = alarm.properties(&ICalendarProperty::Trigger).next()?;
    let offset = match trigger.values.first()? {
        ICalendarValue::Duration(offset) => offset,
        time => return super::ical::local(time.as_partial_date_time()?).filter(|time| time.contains('T')),
    };
    let length = offset
        .to_time_delta()
        .filter(|length| length.abs() <= OFFSET_MAX)?;
    let related = trigger.parameters(&ICalendarParameterName::Related).next();
    let to_end = matches!(
        related,
        Some(ICalendarParameterValue::Related(ICalendarRelated::End))
    );
    let (near, far) = if ends.from_end {
        (ends.end, ends.start)
    } else {
        (ends.start, ends.end)
    };
    match (near, far) {
        // Many programs write no RELATED where there is but one end.
        _ if to_end == ends.from_end => near.map(|_| offset.to_string()),
        (Some(_), None) => Some(offset.to_string()),
        (Some(near), Some(far)) if near == far => Some(offset.to_string()),
        (Some(near), Some(far)) => {
            let length = length.checked_add(&(far - near))?;
            (length.abs() <= OFFSET_MAX).then(|| written(length))
        }
        (None, Some(far)) => {
            let at = far.checked_add_signed(length)?;
            Some(at.to_rfc3339_opts(SecondsFormat::Secs, true))
        }
        (None, None) => None,
    }
}

/// An offset in the largest unit of passing time that fits.
fn written(length: TimeDelta) -> String {
    let (sign, seconds) = (
        if length < TimeDelta::zero() { "-" } else { "" },
        length.num_seconds().abs(),
    );
    let (number, unit) = match seconds {
        seconds if seconds % 3_600 == 0 => (seconds / 3_600, 'H'),
        seconds if seconds % 60 == 0 => (seconds / 60, 'M'),
        seconds => (seconds, 'S'),
    };
    format!("{sign}PT{number}{unit}")
}
