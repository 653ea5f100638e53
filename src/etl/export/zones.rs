//! VTIMEZONE (RFC 5545, 3.6.5): how the clocks of a zone run, from the zone database.
//!
//! Invariant: between 1970 and 2060 each change of the clocks stands in it; a rule that held to the end of that time goes
//! on holding. Begin with [`component`].

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{DateTime, Datelike, Days, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::{OffsetComponents, Tz};

use super::line;

/// Up to when changes of the clocks are told one by one where no rule gives them.
const LAST_YEAR: i32 = 2060;

/// What the clocks show from a moment on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Clock {
    /// Ahead of UTC, in seconds.
    offset: i32,
    is_daylight: bool,
    name: String,
}

/// A change of the clocks, at what they showed before.
#[derive(Debug, Clone)]
struct Onset {
    at: NaiveDateTime,
    from: i32,
    to: Clock,
}

pub(super) fn component(zone: Tz, out: &mut Vec<u8>) {
    line(out, "BEGIN", "VTIMEZONE");
    line(out, "TZID", zone.name());
    let first = clock(zone, DateTime::UNIX_EPOCH);
    let begin = Onset {
        at: DateTime::UNIX_EPOCH.naive_utc(),
        from: first.offset,
        to: first,
    };
    observance(&begin, &[], None, out);
    let mut alike: BTreeMap<(i32, Clock, u32), Vec<Onset>> = BTreeMap::new();
    for onset in onsets(zone) {
        let key = (onset.from, onset.to.clone(), onset.at.month());
        alike.entry(key).or_default().push(onset);
    }
    for onsets in alike.into_values() {
        let (single, ruled) = onsets.split_at(onsets.len() - ruled(&onsets));
        if let Some((first, rest)) = single.split_first() {
            observance(first, rest, None, out);
        }
        if let Some(first) = ruled.first() {
            observance(first, &[], Some(&rule(ruled)), out);
        }
    }
    line(out, "END", "VTIMEZONE");
}

fn observance(first: &Onset, rest: &[Onset], rule: Option<&str>, out: &mut Vec<u8>) {
    let basic = |at: NaiveDateTime| at.format("%Y%m%dT%H%M%S").to_string();
    let kind = if first.to.is_daylight {
        "DAYLIGHT"
    } else {
        "STANDARD"
    };
    line(out, "BEGIN", kind);
    line(out, "DTSTART", &basic(first.at));
    line(out, "TZOFFSETFROM", &offset(first.from));
    line(out, "TZOFFSETTO", &offset(first.to.offset));
    line(out, "TZNAME", &first.to.name);
    if let Some(rule) = rule {
        line(out, "RRULE", rule);
    }
    for onset in rest {
        line(out, "RDATE", &basic(onset.at));
    }
    line(out, "END", kind);
}

/// `+0200`, with seconds only where there are some.
fn offset(seconds: i32) -> String {
    let (sign, ahead) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
    let mut text = format!("{sign}{:02}{:02}", ahead / 3_600, ahead / 60 % 60);
    if ahead % 60 != 0 {
        // Into memory.
        let _ = write!(text, "{:02}", ahead % 60);
    }
    text
}

fn clock(zone: Tz, at: DateTime<Utc>) -> Clock {
    let local = zone.offset_from_utc_datetime(&at.naive_utc());
    Clock {
        offset: local.fix().local_minus_utc(),
        is_daylight: !local.dst_offset().is_zero(),
        name: local.to_string(),
    }
}

