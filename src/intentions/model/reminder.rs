//! Reminders: an instant or local time, or an offset from the due moment (RFC 5545, TRIGGER), such as `-PT15M`.
//!
//! Invariant: weeks and days are counted on the owner's calendar, hours, minutes and seconds in time that passes.

use chrono::{DateTime, Duration, Utc};
use chrono_tz::Tz;

use super::when::{When, instant_of};

/// Of one task.
pub(crate) const REMINDERS_MAX: usize = 10;
/// About ten years.
const DAYS_MAX: i64 = 3_660;

/// When to remind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reminder {
    /// At a time.
    At(When),
    /// Before (negative) or after the due moment.
    Offset { days: i64, seconds: i64 },
}

impl Reminder {
    /// Reads a reminder; the refusal says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(offset) = offset(text) {
            return Ok(offset);
        }
        When::parse(text).map(Self::At).map_err(|_| {
            let shown: String = text.chars().take(60).collect();
            format!(
                "`{shown}` is not a reminder: write how long before the task is due (-PT15M, -PT2H, -P1D), after the \
                 beginning of its day (PT9H), or a time (2026-05-01T09:30)"
            )
        })
    }

    /// The moment; `None`: it counts from a due moment that there isn't.
    pub(crate) fn moment(&self, due: Option<When>, zone: Tz) -> Option<DateTime<Utc>> {
        match self {
            Self::At(when) => Some(when.instant(zone)),
            Self::Offset { days, seconds } => {
                let due = due?;
                let day = match days {
                    0 => due.instant(zone),
                    days => instant_of(due.local(zone) + Duration::days(*days), zone),
                };
                Some(day + Duration::seconds(*seconds))
            }
        }
    }
}

/// `[+-]P[nW][nD][T[nH][nM][nS]]`.
fn offset(text: &str) -> Option<Reminder> {
    let upper = text.to_ascii_uppercase();
    let (sign, rest) = match upper.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, upper.strip_prefix('+').unwrap_or(&upper)),
    };
    let rest = rest.strip_prefix('P')?;
    let (date, time) = rest
        .split_once('T')
        .map_or((rest, None), |(date, time)| (date, Some(time)));
    if rest.is_empty() || time == Some("") {
        return None;
    }
    let days = amount(date, &[('W', 7), ('D', 1)])?;
    let seconds = amount(time.unwrap_or_default(), &[('H', 3_600), ('M', 60), ('S', 1)])?;
    let fits = days <= DAYS_MAX && seconds <= DAYS_MAX * 86_400;
    fits.then_some(Reminder::Offset {
        days: sign * days,
        seconds: sign * seconds,
    })
}

/// Numbers with units in this order, as one number.
fn amount(mut text: &str, units: &[(char, i64)]) -> Option<i64> {
    let mut sum = 0_i64;
    for (unit, worth) in units {
        if let Some((number, rest)) = text.split_once(*unit) {
            let number = number
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| number.parse::<u32>().ok())??;
            sum = sum.checked_add(i64::from(number).checked_mul(*worth)?)?;
            text = rest;
        }
    }
    text.is_empty().then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(reminder: &str, due: &str) -> Option<String> {
        let due = (!due.is_empty()).then(|| When::parse(due).unwrap());
        let moment = Reminder::parse(reminder)
            .unwrap()
            .moment(due, chrono_tz::Europe::Vienna)?;
        Some(When::Instant(moment).to_string())
    }

    #[test]
    fn days_are_the_calendars_and_hours_are_time_that_passes() {
        for (reminder, due, is) in [
            ("-PT15M", "2026-05-01T09:30:00Z", "2026-05-01T09:15:00Z"),
            // The clocks change between: the same time of day a day before, and 24 hours before.
            ("-P1D", "2026-03-29T09:00", "2026-03-28T08:00:00Z"),
            ("-PT24H", "2026-03-29T09:00", "2026-03-28T07:00:00Z"),
            ("-P1W", "2026-04-01", "2026-03-24T23:00:00Z"),
            ("PT9H", "2026-04-01", "2026-04-01T07:00:00Z"),
            ("PT0S", "2026-05-01T09:30:00Z", "2026-05-01T09:30:00Z"),
            ("-P1DT12H", "2026-05-03T12:00:00Z", "2026-05-02T00:00:00Z"),
            ("2026-05-01T08:00", "", "2026-05-01T06:00:00Z"),
        ] {
            assert_eq!(moment(reminder, due).as_deref(), Some(is), "{reminder} {due}");
        }
        assert_eq!(moment("-PT15M", ""), None);
    }

    #[test]
    fn what_is_no_reminder_is_refused_with_what_would_be() {
        for bad in [
            "",
            "P",
            "PT",
            "-P",
            "15m",
            "-PT15",
            "-P1M",
            "PT1H1D",
            "-PT99999999999H",
            "-P99999D",
            "-P-1D",
            "P+1D",
        ] {
            assert!(Reminder::parse(bad).unwrap_err().contains("-PT15M"), "{bad}");
        }
    }
}
