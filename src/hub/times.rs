//! Times as people type them, read by the owner's clock.
//!
//! Invariant: what the command line prints as a time, it reads as the same time (to the minute or second that it shows).
//! Begin with [`read`].

use chrono::{
    DateTime, Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Utc, Weekday,
};
use chrono_tz::Tz;

/// Which way a length of time is counted from now where nothing says it, such as `2h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toward {
    /// What happened.
    Past,
    /// What is to come.
    Future,
}

/// A time as it was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// With its offset, or counted from now.
    Instant(DateTime<Utc>),
    /// By the owner's clock.
    Local(NaiveDateTime),
    /// By the owner's calendar.
    Day(NaiveDate),
}

/// What is understood, for who typed something else.
pub(crate) const UNDERSTOOD: &str = "a day (2026-10-01, today, yesterday, tomorrow, monday), a time of your clock \
    (2026-10-01 09:30, 9:30, monday 9:30), an instant (2026-10-01T07:30:00Z), or a length from now (30m, 2h, 3d, 1w)";

impl Said {
    /// The instant: of a day, its beginning.
    pub(crate) fn instant(self, zone: Tz) -> DateTime<Utc> {
        match self {
            Self::Instant(at) => at,
            Self::Local(at) => instant_of(at, zone),
            Self::Day(day) => instant_of(day.and_time(NaiveTime::MIN), zone),
        }
    }
}

impl std::fmt::Display for Said {
    /// As `/api/v1` reads it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Instant(at) => write!(f, "{}", at.format("%Y-%m-%dT%H:%M:%SZ")),
            Self::Local(at) => write!(f, "{}", at.format("%Y-%m-%dT%H:%M:%S")),
            Self::Day(day) => write!(f, "{}", day.format("%Y-%m-%d")),
        }
    }
}

/// Reads a time; `None`: it is none, see [`UNDERSTOOD`].
pub(crate) fn read(text: &str, zone: Tz, now: DateTime<Utc>, toward: Toward) -> Option<Said> {
    let text = text.trim().to_ascii_lowercase();
    if text == "now" {
        return Some(Said::Instant(now));
    }
    instant(&text)
        .or_else(|| written(&text))
        .or_else(|| from_now(&text, now, toward))
        .or_else(|| spoken(&text, now.with_timezone(&zone).naive_local(), toward))
        .filter(|said| (1..=9_998).contains(&said.instant(zone).year()))
}

fn instant(text: &str) -> Option<Said> {
    let rfc3339 = DateTime::parse_from_rfc3339(text).ok();
    let shown = ["%Y-%m-%d %H:%M:%S%.f %:z", "%Y-%m-%d %H:%M %:z"];
    let mut shown = shown
        .iter()
        .filter_map(|form| DateTime::parse_from_str(text, form).ok());
    rfc3339
        .or_else(|| shown.next())
        .map(|at| Said::Instant(at.to_utc()))
}

fn written(text: &str) -> Option<Said> {
    let forms = [
        "%Y-%m-%dt%H:%M:%S",
        "%Y-%m-%dt%H:%M",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%d %H:%M",
    ];
    let mut local = forms
        .iter()
        .filter_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    local
        .next()
        .map(Said::Local)
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(Said::Day))
}

/// `2h`, `in 2h`, `2h ago`, `-2h`, `+1h30m`.
fn from_now(text: &str, now: DateTime<Utc>, toward: Toward) -> Option<Said> {
    let (length, toward) = if let Some(rest) = text.strip_prefix("in ").or_else(|| text.strip_prefix('+')) {
        (rest, Toward::Future)
    } else if let Some(rest) = text.strip_suffix(" ago").or_else(|| text.strip_prefix('-')) {
        (rest, Toward::Past)
    } else {
        (text, toward)
    };
    let length = length_of(length)?;
    let at = match toward {
        Toward::Past => now.checked_sub_signed(length),
        Toward::Future => now.checked_add_signed(length),
    };
    at.map(Said::Instant)
}

/// A length such as `30m`, `1h30m`, `2d`, `1w`.
pub(crate) fn length_of(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut seconds: i64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next()?;
        let of_unit = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(of_unit)?)?;
        rest = rest[digits + unit.len_utf8()..].trim_start();
    }
    Duration::try_seconds(seconds)
}

/// `tomorrow`, `monday 9:30`, `9:30`.
fn spoken(text: &str, now: NaiveDateTime, toward: Toward) -> Option<Said> {
    let today = now.date();
    let (day, time) = match text.split_once(' ') {
        Some((day, time)) => (named_day(day, today, toward)?, Some(clock(time.trim())?)),
        None => match clock(text) {
            Some(time) => (today, Some(time)),
            None => (named_day(text, today, toward)?, None),
        },
    };
    Some(match time {
        Some(time) => Said::Local(day.and_time(time)),
        None => Said::Day(day),
    })
}

