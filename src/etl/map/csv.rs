//! A table of contacts, one a row, as Google and Outlook export them: columns are known by their names.
//!
//! A record is the header and one row, so that it can be understood by itself. Begin with [`map`].

mod columns;
mod headings;
mod postal;

use chrono::DateTime;
use columns::{EXAMPLES, Field, is_day_first};
use postal::Postals;

use super::contact::{Contact, Kind, Postal};
use super::{Hints, Meaning, text};
use crate::revision::Stamp;

const ROW_BYTES_MAX: usize = 1024 * 1024;
/// Headings that are named in a refusal, and their length.
const SHOWN_MAX: usize = 20;
const SHOWN_CHARS_MAX: usize = 40;
/// What spreadsheets take for the beginning of a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

pub(super) fn map(body: &[u8], hints: &Hints) -> Result<Meaning, String> {
    if body.len() > ROW_BYTES_MAX {
        return Err(format!("a row has at most {ROW_BYTES_MAX} bytes"));
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(true)
        .flexible(true)
        .from_reader(body);
    let header = reader
        .byte_headers()
        .map_err(|_| "this is no table".to_owned())?
        .clone();
    let row = reader
        .byte_records()
        .next()
        .and_then(Result::ok)
        .ok_or_else(|| "the table has no row".to_owned())?;
    let (mut contact, mut postals) = (Contact::default(), Postals::default());
    for (name, value) in header.iter().zip(row.iter()).take(1_000) {
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        let (name, value) = (name.trim_start_matches('\u{feff}'), unguarded(&value).trim());
        if !postals.read(name, value) {
            read(&mut contact, name, value);
        }
    }
    contact.postals = postals.all();
    if contact.name.is_none()
        && contact.given.is_none()
        && contact.family.is_none()
        && contact.organization.is_none()
        && contact.emails.is_empty()
        && contact.tels.is_empty()
    {
        return Err("the row names nobody: no column has a name, an address or a number".to_owned());
    }
    Ok(contact.meaning(hints))
}

/// Header and row as one record.
pub(crate) fn row(header: &csv::ByteRecord, row: &csv::ByteRecord) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    // Writing into memory fails at nothing but memory.
    let written = writer
        .write_byte_record(header)
        .and_then(|()| writer.write_byte_record(row));
    match written {
        Ok(()) => writer.into_inner().unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

/// By what a row is found again, if it says of whom it is and when that was written: then the newer of two counts.
pub(crate) fn row_id(header: &csv::ByteRecord, row: &csv::ByteRecord) -> Option<String> {
    let cell = |field: Field| {
        let at = header
            .iter()
            .position(|name| Field::of(&String::from_utf8_lossy(name)) == Some(field))?;
        text::line(&String::from_utf8_lossy(row.get(at)?), 300)
    };
    cell(Field::Revised)?;
    // A card of the same id says other things.
    Some(format!("table/{}", cell(Field::Uid)?))
}

/// Why a table can't be one of contacts: none of its columns names anybody. Says which it has and which are known.
pub(crate) fn refusal(header: &csv::ByteRecord) -> Option<String> {
    let headings: Vec<String> = header
        .iter()
        .map(|one| String::from_utf8_lossy(one).into_owned())
        .collect();
    let names_somebody = |heading: &String| {
        Field::of(heading.trim_start_matches('\u{feff}')).is_some_and(Field::names_somebody)
    };
    if headings.iter().any(names_somebody) {
        return None;
    }
    // A table without a header begins with somebody's data.
    let is_data =
        |heading: &String| heading.contains('@') || heading.chars().filter(char::is_ascii_digit).count() > 4;
    if headings.iter().any(is_data) {
        return Some(format!(
            "the first line of a table names its columns; this one begins with a row. Put names above, such as {EXAMPLES}"
        ));
    }
    let shown: Vec<String> = headings
        .iter()
        .take(SHOWN_MAX)
        .filter_map(|heading| text::line(heading, SHOWN_CHARS_MAX))
        .collect();
    let more = if headings.len() > SHOWN_MAX {
        " and others"
    } else {
        ""
    };
    Some(format!(
        "no column of the table is known. It has: {}{more}. Known are, among others: {EXAMPLES}",
        shown.join(", ")
    ))
}

/// A cell as it is written into a table: one that a spreadsheet would take for a formula, or for one that is guarded
/// already, begins with an apostrophe. Phone numbers are none: nothing stands in them but digits.
pub(crate) fn guarded(cell: &str) -> String {
    let is_tel = |c: char| c.is_ascii_digit() || matches!(c, '+' | ' ' | ':');
    let is_formula = cell.trim_start_matches('\'').starts_with(FORMULA);
    let is_number = cell.starts_with('+') && cell.chars().all(is_tel);
    let kept: String = cell
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t' | '\r'))
        .collect();
    match is_formula && !is_number {
        true => format!("'{kept}"),
        false => kept,
    }
}

/// What was meant by a cell: without the apostrophe that [`guarded`] puts before it.
fn unguarded(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.trim_start_matches('\'').starts_with(FORMULA) => rest,
        _ => cell,
    }
}

fn read(contact: &mut Contact, column: &str, value: &str) {
    let (Some(field), false) = (Field::of(column), value.is_empty()) else {
        return;
    };
    let slot = match field {
        Field::Uid => &mut contact.uid,
        Field::Name => &mut contact.name,
        Field::Given => &mut contact.given,
        Field::Family => &mut contact.family,
        Field::Additional => &mut contact.additional,
        Field::Prefix => &mut contact.prefix,
        Field::Suffix => &mut contact.suffix,
        Field::Nickname => &mut contact.nickname,
        Field::Birthday => &mut contact.birthday,
        Field::Anniversary => &mut contact.anniversary,
        Field::Organization => &mut contact.organization,
        Field::Department => &mut contact.department,
        Field::JobTitle => &mut contact.job_title,
        Field::Kind => {
            if value.eq_ignore_ascii_case("organization") {
                contact.kind = Kind::Organization;
            }
            return;
        }
        Field::Note => return contact.notes.push(value.to_owned()),
        Field::Spouse => return contact.related.push(("spouse".to_owned(), value.to_owned())),
        Field::Children => {
            let children = value.split(';').map(|one| ("child".to_owned(), one.to_owned()));
            return contact.related.extend(children);
        }
        Field::Revised => {
            let at = DateTime::parse_from_rfc3339(value).ok().map(|at| at.to_utc());
            contact.stamp = contact.stamp.or(at.map(|_| Stamp { sequence: None, at }));
            return;
        }
        Field::Categories => return contact.categories.extend(categories(value)),
        Field::Url => return contact.urls.extend(parts(value)),
        Field::Email => return contact.emails.extend(parts(value)),
        Field::Tel => return contact.tels.extend(parts(value)),
    };
    if slot.is_some() {
        return;
    }
    let day = || text::day(value, is_day_first(column)).unwrap_or_else(|| value.to_owned());
    *slot = match field {
        // Outlook's way to say that there is none.
        Field::Birthday | Field::Anniversary
            if !value.contains(|c: char| c.is_alphabetic() || ('1'..='9').contains(&c)) =>
        {
            None
        }
        Field::Birthday | Field::Anniversary => Some(day()),
        _ => Some(value.to_owned()),
    };
}

/// Google puts several values into one cell, as does our own export.
fn parts(value: &str) -> impl Iterator<Item = String> + '_ {
    value
        .split(" ::: ")
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .take(15)
        .map(ToOwned::to_owned)
}

/// Outlook parts them by semicolons; Google marks its own by a star.
fn categories(value: &str) -> impl Iterator<Item = String> + '_ {
    value
        .split(" ::: ")
        .flat_map(|part| part.split(';'))
        .map(|part| part.trim().trim_start_matches("* "))
        .filter(|part| !part.is_empty() && *part != "myContacts")
        .map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_may_be_a_formula_is_guarded_and_comes_back_as_it_was() {
        for (cell, written) in [
            (
                "=HYPERLINK(\"https://example.org\")",
                "'=HYPERLINK(\"https://example.org\")",
            ),
            ("-1+1", "'-1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
            ("\t=1", "'\t=1"),
            ("'=1", "''=1"),
            ("+4930901820", "+4930901820"),
            ("+4930901820 ::: +4930901821", "+4930901820 ::: +4930901821"),
            ("'s Gravenhage", "'s Gravenhage"),
            ("a=b", "a=b"),
        ] {
            assert_eq!(guarded(cell), written);
            assert_eq!(unguarded(written), cell);
        }
        assert_eq!(
            guarded("a\u{1b}[31mb\u{9b}c"),
            "a[31mbc",
            "nothing that steers a terminal"
        );
    }
}
