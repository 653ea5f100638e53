//! When the events of a calendar happen: one by one, each series in its occurrences.
//!
//! Invariant: pure, bounded by the stretch that is asked for and by a budget for the calendar as a whole. A series whose
//! rule can't be read happens once, when it begins. Begin with [`soonest`].

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;
use spine::ports::{CalendarEvent, Entity};
use uuid::Uuid;

use super::budget::Budget;
use super::plan::MomentKind;
use super::recurrence::Recurrence;
use super::when::When;

/// Occurrences and exceptions that are looked at for one list.
pub(crate) const STEPS_MAX: usize = 500_000;

/// The longest that something may last which is told as long as it does. The graph looks as far back.
const LASTS_MAX: Duration = Duration::days(366);

/// Where a moment stands in a list of what is to come.
pub(crate) type Place = (DateTime<Utc>, MomentKind, Uuid);

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Happening {
    pub(crate) at: DateTime<Utc>,
    /// As it was said: a day, a local time or an instant.
    pub(crate) when: When,
    /// When it is over, if it lasts.
    pub(crate) ends: Option<DateTime<Utc>>,
}

/// Which stretch of time, and by whose clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) from: DateTime<Utc>,
    /// Not itself.
    pub(crate) until: DateTime<Utc>,
    pub(crate) zone: Tz,
}

impl Stretch {
    /// When the day begins on which the stretch does.
    pub(crate) fn first_day(self) -> DateTime<Utc> {
        When::Day(self.from.with_timezone(&self.zone).date_naive()).instant(self.zone)
    }

    /// From when on something begins in the stretch: what is of a whole day is still to come on that day.
    fn begin(self, when: When) -> DateTime<Utc> {
        match when {
            When::Day(_) => self.first_day(),
            When::Instant(_) | When::Local(_) => self.from,
        }
    }

    fn holds(self, happening: &Happening) -> bool {
        let is_to_come = happening.at >= self.begin(happening.when);
        happening.at < self.until && (is_to_come || self.is_running(happening))
    }

    /// Whether it began before the stretch and isn't over when that begins.
    pub(crate) fn is_running(self, happening: &Happening) -> bool {
        happening.at < self.begin(happening.when) && happening.ends.is_some_and(|ends| ends > self.from)
    }
}

/// The next of a calendar.
#[derive(Debug, Default)]
pub(crate) struct Soonest<'a> {
    /// Soonest first, each with its event.
    pub(crate) happenings: Vec<(&'a Entity, Happening)>,
    /// The budget was used up before all events were looked at.
    pub(crate) is_incomplete: bool,
}

/// What happens soonest in a stretch, after a place, and how many of it at most.
pub(crate) fn soonest(
    events: &[CalendarEvent],
    mut stretch: Stretch,
    (after, most): (Option<Place>, usize),
    mut budget: Budget,
) -> Soonest<'_> {
    let mut first: BTreeMap<(DateTime<Utc>, Uuid), (&Entity, Happening)> = BTreeMap::new();
    let seek = after.map_or(stretch.from, |(at, ..)| at.max(stretch.from));
    for one in events {
        if budget.is_used_up() {
            break;
        }
        let id = one.event.id.0;
        for happening in happenings(one, stretch, seek, &mut budget) {
            if after.is_none_or(|after| (happening.at, MomentKind::Event, id) > after) {
                first.insert((happening.at, id), (&one.event, happening));
            }
        }
        while first.len() > most {
            first.pop_last();
        }
        if let Some((last, _)) = first.last_key_value()
            && first.len() == most
        {
            stretch.until = stretch.until.min(last.0 + Duration::seconds(1));
        }
    }
    Soonest {
        happenings: first.into_values().collect(),
        is_incomplete: budget.is_used_up(),
    }
}

/// When an event happens in a stretch, of a series at least what is not before `seek`. What was called off doesn't.
fn happenings(
    event: &CalendarEvent,
    stretch: Stretch,
    seek: DateTime<Utc>,
    budget: &mut Budget,
) -> Vec<Happening> {
    let said = |name: &str| event.event.props.get(name).and_then(Value::as_str);
    if said("status").is_some_and(|status| status.eq_ignore_ascii_case("cancelled")) {
        return Vec::new();
    }
    let start = said("start_at").and_then(|text| When::parse(text).ok());
    let Some(start) = start.or(event.event.starts_at.map(When::Instant)) else {
        return Vec::new();
    };
    let by = said("time_zone")
        .and_then(|name| name.parse().ok())
        .unwrap_or(stretch.zone);
    let lasts = Lasts::of(start, said("ends_at").and_then(|text| When::parse(text).ok()), by);
    let happening = |when: When| Happening {
        at: when.instant(stretch.zone),
        when,
        ends: lasts.end(when, stretch.zone),
    };
    let mut found: Vec<Happening> = match said("recurrence").map(Recurrence::parse) {
        Some(Ok(rule)) => {
            // Two days more on both ends, since clocks differ; what doesn't belong is left out below.
            let local = |at: DateTime<Utc>| at.with_timezone(&by).naive_local();
            let from = local(seek) - Duration::days(2) - lasts.0;
            let until = local(stretch.until) + Duration::days(2);
            let occurrences = rule.between(start.local(by), (from, until), by, budget);
            let each = occurrences.into_iter().map(|at| happening(start.like(at, by)));
            each.collect()
        }
        _ => vec![happening(start)],
    };
    if !budget.take(count(&event.event, "recurrence_dates")) {
        return Vec::new();
    }
    let more = times(&event.event, "recurrence_dates");
    found.extend(more.map(|when| happening(start.like(when.local(by), by))));
    found.retain(|one| stretch.holds(one));
    let exceptions = count(&event.event, "recurrence_exceptions") + event.replaced.len();
    if found.is_empty() || !budget.take(exceptions) {
        return Vec::new();
    }
    let left_out = LeftOut::of(event, by);
    found.retain(|one| !left_out.holds(one.when.local(by)));
    found.sort_by_key(|one| one.at);
    found.dedup();
    found
}

