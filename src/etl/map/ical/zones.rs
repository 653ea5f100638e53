//! The zones of a calendar: those of the world by their names, others by the clocks that the calendar describes (VTIMEZONE,
//! RFC 5545 section 3.6.5).
//!
//! Invariant: a zone that the calendar describes is used, whatever its name: as one of the world's whose clocks run the
//! same, else by its own changes of the clocks up to 2070. Begin with [`Zones::of`].

use std::collections::HashMap;
use std::rc::Rc;
use std::str::FromStr;

use calcard::common::PartialDateTime;
use calcard::common::timezone::Tz;
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarFrequency, ICalendarProperty,
    ICalendarRecurrenceRule, ICalendarValue, ICalendarWeekday,
};
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc, Weekday};

use super::super::zone::country;

const FIRST_YEAR: i32 = 1970;
const LAST_YEAR: i32 = 2070;
/// In these years a zone of the world has to run the same.
const COMPARED: std::ops::Range<i32> = 2025..2035;
const OBSERVANCES_MAX: usize = 200;
const ZONES_MAX: usize = 50;

/// Whose clock shows a time.
#[derive(Debug, Clone)]
pub(super) enum Zone {
    World(Tz),
    Own(Rc<Clocks>),
}

impl Zone {
    /// When a clock of the zone shows a time. Of an hour that a change of the clock repeats, the first; of one that it
    /// skips, the one after.
    pub(super) fn instant(&self, time: NaiveDateTime) -> Option<DateTime<Utc>> {
        match self {
            Self::World(zone) => {
                let later = || zone.from_local_datetime(&(time + TimeDelta::hours(1))).earliest();
                let found = zone.from_local_datetime(&time).earliest().or_else(later)?;
                Some(found.with_timezone(&Utc))
            }
            Self::Own(clocks) => clocks.instant(time),
        }
    }

    /// Its name, if it is one of the world's.
    pub(super) fn name(&self) -> Option<String> {
        let Self::World(zone) = self else { return None };
        zone.name()
            .map(std::borrow::Cow::into_owned)
            .filter(|name| name.len() <= 64)
    }
}

/// The zones that a calendar describes, by their names there.
#[derive(Debug)]
pub(super) struct Zones(HashMap<String, Zone>);

impl Zones {
    pub(super) fn of(calendar: &ICalendar, own: Option<chrono_tz::Tz>) -> Self {
        let described = calendar.timezones().take(ZONES_MAX);
        Self(
            described
                .filter_map(|one| described_zone(calendar, one, own))
                .collect(),
        )
    }

    pub(super) fn get(&self, name: &str) -> Option<Zone> {
        let known = || Tz::from_str(name).ok().map(Zone::World);
        self.0.get(name).cloned().or_else(known)
    }
}

fn described_zone(
    calendar: &ICalendar,
    component: &ICalendarComponent,
    own: Option<chrono_tz::Tz>,
) -> Option<(String, Zone)> {
    let name = component
        .property(&ICalendarProperty::Tzid)?
        .values
        .first()?
        .as_text()?;
    let named = component.timezone().map(|(_, zone)| Zone::World(zone));
    let described = || {
        let clocks = Clocks::of(calendar, component)?;
        let same = clocks.of_the_world(own).map(|zone| Zone::World(Tz::Tz(zone)));
        Some(same.unwrap_or_else(|| Zone::Own(Rc::new(clocks))))
    };
    Some((name.to_owned(), named.or_else(described)?))
}

/// A change of the clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Onset {
    /// What the clocks show then, before they are changed.
    at: NaiveDateTime,
    from: i32,
    to: i32,
}

/// All changes of a zone's clocks, in order; there is at least one.
#[derive(Debug)]
pub(super) struct Clocks(Vec<Onset>);

impl Clocks {
    fn of(calendar: &ICalendar, zone: &ICalendarComponent) -> Option<Self> {
        let inner = zone.component_ids.iter().take(OBSERVANCES_MAX);
        let inner = inner.filter_map(|id| calendar.components.get(usize::try_from(*id).ok()?));
        let mut onsets: Vec<Onset> = inner
            .filter(|one| {
                matches!(
                    one.component_type,
                    ICalendarComponentType::Standard | ICalendarComponentType::Daylight
                )
            })
            .filter_map(onsets)
            .flatten()
            .collect();
        onsets.sort_unstable();
        (!onsets.is_empty()).then_some(Self(onsets))
    }

    fn instant(&self, time: NaiveDateTime) -> Option<DateTime<Utc>> {
        let ahead = |seconds: i32| TimeDelta::seconds(i64::from(seconds));
        let offset = match self.0.partition_point(|onset| onset.at <= time).checked_sub(1) {
            None => self.0.first()?.from,
            Some(before) => {
                let onset = self.0.get(before)?;
                // A time that the clocks never showed is meant by the clock before.
                let is_skipped = time - ahead(onset.to) < onset.at - ahead(onset.from);
                if is_skipped { onset.from } else { onset.to }
            }
        };
        Some(time.checked_sub_signed(ahead(offset))?.and_utc())
    }

    /// A zone of the world whose clocks run the same: the owner's before others, well-known ones before the rest.
    fn of_the_world(&self, own: Option<chrono_tz::Tz>) -> Option<chrono_tz::Tz> {
        let is_known = |zone: &&chrono_tz::Tz| country(zone.name()).is_some();
        let all = chrono_tz::TZ_VARIANTS.iter();
        let mut candidates = own
            .iter()
            .chain(all.clone().filter(is_known))
            .chain(all.filter(|zone| !is_known(zone)));
        candidates.find(|zone| self.runs_as(**zone)).copied()
    }