/// All changes of the clocks, in order.
fn onsets(zone: Tz) -> Vec<Onset> {
    let mut found = Vec::new();
    let mut at = DateTime::UNIX_EPOCH;
    let mut now = clock(zone, at);
    while at.year() <= LAST_YEAR {
        let next = at + TimeDelta::days(1);
        let then = clock(zone, next);
        if then != now {
            let (mut before, mut after) = (at, next);
            while after - before > TimeDelta::seconds(1) {
                let middle = before + (after - before) / 2;
                let middle = DateTime::from_timestamp(middle.timestamp(), 0).unwrap_or(middle);
                if clock(zone, middle) == now {
                    before = middle;
                } else {
                    after = middle;
                }
            }
            let to = clock(zone, after);
            found.push(Onset {
                at: after.naive_utc() + TimeDelta::seconds(i64::from(now.offset)),
                from: now.offset,
                to: to.clone(),
            });
            now = to;
            at = after;
        } else {
            at = next;
        }
    }
    found
}

/// On which day of its month: the weekday, which of them, and whether it is the last.
fn place(onset: &Onset) -> (Weekday, u32, bool) {
    let day = onset.at.date();
    let is_last = day
        .checked_add_days(Days::new(7))
        .is_none_or(|later| later.month() != day.month());
    (day.weekday(), (day.day() - 1) / 7 + 1, is_last)
}

/// How many of the onsets, counted from the end, follow one yearly rule that still holds then.
fn ruled(onsets: &[Onset]) -> usize {
    let Some(last) = onsets.last().filter(|last| last.at.year() == LAST_YEAR) else {
        return 0;
    };
    let (weekday, _, _) = place(last);
    let (mut year, mut count) = (LAST_YEAR, 0);
    let (mut same_week, mut all_last) = (true, true);
    let week = place(last).1;
    for onset in onsets.iter().rev() {
        let (day, nth, is_last) = place(onset);
        let (still_same, still_last) = (same_week && nth == week, all_last && is_last);
        let follows = onset.at.year() == year && onset.at.time() == last.at.time() && day == weekday;
        if !follows || !(still_same || still_last) {
            break;
        }
        (same_week, all_last) = (still_same, still_last);
        count += 1;
        year -= 1;
    }
    // Two or three times may be chance.
    if count > 5 { count } else { 0 }
}

fn rule(ruled: &[Onset]) -> String {
    let Some(last) = ruled.last() else {
        return String::new();
    };
    let (weekday, nth, _) = place(last);
    let day = match weekday {
        Weekday::Mon => "MO",
        Weekday::Tue => "TU",
        Weekday::Wed => "WE",
        Weekday::Thu => "TH",
        Weekday::Fri => "FR",
        Weekday::Sat => "SA",
        Weekday::Sun => "SU",
    };
    let is_nth = ruled.iter().all(|onset| place(onset).1 == nth);
    let which = if is_nth { nth.to_string() } else { "-1".to_owned() };
    format!("FREQ=YEARLY;BYMONTH={};BYDAY={which}{day}", last.at.month())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(zone: Tz) -> String {
        let mut out = Vec::new();
        component(zone, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn clocks_that_change_by_a_rule_are_told_by_it() {
        let berlin = written(chrono_tz::Europe::Berlin);
        for part in [
            "TZID:Europe/Berlin\r\n",
            "DTSTART:19961027T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nTZNAME:CET\r\n\
             RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\n",
            "TZNAME:CEST\r\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\n",
        ] {
            assert!(berlin.contains(part), "{part}\n{berlin}");
        }
        let new_york = written(chrono_tz::America::New_York);
        assert!(
            new_york.contains("DTSTART:20070311T020000\r\nTZOFFSETFROM:-0500\r\nTZOFFSETTO:-0400\r\nTZNAME:EDT\r\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU\r\n"),
            "{new_york}"
        );
    }

    #[test]
    fn clocks_that_never_change_have_one_observance() {
        let tokyo = written(chrono_tz::Asia::Tokyo);
        assert_eq!(tokyo.matches("BEGIN:STANDARD").count(), 1, "{tokyo}");
        assert!(tokyo.contains("DTSTART:19700101T000000\r\nTZOFFSETFROM:+0900\r\nTZOFFSETTO:+0900\r\n"));
        assert!(!tokyo.contains("DAYLIGHT"));
    }
}