/// How long something lasts by its clock; one that lasts longer than can be is taken to begin alone.
#[derive(Debug, Clone, Copy)]
struct Lasts(Duration);

impl Lasts {
    fn of(start: When, ends: Option<When>, by: Tz) -> Self {
        let lasts = match (start, ends) {
            (_, None) => Duration::zero(),
            (When::Instant(start), Some(When::Instant(ends))) => ends - start,
            (start, Some(ends)) => ends.local(by) - start.local(by),
        };
        let is_usual = lasts > Duration::zero() && lasts <= LASTS_MAX;
        Self(if is_usual { lasts } else { Duration::zero() })
    }

    fn end(self, start: When, zone: Tz) -> Option<DateTime<Utc>> {
        let ends = match start {
            When::Instant(at) => at + self.0,
            When::Local(at) => When::Local(at + self.0).instant(zone),
            When::Day(day) => When::Day(day + self.0).instant(zone),
        };
        (self.0 > Duration::zero()).then_some(ends)
    }
}

/// Occurrences of a series that don't happen, or not there.
struct LeftOut {
    /// A day means whatever happens on it.
    days: HashSet<NaiveDate>,
    times: HashSet<NaiveDateTime>,
}

impl LeftOut {
    fn of(event: &CalendarEvent, by: Tz) -> Self {
        let replaced = event.replaced.iter().filter_map(|text| When::parse(text).ok());
        let (mut days, mut moments) = (HashSet::new(), HashSet::new());
        for when in times(&event.event, "recurrence_exceptions").chain(replaced) {
            match when {
                When::Day(day) => _ = days.insert(day),
                other => _ = moments.insert(other.local(by)),
            }
        }
        Self { days, times: moments }
    }

    fn holds(&self, occurrence: NaiveDateTime) -> bool {
        self.days.contains(&occurrence.date()) || self.times.contains(&occurrence)
    }
}

fn count(event: &Entity, name: &str) -> usize {
    event
        .props
        .get(name)
        .and_then(Value::as_array)
        .map_or(0, Vec::len)
}

fn times<'a>(event: &'a Entity, name: &str) -> impl Iterator<Item = When> + use<'a> {
    let said = event.props.get(name).and_then(Value::as_array);
    let said = said.into_iter().flatten().filter_map(Value::as_str);
    said.filter_map(|text| When::parse(text).ok())
}

#[cfg(test)]
mod tests {
    use contracts::EntityId;
    use serde_json::json;

    use super::*;

    /// When something happens in the first two weeks of May, by Vienna's clock.
    fn told(props: Value, replaced: &[&str]) -> Vec<String> {
        let at = |text: &str| When::parse(text).unwrap().instant(chrono_tz::Europe::Vienna);
        let events = [CalendarEvent {
            replaced: replaced.iter().map(ToString::to_string).collect(),
            ..series(1, props)
        }];
        let stretch = Stretch {
            from: at("2026-05-01T12:00"),
            until: at("2026-05-15"),
            zone: chrono_tz::Europe::Vienna,
        };
        let told = soonest(&events, stretch, (None, 100), Budget::new(10_000));
        assert!(!told.is_incomplete);
        told.happenings
            .iter()
            .map(|(_, one)| one.when.to_string())
            .collect()
    }

    fn series(uid: u128, props: Value) -> CalendarEvent {
        let Value::Object(props) = props else { panic!() };
        let event = Entity {
            id: EntityId(Uuid::from_u128(uid)),
            kind: "Event".to_owned(),
            title: None,
            starts_at: None,
            props,
            version: 1,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        };
        CalendarEvent {
            event,
            replaced: Vec::new(),
        }
    }

    fn year() -> Stretch {
        let at = |text: &str| When::parse(text).unwrap().instant(Tz::UTC);
        Stretch {
            from: at("2026-05-01"),
            until: at("2027-05-01"),
            zone: Tz::UTC,
        }
    }