    fn runs_as(&self, zone: chrono_tz::Tz) -> bool {
        let shows = |at: DateTime<Utc>| {
            let offset = zone.offset_from_utc_datetime(&at.naive_utc()).fix();
            at.naive_utc() + TimeDelta::seconds(i64::from(offset.local_minus_utc()))
        };
        let is_same = |local: NaiveDateTime| self.instant(local).is_some_and(|at| shows(at) == local);
        let months = COMPARED.flat_map(|year| (1..=12).filter_map(move |month| day(year, month, 1)));
        let mut noons = months.filter_map(|day| day.and_hms_opt(12, 0, 0));
        let changes = self.0.iter().filter(|onset| COMPARED.contains(&onset.at.year()));
        // A day before and after each change, and within hours of it.
        let mut near =
            changes.flat_map(|onset| [-24, -3, 3, 24].map(|hours| onset.at + TimeDelta::hours(hours)));
        noons.all(is_same) && near.all(is_same)
    }
}

/// When an observance begins, each time.
fn onsets(observance: &ICalendarComponent) -> Option<Vec<Onset>> {
    let value = |name: &ICalendarProperty| observance.property(name)?.values.first();
    let local = |value: &ICalendarValue| Some(value.as_partial_date_time()?.to_date_time()?.date_time);
    let offset = |name: &ICalendarProperty| seconds(value(name)?.as_partial_date_time()?);
    let (from, to) = (
        offset(&ICalendarProperty::Tzoffsetfrom)?,
        offset(&ICalendarProperty::Tzoffsetto)?,
    );
    let begin = local(value(&ICalendarProperty::Dtstart)?)?;
    let mut times = vec![begin];
    let dates = observance.properties(&ICalendarProperty::Rdate);
    times.extend(
        dates
            .flat_map(|entry| &entry.values)
            .filter_map(local)
            .take(OBSERVANCES_MAX),
    );
    if let Some(ICalendarValue::RecurrenceRule(rule)) = value(&ICalendarProperty::Rrule) {
        times.extend(yearly(begin, rule));
    }
    Some(times.into_iter().map(|at| Onset { at, from, to }).collect())
}

/// A UTC offset, in seconds.
fn seconds(offset: &PartialDateTime) -> Option<i32> {
    let seconds = i32::from(offset.tz_hour?) * 3_600 + i32::from(offset.tz_minute.unwrap_or(0)) * 60;
    Some(if offset.tz_minus { -seconds } else { seconds })
}

/// The days of a yearly rule, which is what zones have: a weekday of a month, counted from its beginning or end, or among
/// some days of it.
fn yearly(begin: NaiveDateTime, rule: &ICalendarRecurrenceRule) -> Vec<NaiveDateTime> {
    let until = rule.until.as_ref().and_then(PartialDateTime::to_date_time);
    let count = rule.count.and_then(|count| i32::try_from(count).ok());
    let last = count.map_or(LAST_YEAR, |count| {
        begin.year().saturating_add(count - 1).min(LAST_YEAR)
    });
    if rule.freq != ICalendarFrequency::Yearly || rule.interval.is_some_and(|interval| interval > 1) {
        return Vec::new();
    }
    let month = rule
        .bymonth
        .first()
        .map_or(begin.month(), |month| u32::from(month.month()));
    let on = |year: i32| {
        let Some(by) = rule.byday.first() else {
            let of_month = rule.bymonthday.first().and_then(|day| u32::try_from(*day).ok());
            return day(year, month, of_month.unwrap_or(begin.day()));
        };
        let weekday = weekday(by.weekday);
        let mut days = (1..=31)
            .filter_map(|of_month| day(year, month, of_month))
            .filter(|day| day.weekday() == weekday);
        match by.ordwk {
            Some(nth) if nth > 0 => days.nth(usize::try_from(nth).ok()? - 1),
            Some(nth) => days.rev().nth(usize::from(nth.unsigned_abs()).checked_sub(1)?),
            None => days.find(|day| {
                let is_listed = |one: &i8| u32::try_from(*one).is_ok_and(|one| one == day.day());
                rule.bymonthday.is_empty() || rule.bymonthday.iter().any(is_listed)
            }),
        }
    };
    (begin.year().max(FIRST_YEAR)..=last)
        .filter_map(|year| Some(on(year)?.and_time(begin.time())))
        // The end is an instant; a day more or less is no change of the clocks.
        .filter(|at| {
            until
                .as_ref()
                .is_none_or(|until| *at <= until.date_time + Days::new(1))
        })
        .collect()
}

fn day(year: i32, month: u32, day: u32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(year, month, day)
}

fn weekday(day: ICalendarWeekday) -> Weekday {
    match day {
        ICalendarWeekday::Monday => Weekday::Mon,
        ICalendarWeekday::Tuesday => Weekday::Tue,
        ICalendarWeekday::Wednesday => Weekday::Wed,
        ICalendarWeekday::Thursday => Weekday::Thu,
        ICalendarWeekday::Friday => Weekday::Fri,
        ICalendarWeekday::Saturday => Weekday::Sat,
        ICalendarWeekday::Sunday => Weekday::Sun,
    }
}
