//! Recurrence rules (RFC 5545, RRULE), counted on the owner's calendar and clock.
//!
//! The rule runs on local times, and each occurrence becomes an instant afterwards: a task at 9:00 stays at 9:00, and a
//! time that the clocks jump over moves by the jump instead of vanishing.
//! Invariant: bounded. Rules that occur more often than every half hour of a day are refused, and a search ends.
//! Begin with [`Recurrence::parse`].

use chrono::{DateTime, Datelike, Duration, NaiveDateTime, NaiveTime};
use chrono_tz::Tz;
use rrule::RRuleSet;

use super::budget::Budget;
use super::when::When;

const TEXT_LEN_MAX: usize = 500;
/// Occurrences a day.
const A_DAY_MAX: usize = 48;
/// Occurrences that a search passes over: a hundred years of days, five years of the densest rule.
const STEPS_MAX: usize = 90_000;
/// What a rule costs whose search ended without an occurrence: the library looks at so many days, at the most.
const DRY_STEPS: usize = 50_000;
const EXAMPLES: &str = "such as FREQ=WEEKLY;BYDAY=MO,TH or FREQ=MONTHLY;BYMONTHDAY=1;COUNT=12";

/// A rule that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recurrence {
    /// Without UNTIL.
    parts: Vec<String>,
    until: Option<When>,
}

