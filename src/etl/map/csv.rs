//! A table of contacts, one a row, as Google and Outlook export them: columns are known by their names.
//!
//! A record is the header and one row, so that it can be understood by itself. Begin with [`map`].

use super::vcard::Contact;
use super::{Hints, Meaning};

const ROW_BYTES_MAX: usize = 1024 * 1024;

/// Columns of a contact's own mailboxes and numbers. An assistant's or a switchboard's is others', too.
const EMAILS: [&str; 6] = [
    "email",
    "emails",
    "mail",
    "emailaddress",
    "primaryemail",
    "secondaryemail",
];
const TELS: [&str; 20] = [
    "phone",
    "phones",
    "phonenumber",
    "tel",
    "telephone",
    "mobile",
    "mobilephone",
    "mobilephone2",
    "mobilenumber",
    "cell",
    "cellphone",
    "homephone",
    "homephone2",
    "businessphone",
    "businessphone2",
    "workphone",
    "otherphone",
    "primaryphone",
    "carphone",
    "radiophone",
];

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
    let mut contact = Contact::default();
    for (name, value) in header.iter().zip(row.iter()).take(1_000) {
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        read(&mut contact, name.trim_start_matches('\u{feff}'), value.trim());
    }
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

fn read(contact: &mut Contact, column: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    let column: String = column
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric())
        .collect();
    let numbered = |stem: &str, end: &str| {
        column
            .strip_prefix(stem)
            .and_then(|rest| rest.strip_suffix(end))
            .is_some_and(|number| number.chars().all(|c| c.is_ascii_digit()))
    };
    let slot = match column.as_str() {
        // An `id` is unique within one program's table alone.
        "uid" => &mut contact.uid,
        "name" | "fullname" | "displayname" | "fileas" => &mut contact.name,
        "givenname" | "firstname" => &mut contact.given,
        "familyname" | "lastname" | "surname" => &mut contact.family,
        "nickname" => &mut contact.nickname,
        "birthday" => &mut contact.birthday,
        "notes" | "note" => &mut contact.note,
        "company" | "organization" | "organizationname" | "organization1name" => &mut contact.organization,
        "jobtitle" | "organizationtitle" | "organization1title" => &mut contact.job_title,
        "address" | "homeaddress" | "businessaddress" | "address1formatted" => &mut contact.address,
        "kind" => {
            contact.is_organization |= value.eq_ignore_ascii_case("organization");
            return;
        }
        "website" | "webpage" | "url" | "website1value" => return contact.urls.extend(parts(value)),
        _ => {
            // Never a label of Google's, such as `E-mail 1 - Type`.
            let is_email = EMAILS.contains(&column.as_str())
                || numbered("email", "value")
                || numbered("email", "address");
            let is_tel = TELS.contains(&column.as_str()) || numbered("phone", "value");
            if is_email {
                contact.emails.extend(parts(value));
            } else if is_tel {
                contact.tels.extend(parts(value));
            }
            return;
        }
    };
    if slot.is_none() {
        *slot = Some(value.to_owned());
    }
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
