//! What commands print: tables for people, JSON for programs (`--json`).
//!
//! Invariant: whatever is printed of data goes through [`line`], [`note`], [`json`] or [`printable`], so that no terminal
//! obeys it. For people, instants stand in the owner's zone, with its offset; JSON has them as the hub gave them, in UTC.

use std::borrow::Cow;
use std::io::Write;
use std::sync::OnceLock;

use chrono::{DateTime, NaiveDate, TimeDelta, Timelike};
use chrono_tz::Tz;
use serde_json::Value;

/// Whose clock this process shows. UTC until it is known.
static ZONE: OnceLock<Tz> = OnceLock::new();

/// From now on times are shown in this zone; the first word counts.
pub(crate) fn live_in(zone: Tz) {
    let _ = ZONE.set(zone);
}

/// The zone in which times are shown.
pub(crate) fn zone() -> Tz {
    ZONE.get().copied().unwrap_or(Tz::UTC)
}

/// A column: its head, and where its value stands in a row (a path with dots).
pub(crate) type Column = (&'static str, &'static str);

/// Prints a list as a table, or says that there is nothing and what to do about it.
pub(crate) fn table(rows: &Value, columns: &[Column], empty: &str) {
    let rows: Vec<Vec<String>> = list(rows).iter().map(|row| cells(row, columns)).collect();
    if rows.is_empty() {
        line(empty);
        return;
    }
    let width = |index: usize| {
        let cells = rows.iter().map(|row| row[index].chars().count());
        cells
            .chain([columns[index].0.chars().count()])
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let joined = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    line(joined(columns.iter().map(|(head, _)| *head).collect()));
    for row in &rows {
        line(joined(row.iter().map(String::as_str).collect()));
    }
}

/// A row's values, each in one line.
fn cells(row: &Value, columns: &[Column]) -> Vec<String> {
    columns.iter().map(|(_, path)| one(&cell(row, path))).collect()
}

/// A text of whatever length and lines as one line.
pub(crate) fn one(text: &str) -> String {
    printable(text).replace('\n', "\\n").replace('\t', " ")
}

/// The rows of a list answer: the array itself, or the one under `items`.
pub(crate) fn list(value: &Value) -> &[Value] {
    let items = value
        .as_array()
        .or_else(|| value.get("items").and_then(Value::as_array));
    items.map(Vec::as_slice).unwrap_or_default()
}

/// The value at a path with dots, as people read it.
pub(crate) fn cell(row: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(row, |value, key| value.get(key));
    let key = path.rsplit('.').next().unwrap_or(path);
    named(key, found.unwrap_or(&Value::Null))
}

/// The value of a field as people read it: an instant by the owner's clock, if the field is one of time.
pub(crate) fn named(key: &str, value: &Value) -> String {
    let is_time = key.ends_with("_at")
        || key.ends_with("_on")
        || matches!(
            key,
            "at" | "since" | "until" | "recorded_from" | "recorded_to" | "start_after"
        );
    match value.as_str().filter(|_| is_time).and_then(moment) {
        Some(shown) => shown,
        None => text(value),
    }
}

/// A value as people read it: text without quotes, nothing for null.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// An instant by the owner's clock, with its offset: `2026-05-01 09:30 +02:00`, with seconds where it has any.
pub(crate) fn moment(text: &str) -> Option<String> {
    let at = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&zone());
    let form = if at.second() == 0 {
        "%Y-%m-%d %H:%M %:z"
    } else {
        "%Y-%m-%d %H:%M:%S %:z"
    };
    Some(at.format(form).to_string())
}

/// An instant to the thousandth of a second, by the owner's clock.
pub(crate) fn time(value: &Value) -> String {
    let parsed = value
        .as_str()
        .and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    parsed.map_or_else(
        || text(value),
        |at| {
            let at = at.with_timezone(&zone());
            at.format("%Y-%m-%d %H:%M:%S%.3f %:z").to_string()
        },
    )
}

/// When something is, that was said as a day, a local time or an instant: a day stays one, all else is the instant.
pub(crate) fn when(said: &Value, instant: &Value) -> String {
    match said.as_str() {
        Some(day) if is_day(day) => day.to_owned(),
        _ => instant
            .as_str()
            .and_then(moment)
            .unwrap_or_else(|| text(said).replace('T', " ")),
    }
}

/// When an entity of the graph happens: an event of whole days as days, from the first to the last.
pub(crate) fn happens(entity: &Value) -> String {
    let (said, ends) = (&entity["props"]["start_at"], entity["props"]["ends_at"].as_str());
    let first = when(said, &entity["starts_at"]);
    let day = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    // The end of whole days is the day after the last (RFC 5545, 3.6.1).
    let last = ends.and_then(day).and_then(|end| end.pred_opt());
    match (day(&first), last) {
        (Some(first), Some(last)) if last > first => format!("{first} to {last}"),
        _ => first,
    }
}

