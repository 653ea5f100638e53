//! A table of contacts. Several values of one cell stand apart by ` ::: `.
//!
//! Invariant: no cell is a formula to a spreadsheet, and none steers a terminal; what was meant comes back when the table
//! is imported.

use chrono::SecondsFormat;
use serde_json::Value;

use super::Exported;
use super::postal::postals;
use crate::map::csv_guarded;

const COLUMNS: [&str; 22] = [
    "UID",
    "Kind",
    "Name",
    "Given Name",
    "Family Name",
    "Additional Name",
    "Name Prefix",
    "Name Suffix",
    "Nickname",
    "Birthday",
    "Anniversary",
    "Categories",
    "Notes",
    "Organization",
    "Department",
    "Job Title",
    "Spouse",
    "Address",
    "Website",
    "Email",
    "Phone",
    "Revised",
];

pub(super) fn head(out: &mut Vec<u8>) {
    write(out, &COLUMNS.map(ToOwned::to_owned));
}

pub(super) fn row(one: &Exported, out: &mut Vec<u8>) {
    let text = |name: &str| one.text(name).unwrap_or_default().to_owned();
    let many = |values: Vec<&str>| values.join(" ::: ");
    let tels = one.known_by("tel").chain(one.texts("x_tel")).collect();
    let urls = one.texts("url").into_iter().chain(one.texts("x_urls")).collect();
    let addresses: Vec<String> = postals(one).into_iter().map(|(text, _)| text).collect();
    write(
        out,
        &[
            one.uid("vcard.uid"),
            one.entity.kind.to_lowercase(),
            one.entity.title.clone().unwrap_or_else(|| text("name")),
            text("given_name"),
            text("family_name"),
            text("additional_name"),
            text("honorific_prefix"),
            text("honorific_suffix"),
            text("nickname"),
            text("birthday"),
            text("anniversary"),
            many(one.texts("categories")),
            text("note"),
            text("organization"),
            text("department"),
            text("job_title"),
            spouse(one),
            many(addresses.iter().map(String::as_str).collect()),
            many(urls),
            many(one.known_by("email").collect()),
            many(tels),
            one.entity.updated_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        ],
    );
}

fn spouse(one: &Exported) -> String {
    let said = |related: &Value, name: &str| related.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    let mut all = one.items("related").into_iter();
    let spouse = all.find(|related| said(related, "is").as_deref() == Some("spouse"));
    spouse.and_then(|spouse| said(spouse, "who")).unwrap_or_default()
}

fn write(out: &mut Vec<u8>, cells: &[String]) {
    let mut writer = csv::Writer::from_writer(out);
    // Into memory.
    let cells = cells.iter().map(|cell| csv_guarded(cell));
    if let Err(error) = writer
        .write_record(cells.map(String::into_bytes))
        .and_then(|()| Ok(writer.flush()?))
    {
        tracing::error!(%error, "a row could not be written");
    }
}
