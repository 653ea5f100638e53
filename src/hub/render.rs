//! What commands print: tables for people, JSON for programs (`--json`).

use std::io::Write;

use serde_json::Value;

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
    let one = |(_, path): &Column| {
        printable(&cell(row, path))
            .replace('\n', "\\n")
            .replace('\t', " ")
    };
    columns.iter().map(one).collect()
}

/// The rows of a list answer: the array itself, or the one under `items`.
pub(crate) fn list(value: &Value) -> &[Value] {
    let items = value
        .as_array()
        .or_else(|| value.get("items").and_then(Value::as_array));
    items.map(Vec::as_slice).unwrap_or_default()
}

/// The value at a path with dots, as text.
pub(crate) fn cell(row: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(row, |value, key| value.get(key));
    text(found.unwrap_or(&Value::Null))
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

/// A time as people read it: the seconds and their thousandths, in UTC.
pub(crate) fn time(value: &Value) -> String {
    let parsed = value
        .as_str()
        .and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok());
    parsed.map_or_else(
        || text(value),
        |at| at.format("%Y-%m-%d %H:%M:%S%.3f").to_string(),
    )
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
        let row = serde_json::json!({ "name": "Sam\nrule evil  enabled" });
        assert_eq!(cells(&row, &[("NAME", "name")]), ["Sam\\nrule evil  enabled"]);
    }
}
