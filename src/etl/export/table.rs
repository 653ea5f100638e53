//! A table of contacts. Several values of one cell stand apart by ` ::: `.
//!
//! Invariant: no cell is a formula to a spreadsheet, and none steers a terminal; what was meant comes back when the table
//! is imported.

use super::Exported;
use crate::map::csv_guarded;

const COLUMNS: [&str; 16] = [
    "UID",
    "Kind",
    "Name",
    "Given Name",
    "Family Name",
    "Nickname",
    "Birthday",
    "Anniversary",
    "Categories",
    "Notes",
    "Organization",
    "Job Title",
    "Address",
    "Website",
    "Email",
    "Phone",
];

pub(super) fn head(out: &mut Vec<u8>) {
    write(out, &COLUMNS.map(ToOwned::to_owned));
}

pub(super) fn row(one: &Exported, out: &mut Vec<u8>) {
    let text = |name: &str| one.text(name).unwrap_or_default().to_owned();
    let many = |values: Vec<&str>| values.join(" ::: ");
    let tels = one.known_by("tel").chain(one.texts("x_tel")).collect();
    let urls = one.texts("url").into_iter().chain(one.texts("x_urls")).collect();
    write(
        out,
        &[
            one.uid("vcard.uid"),
            one.entity.kind.to_lowercase(),
            one.entity.title.clone().unwrap_or_else(|| text("name")),
            text("given_name"),
            text("family_name"),
            text("nickname"),
            text("birthday"),
            text("anniversary"),
            many(one.texts("categories")),
            text("note"),
            text("organization"),
            text("job_title"),
            text("address"),
            many(urls),
            many(one.known_by("email").collect()),
            many(tels),
        ],
    );
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
