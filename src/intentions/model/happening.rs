//! When the events of a calendar happen: one by one, each series in its occurrences.
//!
//! Invariant: pure, bounded by the stretch that is asked for. A series whose rule can't be read happens once, when it
//! begins. Begin with [`happenings`].

use chrono::{DateTime, Duration, NaiveDateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;
use spine::ports::{CalendarEvent, Entity};

use super::recurrence::Recurrence;
use super::when::When;

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Happening {
    pub(crate) at: DateTime<Utc>,
    /// As it was said: a day, a local time or an instant.
    pub(crate) when: When,
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

    /// What is of a whole day is still to come on that day.
    fn holds(self, happening: &Happening) -> bool {
        let from = match happening.when {
            When::Day(_) => self.first_day(),
            When::Instant(_) | When::Local(_) => self.from,
        };
        (from..self.until).contains(&happening.at)
    }
}

/// When an event happens in a stretch. What was called off doesn't.
pub(crate) fn happenings(event: &CalendarEvent, stretch: Stretch) -> Vec<Happening> {
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
    let happening = |when: When| Happening {
        at: when.instant(stretch.zone),
        when,
    };
    let mut found: Vec<Happening> = match said("recurrence").map(Recurrence::parse) {
        Some(Ok(rule)) => {
            // Two days more on both ends, since clocks differ; what doesn't belong is left out below.
            let local = |at: DateTime<Utc>| at.with_timezone(&by).naive_local();
            let from = local(stretch.from) - Duration::days(2);
            let until = local(stretch.until) + Duration::days(2);
            let occurrences = rule.between(start.local(by), from, until, by);
            let each = occurrences.into_iter().map(|at| happening(start.like(at, by)));
            each.collect()
        }
        _ => vec![happening(start)],
    };
    let more = times(&event.event, "recurrence_dates");
    found.extend(more.map(|when| happening(start.like(when.local(by), by))));
    let replaced = event.replaced.iter().filter_map(|text| When::parse(text).ok());
    let left_out: Vec<When> = times(&event.event, "recurrence_exceptions")
        .chain(replaced)
        .collect();
    found.retain(|one| {
        let local = one.when.local(by);
        stretch.holds(one) && !left_out.iter().any(|out| means(*out, local, by))
    });
    found.sort_by_key(|one| one.at);
    found.dedup();
    found
}

/// Whether an occurrence is meant; a day means whatever happens on it.
fn means(said: When, occurrence: NaiveDateTime, by: Tz) -> bool {
    match said {
        When::Day(day) => occurrence.date() == day,
        other => other.local(by) == occurrence,
    }
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
        let Value::Object(props) = props else { panic!() };
        let event = Entity {
            id: EntityId::new(),
            kind: "Event".to_owned(),
            title: None,
            starts_at: None,
            props,
            version: 1,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        };
        let event = CalendarEvent {
            event,
            replaced: replaced.iter().map(ToString::to_string).collect(),
        };
        let stretch = Stretch {
            from: at("2026-05-01T12:00"),
            until: at("2026-05-15"),
            zone: chrono_tz::Europe::Vienna,
        };
        let told = happenings(&event, stretch);
        told.iter().map(|one| one.when.to_string()).collect()
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