impl Recurrence {
    /// Reads a rule; the refusal says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let text = text
            .get(..6)
            .filter(|head| head.eq_ignore_ascii_case("RRULE:"))
            .map_or(text, |_| &text[6..]);
        if text.is_empty()
            || text.len() > TEXT_LEN_MAX
            || !text.is_ascii()
            || text.chars().any(char::is_control)
        {
            return Err(format!(
                "a recurrence is one RRULE of at most {TEXT_LEN_MAX} characters, {EXAMPLES}"
            ));
        }
        let mut rule = Self {
            parts: Vec::new(),
            until: None,
        };
        let (mut frequency, mut a_day) = (None, 1_usize);
        for part in text.trim_end_matches(';').split(';') {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` in the recurrence is not KEY=VALUE, {EXAMPLES}"))?;
            let key = key.to_ascii_uppercase();
            match key.as_str() {
                "UNTIL" => {
                    rule.until = Some(When::parse(value).map_err(|_| {
                        format!("UNTIL={value} is not a time: write UNTIL=20261231 or UNTIL=20261231T090000Z")
                    })?);
                    continue;
                }
                "FREQ" => frequency = Some(value.to_ascii_uppercase()),
                "INTERVAL" | "COUNT" if value.parse::<u16>().is_ok_and(|number| number > 0) => {}
                "INTERVAL" | "COUNT" => {
                    return Err(format!("{key} is a whole number from 1 to {}", u16::MAX));
                }
                "BYHOUR" | "BYMINUTE" | "BYSECOND" => a_day = a_day.saturating_mul(value.split(',').count()),
                _ => {}
            }
            rule.parts.push(format!("{key}={}", value.to_ascii_uppercase()));
        }
        match frequency.as_deref() {
            Some("DAILY" | "WEEKLY" | "MONTHLY" | "YEARLY") => {}
            Some("HOURLY" | "MINUTELY" | "SECONDLY") => {
                return Err("a recurrence is by day, week, month or year (FREQ=DAILY and so on); several times a day are \
                            BYHOUR=9,13,17; a schedule that runs by the hour or minute takes cron, such as 0 * * * *"
                    .to_owned());
            }
            _ => {
                return Err(format!(
                    "a recurrence needs FREQ=DAILY, WEEKLY, MONTHLY or YEARLY, {EXAMPLES}"
                ));
            }
        }
        if a_day > A_DAY_MAX {
            return Err(format!(
                "the recurrence has {a_day} times a day; {A_DAY_MAX} is the most"
            ));
        }
        rule.set(DateTime::UNIX_EPOCH.naive_utc(), None)?;
        Ok(rule)
    }

    /// The rule as it runs: on local times, which the library takes for UTC.
    fn set(&self, start: NaiveDateTime, until: Option<NaiveDateTime>) -> Result<RRuleSet, String> {
        let form = "%Y%m%dT%H%M%SZ";
        let until = until
            .map(|until| format!(";UNTIL={}", until.format(form)))
            .unwrap_or_default();
        let text = format!(
            "DTSTART:{}\nRRULE:{}{until}",
            start.format(form),
            self.parts.join(";")
        );
        let set: RRuleSet = text.parse().map_err(|error: rrule::RRuleError| {
            format!("the recurrence is not an RRULE, {EXAMPLES}: {error}")
        })?;
        Ok(set.limit())
    }

    /// Up to when it recurs, by a clock, if it says so; of a day its end.
    pub(crate) fn until(&self, zone: Tz) -> Option<NaiveDateTime> {
        self.until.map(|until| match until {
            When::Day(day) => day.and_time(NaiveTime::MIN) + Duration::seconds(86_399),
            other => other.local(zone),
        })
    }

    /// Whether it says how often it recurs.
    pub(crate) fn is_counted(&self) -> bool {
        self.said("COUNT").is_some()
    }

    /// The rule from `start` on, by the owner's clock; `None`: it ended before.
    fn from(&self, start: NaiveDateTime, zone: Tz) -> Option<RRuleSet> {
        match self.until(zone) {
            Some(until) if until < start => None,
            until => self.set(start, until).ok(),
        }
    }

    /// The first occurrence after a moment; `None`: the rule has ended, or never occurs.
    pub(crate) fn after(
        &self,
        start: NaiveDateTime,
        moment: NaiveDateTime,
        zone: Tz,
    ) -> Option<NaiveDateTime> {
        let set = self.from(start, zone)?;
        occurrences(&set).find(|at| *at > moment)
    }

    /// The occurrences from a moment on, before another, as far as the budget goes.
    pub(crate) fn between(
        &self,
        start: NaiveDateTime,
        (from, before): (NaiveDateTime, NaiveDateTime),
        zone: Tz,
        budget: &mut Budget,
    ) -> Vec<NaiveDateTime> {
        let mut found = Vec::new();
        let Some(set) = self.from(self.near(start, from), zone) else {
            return found;
        };
        let (mut all, mut is_dry) = (occurrences(&set), true);
        while budget.take(1) {
            match all.next() {
                Some(at) if at >= before => break,
                Some(at) if at >= from => found.push(at),
                Some(_) => {}
                None => {
                    let is_long = self.until.is_none_or(|until| until.local(zone) >= before);
                    if is_dry || is_long && !self.is_counted() {
                        budget.take(DRY_STEPS);
                    }
                    break;
                }
            }
            is_dry = false;
        }
        found
    }

    /// A start from which the rule has the same occurrences after a moment, as near to that as its intervals allow. A rule
    /// with COUNT counts from its beginning.
    fn near(&self, start: NaiveDateTime, moment: NaiveDateTime) -> NaiveDateTime {
        if moment <= start || self.is_counted() {
            return start;
        }
        let every = self.said("INTERVAL").and_then(|every| every.parse().ok());
        let every: i32 = every.unwrap_or(1);
        let by_days = |days: i64| start + Duration::days((moment - start).num_days() / days * days);
        // What a rule takes from its start is the day of a month, in some month: years later it is the same.
        let by_years = |years: i32| {
            let times = (moment.year() - start.year()) / years;
            let mut later = (0..=times)
                .rev()
                .filter_map(|times| start.with_year(start.year() + times * years));
            later.find(|at| *at <= moment).unwrap_or(start)
        };
        match self.said("FREQ") {
            Some("DAILY") => by_days(every.into()),
            Some("WEEKLY") => by_days(7 * i64::from(every)),
            Some("MONTHLY") => {
                let common = [12, 6, 4, 3, 2].into_iter().find(|by| every % by == 0);
                by_years(every / common.unwrap_or(1))
            }
            Some("YEARLY") => by_years(every),
            _ => start,
        }
    }

    /// What a part of the rule says.
    fn said(&self, key: &str) -> Option<&str> {
        let mut parts = self.parts.iter().filter_map(|part| part.split_once('='));
        parts.find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The last occurrence that is not after a moment.
    pub(crate) fn latest(
        &self,
        start: NaiveDateTime,
        moment: NaiveDateTime,
        zone: Tz,
    ) -> Option<NaiveDateTime> {
        let set = self.from(start, zone)?;
        occurrences(&set).take_while(|at| *at <= moment).last()
    }
}

/// Occurrences in order. Ends by itself.
fn occurrences(set: &RRuleSet) -> impl Iterator<Item = NaiveDateTime> {
    set.into_iter().take(STEPS_MAX).map(|at| at.naive_utc())
}

#[cfg(test)]
mod tests {
    use super::super::when::instant_of;
    use super::*;

    fn at(text: &str) -> NaiveDateTime {
        When::parse(text).unwrap().local(Tz::UTC)
    }

    fn all(rule: &str, start: &str, count: usize) -> Vec<String> {
        let rule = Recurrence::parse(rule).unwrap();
        let zone = chrono_tz::Europe::Vienna;
        let Some(set) = rule.from(at(start), zone) else {
            return Vec::new();
        };
        occurrences(&set)
            .take(count)
            .map(|at| When::Instant(instant_of(at, zone)).to_string())
            .collect()
    }

    #[test]
    fn what_recurs_at_nine_stays_at_nine_over_a_change_of_the_clocks() {
        assert_eq!(
            all("RRULE:FREQ=DAILY;COUNT=3", "2026-03-28T09:00", 9),
            [
                "2026-03-28T08:00:00Z",
                "2026-03-29T07:00:00Z",
                "2026-03-30T07:00:00Z"
            ]
        );
        // At 2:30 there is no such time on the 29th: an hour later, and not left out.
        assert_eq!(
            all("FREQ=DAILY", "2026-03-28T02:30", 3),
            [
                "2026-03-28T01:30:00Z",
                "2026-03-29T01:30:00Z",
                "2026-03-30T00:30:00Z"
            ]
        );
        // In autumn 2:30 comes twice and the task once.
        assert_eq!(
            all("FREQ=DAILY", "2026-10-24T02:30", 3),
            [
                "2026-10-24T00:30:00Z",
                "2026-10-25T00:30:00Z",
                "2026-10-26T01:30:00Z"
            ]
        );
    }

    #[test]
    fn until_a_day_includes_it_and_until_an_instant_is_read_in_the_owners_zone() {
        assert_eq!(all("FREQ=DAILY;UNTIL=20260302", "2026-03-01T09:00", 9).len(), 2);
        assert_eq!(
            all("FREQ=DAILY;UNTIL=20260302T080000Z", "2026-03-01T09:00", 9).len(),
            2
        );
        assert_eq!(
            all("FREQ=DAILY;UNTIL=20260302T075959Z", "2026-03-01T09:00", 9).len(),
            1
        );
        assert!(all("FREQ=DAILY;UNTIL=2020-01-01", "2026-03-01T09:00", 9).is_empty());
    }

    #[test]
    fn malformed_and_absurd_rules_are_refused_with_what_would_be_right() {
        for (bad, part) in [
            ("", "FREQ=WEEKLY;BYDAY=MO,TH"),
            ("weekly", "KEY=VALUE"),
            ("BYDAY=MO", "needs FREQ"),
            ("FREQ=SECONDLY", "by day, week"),
            ("FREQ=MINUTELY;INTERVAL=5", "0 * * * *"),
            ("FREQ=DAILY;INTERVAL=0", "INTERVAL is a whole number from 1"),
            ("FREQ=DAILY;COUNT=-1", "COUNT is a whole number"),
            ("FREQ=WEEKLY;BYDAY=XX", "MO"),
            ("FREQ=DAILY;UNTIL=never", "UNTIL=20261231"),
            (
                "FREQ=DAILY;BYHOUR=1,2,3,4,5,6,7,8,9,10;BYMINUTE=0,10,20,30,40,50",
                "60 times a day",
            ),
            ("FREQ=DAILY\nEXDATE:20260101", "one RRULE"),
            ("FREQ=DÄILY", "one RRULE"),
        ] {
            let error = Recurrence::parse(bad).unwrap_err();
            assert!(error.contains(part), "{bad}: {error}");
        }
    }

    #[test]
    fn a_day_that_never_comes_ends_the_search() {
        let rule = Recurrence::parse("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30").unwrap();
        assert_eq!(
            rule.after(at("2026-01-01T00:00"), at("2026-01-01T00:00"), Tz::UTC),
            None
        );
    }

    #[test]
    fn an_old_series_is_counted_from_near_the_stretch_and_has_the_same_occurrences() {
        for rule in [
            "FREQ=DAILY;INTERVAL=11;BYHOUR=9,13",
            "FREQ=DAILY;INTERVAL=3;BYMONTH=5,6",
            "FREQ=WEEKLY;INTERVAL=5;BYDAY=MO,SU",
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO;WKST=SU",
            "FREQ=MONTHLY",
            "FREQ=MONTHLY;INTERVAL=18;BYDAY=-1FR",
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            "FREQ=MONTHLY;INTERVAL=7;UNTIL=20280101",
            "FREQ=YEARLY;INTERVAL=3",
            "FREQ=YEARLY;BYWEEKNO=1,20,53",
            "FREQ=YEARLY;BYMONTH=11;BYDAY=4TH",
            "FREQ=DAILY;COUNT=9500",
        ] {
            for start in ["2000-02-29T09:00", "2001-12-31T23:30", "2003-07-15T00:00"] {
                for (from, before) in [
                    ("2026-02-27T00:00", "2027-03-05T12:00"),
                    ("2024-02-29T09:00", "2029-01-01T00:00"),
                ] {
                    let (start, from, before) = (at(start), at(from), at(before));
                    let rule = Recurrence::parse(rule).unwrap();
                    let counted = rule.between(start, (from, before), Tz::UTC, &mut Budget::new(100_000));
                    let set = rule.from(start, Tz::UTC).unwrap();
                    let all = occurrences(&set).skip_while(|at| *at < from);
                    let all: Vec<_> = all.take_while(|at| *at < before).collect();
                    assert_eq!(counted, all, "{rule:?} from {start} in {from}");
                }
            }
        }
    }

    #[test]
    fn a_dense_series_of_long_ago_still_happens_and_costs_what_is_in_the_stretch() {
        let hours = (0..24).map(|hour| hour.to_string()).collect::<Vec<_>>().join(",");
        let rule = Recurrence::parse(&format!("FREQ=DAILY;BYHOUR={hours};BYMINUTE=0,30")).unwrap();
        let day = (at("2026-05-01T00:00"), at("2026-05-02T00:00"));
        let mut budget = Budget::new(150);
        let found = rule.between(at("1990-01-01T00:00"), day, Tz::UTC, &mut budget);
        assert_eq!((found.len(), budget.is_used_up()), (48, false));
        budget = Budget::new(20);
        let found = rule.between(at("1990-01-01T00:00"), day, Tz::UTC, &mut budget);
        assert_eq!((found.len(), budget.is_used_up()), (20, true));
    }

    #[test]
    fn the_latest_is_the_last_one_that_has_come() {
        let rule = Recurrence::parse("FREQ=DAILY").unwrap();
        let start = at("2026-01-01T09:00");
        assert_eq!(
            rule.latest(start, at("2026-01-05T08:59"), Tz::UTC),
            Some(at("2026-01-04T09:00"))
        );
        assert_eq!(rule.latest(start, at("2025-01-05T08:59"), Tz::UTC), None);
        assert_eq!(
            rule.after(start, at("2026-01-05T09:00"), Tz::UTC),
            Some(at("2026-01-06T09:00"))
        );
    }
}
