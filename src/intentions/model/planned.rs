//! When a schedule fires: by cron or by RRULE, in a zone.
//!
//! Invariant: at most once a minute; the search for the next moment is bounded by the libraries' own limits.

use chrono::{DateTime, NaiveDateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds};

use super::recurrence::Recurrence;
use super::when::{When, instant_of};

/// When a schedule fires.
#[derive(Debug, Clone)]
pub(crate) enum Planned {
    Cron(Box<Cron>),
    Rule { rule: Recurrence, start: NaiveDateTime },
}

impl Planned {
    /// Reads what was said: exactly one of cron and RRULE; the RRULE counts from `start`.
    pub(crate) fn parse(
        cron: Option<&str>,
        rrule: Option<&str>,
        start: NaiveDateTime,
    ) -> Result<Self, String> {
        match (cron, rrule) {
            (Some(cron), None) => Ok(Self::Cron(Box::new(read_cron(cron)?))),
            (None, Some(rule)) => Ok(Self::Rule { rule: Recurrence::parse(rule)?, start }),
            _ => Err("a schedule has either `cron` (such as 0 9 * * 1-5) or `rrule` (such as FREQ=WEEKLY;BYDAY=MO)".to_owned()),
        }
    }

    /// The first moment after another; `None`: there is none any more.
    pub(crate) fn after(&self, moment: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        match self {
            Self::Cron(cron) => {
                let found = cron
                    .find_next_occurrence(&moment.with_timezone(&zone), false)
                    .ok()?;
                Some(found.to_utc()).filter(|found| *found > moment)
            }
            Self::Rule { rule, start } => {
                let mut local = moment.with_timezone(&zone).naive_local();
                // Two local times may be one instant where the clocks jump: bounded by what fits in a jump.
                for _ in 0..100 {
                    local = rule.after(*start, local, zone)?;
                    let at = instant_of(local, zone);
                    if at > moment {
                        return Some(at);
                    }
                }
                None
            }
        }
    }

    /// The last moment that has come, from one that is known to have.
    pub(crate) fn latest(&self, known: DateTime<Utc>, now: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let found = match self {
            Self::Cron(cron) => cron
                .find_previous_occurrence(&now.with_timezone(&zone), true)
                .ok()
                .map(|found| found.to_utc()),
            Self::Rule { rule, start } => {
                let local = now.with_timezone(&zone).naive_local();
                rule.latest(*start, local, zone)
                    .map(|local| instant_of(local, zone))
            }
        };
        found
            .filter(|found| *found <= now)
            .map_or(known, |found| found.max(known))
    }
}

fn read_cron(text: &str) -> Result<Cron, String> {
    let fields = "write minute, hour, day, month and weekday, such as 0 9 * * 1-5 for nine on working days";
    if text.len() > 200 || text.chars().any(char::is_control) {
        return Err(format!(
            "the cron expression is too long or unprintable: {fields}"
        ));
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(croner::parser::Year::Disallowed)
        .build();
    parser
        .parse(text)
        .map_err(|error| format!("`{text}` is not a cron expression ({error}): {fields}"))
}

/// The moment from which an RRULE counts.
pub(crate) fn rule_start(text: &str) -> Result<NaiveDateTime, String> {
    match When::parse(text)? {
        When::Instant(_) => Err("a schedule begins at a local time, such as 2026-05-01T09:00".to_owned()),
        other => Ok(other.local(Tz::UTC)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        When::parse(text).unwrap().instant(Tz::UTC)
    }

    #[test]
    fn nine_oclock_is_nine_oclock_in_winter_and_in_summer() {
        let zone = chrono_tz::Europe::Vienna;
        let start = rule_start("2026-03-01T09:00").unwrap();
        for planned in [
            Planned::parse(Some("0 9 * * *"), None, start).unwrap(),
            Planned::parse(None, Some("FREQ=DAILY"), start).unwrap(),
        ] {
            assert_eq!(
                planned.after(utc("2026-03-28T00:00"), zone),
                Some(utc("2026-03-28T08:00"))
            );
            assert_eq!(
                planned.after(utc("2026-03-28T08:00"), zone),
                Some(utc("2026-03-29T07:00"))
            );
            assert_eq!(
                planned.latest(utc("2026-03-20T08:00"), utc("2026-03-30T06:59"), zone),
                utc("2026-03-29T07:00")
            );
            assert_eq!(
                planned.latest(utc("2026-03-28T08:00"), utc("2026-03-28T08:00"), zone),
                utc("2026-03-28T08:00")
            );
        }
    }

    #[test]
    fn what_is_neither_cron_nor_rule_is_refused_with_an_example() {
        let start = DateTime::UNIX_EPOCH.naive_utc();
        for bad in [
            "* * * * * *",
            "soon",
            "61 * * * *",
            "0 9 * *",
            "0 9 * * 1-5 2030",
            "",
        ] {
            let error = Planned::parse(Some(bad), None, start).unwrap_err();
            assert!(error.contains("0 9 * * 1-5"), "{bad}: {error}");
        }
        assert!(Planned::parse(None, None, start).unwrap_err().contains("either"));
        assert!(Planned::parse(Some("@daily"), Some("FREQ=DAILY"), start).is_err());
        assert!(rule_start("2026-05-01T09:00:00Z").is_err());
    }

    #[test]
    fn a_moment_that_never_comes_is_none() {
        let never = Planned::parse(Some("0 0 30 2 *"), None, DateTime::UNIX_EPOCH.naive_utc()).unwrap();
        assert_eq!(never.after(utc("2026-01-01T00:00"), Tz::UTC), None);
    }
}
