//! Times of a calendar as the graph keeps them, and in the forms that RFC 5545 asks for.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// A day, a time by some clock, or an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Day(NaiveDate),
    Local(NaiveDateTime),
    Instant(DateTime<Utc>),
}

impl When {
    /// What the graph says; `None`: no time.
    pub(super) fn read(said: &str) -> Option<Self> {
        if let Ok(at) = DateTime::parse_from_rfc3339(said) {
            return Some(Self::Instant(at.to_utc()));
        }
        let forms = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
        let local = forms
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(said, form).ok());
        let day = || NaiveDate::parse_from_str(said, "%Y-%m-%d").ok().map(Self::Day);
        local.map(Self::Local).or_else(day)
    }

    /// What the clock of a zone shows then.
    pub(super) fn clock(self, zone: Tz) -> NaiveDateTime {
        match self {
            Self::Day(day) => day.and_time(NaiveTime::MIN),
            Self::Local(time) => time,
            Self::Instant(at) => at.with_timezone(&zone).naive_local(),
        }
    }

    /// The instant, by the clock of a zone; of an hour that it shows twice the first.
    pub(super) fn instant(self, zone: Tz) -> DateTime<Utc> {
        if let Self::Instant(at) = self {
            return at;
        }
        let time = self.clock(zone);
        let found = zone.from_local_datetime(&time).earliest();
        let found = found.or_else(|| zone.from_local_datetime(&(time + TimeDelta::hours(1))).earliest());
        found.map_or_else(|| time.and_utc(), |at| at.to_utc())
    }

    /// The same moment in the form of another: a calendar's end has the form of its start.
    pub(super) fn like(self, other: Self, zone: Tz) -> Self {
        match other {
            Self::Day(_) => Self::Day(self.clock(zone).date()),
            Self::Local(_) => Self::Local(self.clock(zone)),
            Self::Instant(_) => Self::Instant(self.instant(zone)),
        }
    }

    /// An event's end like its start: one of days ends before a day begins, at least one after the start.
    pub(super) fn end_of(self, start: Self, zone: Tz) -> Self {
        let Self::Day(first) = start else {
            return self.like(start, zone);
        };
        let end = self.clock(zone);
        let rest = if end.time() == NaiveTime::MIN { 0 } else { 1 };
        let day = end.date() + TimeDelta::days(rest);
        Self::Day(day.max(first + TimeDelta::days(1)))
    }
}

/// A rule that counts from the present occurrence: without those since the count began.
pub(super) fn counted_from(rule: &str, began: NaiveDateTime, present: NaiveDateTime) -> Option<String> {
    let parts: Vec<&str> = rule.split(';').collect();
    let count = |part: &&str| {
        part.to_ascii_uppercase()
            .strip_prefix("COUNT=")?
            .parse::<usize>()
            .ok()
    };
    let all = parts.iter().find_map(count)?;
    let text = format!("DTSTART:{}\nRRULE:{rule}", began.format("%Y%m%dT%H%M%SZ"));
    let set: rrule::RRuleSet = text.parse().ok()?;
    let set = set.limit();
    let gone = set.into_iter().take_while(|at| at.naive_utc() < present).count();
    let left = all.saturating_sub(gone).max(1);
    let parts = parts.iter().map(|part| match count(part) {
        Some(_) => format!("COUNT={left}"),
        None => (*part).to_owned(),
    });
    Some(parts.collect::<Vec<_>>().join(";"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn when(said: &str) -> When {
        When::read(said).unwrap()
    }

    #[test]
    fn an_end_has_the_form_of_its_start() {
        let zone = chrono_tz::Europe::Vienna;
        for (start, end, expected) in [
            ("2026-05-01", "2026-05-03", "2026-05-03"),
            // An instant: midnight in Vienna, and an hour later.
            ("2026-05-01", "2026-05-01T22:00:00Z", "2026-05-02"),
            ("2026-05-01", "2026-05-01T23:00:00Z", "2026-05-03"),
            ("2026-05-01", "2026-05-01", "2026-05-02"),
            (
                "2026-05-01T09:00:00",
                "2026-05-01T08:00:00Z",
                "2026-05-01T10:00:00",
            ),
            (
                "2026-05-01T07:00:00Z",
                "2026-05-01T10:00:00",
                "2026-05-01T08:00:00Z",
            ),
            ("2026-05-01T07:00:00Z", "2026-05-02", "2026-05-01T22:00:00Z"),
        ] {
            assert_eq!(
                when(end).end_of(when(start), zone),
                when(expected),
                "{start} {end}"
            );
        }
    }

    #[test]
    fn a_rule_counts_what_is_left_of_it() {
        let (began, present) = (
            when("2026-05-01").clock(Tz::UTC),
            when("2026-05-03").clock(Tz::UTC),
        );
        let left = |rule| counted_from(rule, began, present);
        assert_eq!(left("FREQ=DAILY;COUNT=5").as_deref(), Some("FREQ=DAILY;COUNT=3"));
        assert_eq!(left("FREQ=DAILY;COUNT=2").as_deref(), Some("FREQ=DAILY;COUNT=1"));
        assert_eq!(left("FREQ=DAILY"), None);
        assert_eq!(left("FREQ=SOMETIMES;COUNT=2"), None);
    }
}