    #[test]
    fn pages_of_a_calendar_have_each_happening_once_and_count_no_more_than_they_show() {
        let hourly = (0..24).map(|hour| hour.to_string()).collect::<Vec<_>>().join(",");
        let hourly = format!("FREQ=DAILY;BYHOUR={hourly}");
        let events: Vec<CalendarEvent> = (1..=300)
            .map(|uid| series(uid, json!({"start_at": "1990-01-01T00:00", "recurrence": hourly})))
            .collect();
        let (mut after, mut seen) = (None, Vec::new());
        for _ in 0..4 {
            // A year of them is 2.6 million.
            let page = soonest(&events, year(), (after, 200), Budget::new(60_000));
            assert!(!page.is_incomplete);
            seen.extend(page.happenings.iter().map(|(event, one)| (one.at, event.id.0)));
            after = seen.last().map(|(at, id)| (*at, MomentKind::Event, *id));
        }
        let expected = (0..800).map(|nth: u32| {
            let at = year().from + Duration::hours(i64::from(nth / 300));
            (at, Uuid::from_u128(u128::from(nth % 300 + 1)))
        });
        assert_eq!(seen, expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_calendar_that_takes_too_long_to_count_is_told_to_be_incomplete() {
        let never =
            json!({"start_at": "1990-01-01T00:00", "recurrence": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"});
        let once = series(1, json!({"start_at": "2026-05-02T09:00"}));
        let mut events = vec![once.clone()];
        events.extend((2..=1_000).map(|uid| series(uid, never.clone())));
        let found = soonest(&events, year(), (None, 50), Budget::new(STEPS_MAX));
        assert_eq!((found.happenings.len(), found.is_incomplete), (1, true));
        assert!(!soonest(&[once], year(), (None, 50), Budget::new(STEPS_MAX)).is_incomplete);
    }

    #[test]
    fn an_event_happens_once_and_one_of_today_as_a_whole_is_still_to_come() {
        assert_eq!(
            told(json!({"start_at": "2026-05-02T09:00"}), &[]),
            ["2026-05-02T09:00:00"]
        );
        assert_eq!(told(json!({"start_at": "2026-05-01"}), &[]), ["2026-05-01"]);
        for none in ["2026-05-01T11:59", "2026-04-30", "2026-05-15", "2027-01-01"] {
            assert!(told(json!({"start_at": none}), &[]).is_empty(), "{none}");
        }
        assert!(told(json!({"start_at": "2026-05-02", "status": "CANCELLED"}), &[]).is_empty());
        assert!(told(json!({}), &[]).is_empty());
    }

    #[test]
    fn what_runs_is_told_until_it_is_over_also_an_occurrence_of_a_series() {
        for running in [
            json!({"start_at": "2026-04-29", "ends_at": "2026-05-03"}),
            json!({"start_at": "2026-05-01T11:00", "ends_at": "2026-05-01T13:00"}),
            json!({"start_at": "2026-05-01T09:00:00Z", "ends_at": "2026-05-01T10:00:01Z"}),
        ] {
            assert_eq!(told(running.clone(), &[]).len(), 1, "{running}");
        }
        for over in [
            json!({"start_at": "2026-04-29", "ends_at": "2026-05-01"}),
            json!({"start_at": "2026-05-01T11:00", "ends_at": "2026-05-01T12:00"}),
            json!({"start_at": "2026-05-01T11:00"}),
            json!({"start_at": "2026-05-01T11:00", "ends_at": "2026-04-01T12:00"}),
            json!({"start_at": "1926-05-01T11:00", "ends_at": "2026-06-01T12:00"}),
        ] {
            assert!(told(over.clone(), &[]).is_empty(), "{over}");
        }
        let fairs = json!({"start_at": "2026-04-10", "ends_at": "2026-04-15", "recurrence": "FREQ=DAILY;INTERVAL=20;COUNT=2"});
        assert_eq!(told(fairs, &[]), ["2026-04-30"]);
    }

    #[test]
    fn a_series_happens_by_its_own_clock_without_what_was_left_out_or_moved() {
        // Mondays at nine in New York, since the winter: 15:00 in Vienna.
        let series = json!({"start_at": "2026-01-05T14:00:00Z", "time_zone": "America/New_York",
            "recurrence": "FREQ=WEEKLY", "recurrence_dates": ["2026-05-06T09:00:00"]});
        assert_eq!(
            told(series.clone(), &[]),
            [
                "2026-05-04T13:00:00Z",
                "2026-05-06T13:00:00Z",
                "2026-05-11T13:00:00Z"
            ]
        );
        assert_eq!(
            told(series, &["2026-05-04T09:00:00"]),
            ["2026-05-06T13:00:00Z", "2026-05-11T13:00:00Z"]
        );
        let days = json!({"start_at": "2026-05-01", "recurrence": "FREQ=DAILY;COUNT=4",
            "recurrence_exceptions": ["2026-05-03"]});
        assert_eq!(told(days, &[]), ["2026-05-01", "2026-05-02", "2026-05-04"]);
        let broken = json!({"start_at": "2026-05-02", "recurrence": "now and then"});
        assert_eq!(told(broken, &[]), ["2026-05-02"]);
    }
}