fn clock(text: &str) -> Option<NaiveTime> {
    NaiveTime::parse_from_str(text, "%H:%M").ok()
}

fn named_day(word: &str, today: NaiveDate, toward: Toward) -> Option<NaiveDate> {
    match word {
        "today" => return Some(today),
        "yesterday" => return today.pred_opt(),
        "tomorrow" => return today.succ_opt(),
        _ => {}
    }
    let weekday: Weekday = word.parse().ok()?;
    // The nearest one that isn't today.
    let days = match toward {
        Toward::Past => -((today.weekday().days_since(weekday) + 6) as i64 % 7 + 1),
        Toward::Future => (weekday.days_since(today.weekday()) + 6) as i64 % 7 + 1,
    };
    today.checked_add_signed(Duration::days(days))
}

/// The word that a misspelt one was most likely meant to be.
pub(crate) fn nearest(text: &str) -> Option<&'static str> {
    let words = [
        "now",
        "today",
        "yesterday",
        "tomorrow",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
    ];
    contracts::nearest(&text.trim().to_ascii_lowercase(), words)
}

/// The instant at which the clocks of a zone show a time: of an hour that comes twice the first; of one that is jumped
/// over, by the offset before the jump.
fn instant_of(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    if let Some(at) = zone.from_local_datetime(&local).earliest() {
        return at.to_utc();
    }
    let day_before = local.checked_sub_signed(Duration::days(1)).unwrap_or(local);
    let offset = zone.offset_from_utc_datetime(&day_before).fix();
    (local - offset).and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Friday noon in Vienna.
    fn said(text: &str, toward: Toward) -> Option<String> {
        let now = "2026-05-01T10:00:00Z".parse().unwrap();
        read(text, chrono_tz::Europe::Vienna, now, toward).map(|said| said.to_string())
    }

    #[test]
    fn times_are_read_as_people_type_them() {
        for (text, past, future) in [
            ("2026-10-01", "2026-10-01", "2026-10-01"),
            ("2026-10-01 09:30", "2026-10-01T09:30:00", "2026-10-01T09:30:00"),
            (
                "2026-10-01T09:30:05",
                "2026-10-01T09:30:05",
                "2026-10-01T09:30:05",
            ),
            (
                "2026-10-01T09:30:00+02:00",
                "2026-10-01T07:30:00Z",
                "2026-10-01T07:30:00Z",
            ),
            (
                "2026-10-01 09:30 +02:00",
                "2026-10-01T07:30:00Z",
                "2026-10-01T07:30:00Z",
            ),
            ("now", "2026-05-01T10:00:00Z", "2026-05-01T10:00:00Z"),
            ("Today", "2026-05-01", "2026-05-01"),
            ("yesterday", "2026-04-30", "2026-04-30"),
            ("tomorrow 9:30", "2026-05-02T09:30:00", "2026-05-02T09:30:00"),
            ("9:30", "2026-05-01T09:30:00", "2026-05-01T09:30:00"),
            ("2h", "2026-05-01T08:00:00Z", "2026-05-01T12:00:00Z"),
            ("1h30m", "2026-05-01T08:30:00Z", "2026-05-01T11:30:00Z"),
            ("in 2h", "2026-05-01T12:00:00Z", "2026-05-01T12:00:00Z"),
            ("3d ago", "2026-04-28T10:00:00Z", "2026-04-28T10:00:00Z"),
            ("mon", "2026-04-27", "2026-05-04"),
            ("friday", "2026-04-24", "2026-05-08"),
            ("thursday 18:00", "2026-04-30T18:00:00", "2026-05-07T18:00:00"),
        ] {
            assert_eq!(said(text, Toward::Past).as_deref(), Some(past), "{text}");
            assert_eq!(said(text, Toward::Future).as_deref(), Some(future), "{text}");
        }
        for none in [
            "",
            "soon",
            "2026-13-01",
            "2h3",
            "h",
            "99999999999999999999d",
            "25:00",
            "tomorrow x",
            "0000-01-01",
        ] {
            assert_eq!(said(none, Toward::Past), None, "{none}");
        }
        assert_eq!(nearest("yesterdy"), Some("yesterday"));
    }

    #[test]
    fn a_time_of_the_owners_clock_is_an_instant_also_where_clocks_change() {
        let zone = chrono_tz::Europe::Vienna;
        let at = |text: &str| {
            let said = read(text, zone, DateTime::UNIX_EPOCH, Toward::Past).unwrap();
            Said::Instant(said.instant(zone)).to_string()
        };
        assert_eq!(at("2026-03-29 02:30"), "2026-03-29T01:30:00Z");
        assert_eq!(at("2026-10-25 02:30"), "2026-10-25T00:30:00Z");
        assert_eq!(at("2026-05-01"), "2026-04-30T22:00:00Z");
    }
}