/// When something that is to come happens; of what runs already, until when.
pub(crate) fn to_come(row: &Value) -> String {
    let Some(ends) = row["running_until"].as_str() else {
        return when(&row["day"], &row["at"]);
    };
    let last = DateTime::parse_from_rfc3339(ends)
        .ok()
        // What lasts whole days ends when the day after the last begins.
        .map(|ends| {
            (ends.with_timezone(&zone()) - TimeDelta::seconds(1))
                .format("%Y-%m-%d")
                .to_string()
        });
    match last.filter(|_| row["day"].is_string()) {
        Some(last) => format!("now, to {last}"),
        None => format!("now, until {}", moment(ends).unwrap_or_default()),
    }
}

fn is_day(text: &str) -> bool {
    text.len() == 10 && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

/// A sentence of the hub with the instants in it by the owner's clock.
pub(crate) fn in_zone(sentence: &str) -> Cow<'_, str> {
    if !sentence.contains('T') {
        return Cow::Borrowed(sentence);
    }
    let word = |word: &str| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        moment(bare).map_or_else(|| word.to_owned(), |shown| word.replace(bare, &shown))
    };
    Cow::Owned(sentence.split(' ').map(word).collect::<Vec<_>>().join(" "))
}

/// Prints JSON. What a terminal would obey or show in another order is written as an escape, which means the same.
pub(crate) fn json(value: &Value) {
    let text = format!("{value:#}");
    let safe = escaped(&text, |c, out| {
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    });
    let _ = writeln!(std::io::stdout(), "{safe}");
}

/// Prints a line. A reader that went away (`allod event tail | head`) wants no more, and that is no error.
pub(crate) fn line(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{}", printable(&text.to_string()));
}

/// Prints a line beside the data, on the standard error: that there is more, how far something is.
pub(crate) fn note(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{}", printable(&text.to_string()));
}

/// The text without what a terminal would obey or show in another order: data comes from strangers.
pub(crate) fn printable(text: &str) -> String {
    escaped(text, |c, out| out.extend(c.escape_unicode()))
}

fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if misleads(c) {
            escape(c, &mut out);
        } else {
            out.push(c);
        }
    }
    out
}

fn misleads(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn data_from_strangers_moves_no_cursor_and_turns_no_text() {
        assert_eq!(printable("a\u{1b}[2Jb\u{7}\rc"), "a\\u{1b}[2Jb\\u{7}\\u{d}c");
        assert_eq!(printable("x\u{9b}31m \u{202e}evil"), "x\\u{9b}31m \\u{202e}evil");
        assert_eq!(
            printable("Älice\n\tØ 日本 👩\u{200d}🚀"),
            "Älice\n\tØ 日本 👩\u{200d}🚀"
        );
    }

    #[test]
    fn a_cell_is_one_line_whatever_it_holds() {
        let row = json!({ "name": "Sam\nrule evil  enabled" });
        assert_eq!(cells(&row, &[("NAME", "name")]), ["Sam\\nrule evil  enabled"]);
    }

    #[test]
    fn instants_stand_in_fields_of_time_and_sentences_and_days_stay_days() {
        // Unless somebody's zone is known it is UTC.
        let row =
            json!({"since": "2026-05-01T09:30:00+02:00", "name": "2026-05-01T09:30:00Z", "read_at": "never"});
        assert_eq!(cell(&row, "since"), "2026-05-01 07:30 +00:00");
        assert_eq!(cell(&row, "name"), "2026-05-01T09:30:00Z");
        assert_eq!(cell(&row, "read_at"), "never");
        assert_eq!(
            in_zone("Tom was deleted at 2026-05-01T07:30:05Z, by you"),
            "Tom was deleted at 2026-05-01 07:30:05 +00:00, by you"
        );
        let instant = json!("2026-05-01T07:00:00Z");
        assert_eq!(when(&json!("2026-05-01"), &instant), "2026-05-01");
        assert_eq!(
            when(&json!("2026-05-01T09:00:00"), &instant),
            "2026-05-01 07:00 +00:00"
        );
        assert_eq!(when(&Value::Null, &Value::Null), "");
        let fair = json!({"starts_at": "2026-04-30T22:00:00Z", "props": {"start_at": "2026-05-01", "ends_at": "2026-05-04"}});
        assert_eq!(happens(&fair), "2026-05-01 to 2026-05-03");
        let trip = json!({"day": "2026-05-01", "at": "2026-05-01T00:00:00Z", "running_until": "2026-05-04T00:00:00Z"});
        assert_eq!(to_come(&trip), "now, to 2026-05-03");
        let lunch = json!({"at": "2026-05-01T10:00:00Z", "running_until": "2026-05-01T11:00:00Z"});
        assert_eq!(to_come(&lunch), "now, until 2026-05-01 11:00 +00:00");
        assert_eq!(
            to_come(&json!({"at": "2026-05-01T10:00:00Z"})),
            "2026-05-01 10:00 +00:00"
        );
    }
}
