//! A time as people say it: an instant, a local time, or a day; and the instant that it is in the owner's zone.
//!
//! Invariant: a local time that the clocks jump over is read with the offset before the jump, one that comes twice is
//! the first of both (RFC 5545, 3.3.5): every local time is an instant, and nothing planned is lost on such a day.

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime, NaiveTime, Offset, SecondsFormat, TimeZone, Utc};
use chrono_tz::Tz;

/// Years that are taken for a slip, so that no arithmetic on what is taken can overflow.
const YEARS: std::ops::RangeInclusive<i32> = 1900..=2199;

/// A time as it was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// `2026-03-29T09:30:00Z`, or with an offset.
    Instant(DateTime<Utc>),
    /// `2026-03-29T09:30:00`: by the owner's clock.
    Local(NaiveDateTime),
    /// `2026-03-29`: by the owner's calendar.
    Day(NaiveDate),
}

impl When {
    /// Reads a time; the refusal says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let read = Self::read(text).filter(|when| YEARS.contains(&chrono::Datelike::year(&when.naive_utc())));
        read.ok_or_else(|| {
            let shown: String = text.chars().take(60).collect();
            format!(
                "`{shown}` is not a time: write an instant (2026-05-01T09:30:00Z), a local time (2026-05-01T09:30) or a \
                 day (2026-05-01)"
            )
        })
    }

    fn read(text: &str) -> Option<Self> {
        if let Ok(at) = DateTime::parse_from_rfc3339(text) {
            return Some(Self::Instant(at.to_utc()));
        }
        let local = [
            "%Y-%m-%dT%H:%M:%S",
            "%Y-%m-%dT%H:%M",
            "%Y-%m-%d %H:%M",
            "%Y%m%dT%H%M%S",
        ];
        if let Some(at) = local
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        {
            return Some(Self::Local(at));
        }
        if let Ok(at) = NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ") {
            return Some(Self::Instant(at.and_utc()));
        }
        let day = ["%Y-%m-%d", "%Y%m%d"];
        day.iter()
            .find_map(|form| NaiveDate::parse_from_str(text, form).ok())
            .map(Self::Day)
    }

    fn naive_utc(self) -> NaiveDateTime {
        match self {
            Self::Instant(at) => at.naive_utc(),
            Self::Local(at) => at,
            Self::Day(day) => day.and_time(NaiveTime::MIN),
        }
    }

    /// The instant: of a day, its beginning.
    pub(crate) fn instant(self, zone: Tz) -> DateTime<Utc> {
        match self {
            Self::Instant(at) => at,
            Self::Local(at) => instant_of(at, zone),
            Self::Day(day) => instant_of(day.and_time(NaiveTime::MIN), zone),
        }
    }

    /// What the owner's clock shows then.
    pub(crate) fn local(self, zone: Tz) -> NaiveDateTime {
        match self {
            Self::Instant(at) => at.with_timezone(&zone).naive_local(),
            Self::Local(_) | Self::Day(_) => self.naive_utc(),
        }
    }

    /// The time that the owner's clock shows, said in the form of this one.
    pub(crate) fn like(self, local: NaiveDateTime, zone: Tz) -> Self {
        match self {
            Self::Instant(_) => Self::Instant(instant_of(local, zone)),
            Self::Local(_) => Self::Local(local),
            Self::Day(_) => Self::Day(local.date()),
        }
    }
}

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Instant(at) => f.write_str(&at.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            Self::Local(at) => write!(f, "{}", at.format("%Y-%m-%dT%H:%M:%S")),
            Self::Day(day) => write!(f, "{}", day.format("%Y-%m-%d")),
        }
    }
}

/// The instant at which the clocks of a zone show a local time.
pub(crate) fn instant_of(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    if let Some(at) = zone.from_local_datetime(&local).earliest() {
        return at.to_utc();
    }
    // In a gap: by the offset before it. No zone jumps further than a day.
    let before = zone
        .from_utc_datetime(&(local - Duration::days(1)))
        .offset()
        .fix();
    (local - Duration::seconds(i64::from(before.local_minus_utc()))).and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vienna() -> Tz {
        chrono_tz::Europe::Vienna
    }

    fn instant(text: &str) -> String {
        When::Instant(When::parse(text).unwrap().instant(vienna())).to_string()
    }

    #[test]
    fn a_local_time_is_read_in_the_owners_zone_also_on_days_of_clock_change() {
        for (said, is) in [
            ("2026-03-28T09:30", "2026-03-28T08:30:00Z"),
            ("2026-03-29T09:30", "2026-03-29T07:30:00Z"),
            // Jumped over: an hour later by the clock, as RFC 5545 says.
            ("2026-03-29T02:30", "2026-03-29T01:30:00Z"),
            // Comes twice: the first.
            ("2026-10-25T02:30", "2026-10-25T00:30:00Z"),
            ("2026-03-29", "2026-03-28T23:00:00Z"),
            ("2026-03-29T09:30:00+02:00", "2026-03-29T07:30:00Z"),
            ("20260329T093000Z", "2026-03-29T09:30:00Z"),
        ] {
            assert_eq!(instant(said), is, "{said}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_would_be() {
        for bad in [
            "",
            "tomorrow",
            "2026-02-30",
            "2026-13-01T00:00",
            "9999-01-01",
            "0001-01-01T00:00:00Z",
            "2026-05-01T25:00",
        ] {
            assert!(
                When::parse(bad).unwrap_err().contains("2026-05-01T09:30"),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_time_comes_back_as_it_was_said() {
        for text in ["2026-05-01T09:30:00Z", "2026-05-01T09:30:00", "2026-05-01"] {
            assert_eq!(When::parse(text).unwrap().to_string(), text);
        }
    }
}
