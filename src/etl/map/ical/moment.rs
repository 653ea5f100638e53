//! Times of a calendar: as they are said, and which instants they are.
//!
//! Begin with [`moment`].

use calcard::common::PartialDateTime;
use calcard::common::timezone::Tz;
use calcard::icalendar::{ICalendarComponent, ICalendarProperty, ICalendarValue};
use chrono::{DateTime, Datelike, NaiveDateTime, SecondsFormat, TimeDelta, Utc};

use super::zones::{Zone, Zones};

/// By whose clocks times are read: the calendar's zones, and the owner's where it names none.
pub(super) struct Whose<'a> {
    pub(super) zones: &'a Zones,
    pub(super) owner: Option<chrono_tz::Tz>,
}

impl Whose<'_> {
    fn owners(&self) -> Zone {
        Zone::World(self.owner.map_or(Tz::UTC, Tz::Tz))
    }
}

/// A time of a calendar: as it is said, and which instant that is.
#[derive(Clone)]
pub(super) struct Moment {
    /// An instant, a local time or a day.
    pub(super) said: String,
    pub(super) at: Option<DateTime<Utc>>,
    pub(super) is_day: bool,
    /// The zone in which it was said, if that is one of the world's.
    pub(super) zone: Option<String>,
    /// What a clock shows then, and whose clock; none of an instant.
    clock: Option<(NaiveDateTime, Option<Zone>)>,
}

/// The time of a property; `None`: it isn't there, or no time.
pub(super) fn moment(
    component: &ICalendarComponent,
    name: &ICalendarProperty,
    clocks: &Whose<'_>,
) -> Option<Moment> {
    let entry = component.properties(name).next()?;
    let time = entry.values.first()?.as_partial_date_time()?;
    time.year?;
    let named = entry.tz_id().and_then(|name| clocks.zones.get(name));
    let naive = time.to_date_time()?;
    let is_day = time.hour.is_none();
    let zone = named.clone().unwrap_or_else(|| clocks.owners());
    let is_instant = naive.offset.is_some();
    let at = if is_instant {
        naive
            .to_date_time_with_tz(Tz::UTC)
            .map(|at| at.with_timezone(&Utc))
    } else {
        zone.instant(naive.date_time)
    };
    let said = if is_day {
        local(time)?
    } else if is_instant || named.is_some() {
        at?.to_rfc3339_opts(SecondsFormat::Secs, true)
    } else {
        local(time)?
    };
    let zone = named.as_ref().and_then(Zone::name);
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

/// When a component ends: as it says, or so long after its start, in the same form as that.
pub(super) fn end(
    component: &ICalendarComponent,
    name: &ICalendarProperty,
    start: Option<&Moment>,
    clocks: &Whose<'_>,
) -> Option<Moment> {
    if let Some(end) = moment(component, name, clocks) {
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
    let Some((clock, named)) = &start.clock else {
        let at = start.at?.checked_add_signed((days + time) * sign)?;
        return Some(Moment {
            said: written(at),
            at: Some(at),
            ..start.clone()
        });
    };
    // Days are of the calendar, and hours pass (RFC 5545, 3.3.6).
    let day = clock.checked_add_signed(days * sign)?;
    let zone = named.clone().unwrap_or_else(|| clocks.owners());
    let at = zone.instant(day)?.checked_add_signed(time * sign)?;
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

/// As it is written, without a zone: `2026-05-01` or `2026-05-01T09:00:00`, with `Z` for an instant.
pub(crate) fn local(time: &PartialDateTime) -> Option<String> {
    let day = format!("{:04}-{:02}-{:02}", time.year?, time.month?, time.day?);
    let Some(hour) = time.hour else {
        return Some(day);
    };
    let (minute, second) = (time.minute.unwrap_or(0), time.second.unwrap_or(0));
    let is_instant = time.tz_hour == Some(0) && time.tz_minute.unwrap_or(0) == 0;
    let zone = if is_instant { "Z" } else { "" };
    Some(format!("{day}T{hour:02}:{minute:02}:{second:02}{zone}"))
}
