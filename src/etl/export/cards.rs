//! vCard 4.0: a card a person or organization.

use super::{Exported, escaped, line};

pub(super) fn card(one: &Exported, out: &mut Vec<u8>) {
    let name = one
        .entity
        .title
        .as_deref()
        .or_else(|| one.text("name"))
        .unwrap_or_default();
    let is_organization = one.entity.kind == "Organization";
    line(out, "BEGIN", "VCARD");
    line(out, "VERSION", "4.0");
    line(out, "UID", &escaped(&one.uid("vcard.uid")));
    line(out, "KIND", if is_organization { "org" } else { "individual" });
    line(out, "FN", &escaped(name));
    let (family, given) = (one.text("family_name"), one.text("given_name"));
    if family.is_some() || given.is_some() {
        let part = |part: Option<&str>| escaped(part.unwrap_or_default());
        line(out, "N", &format!("{};{};;;", part(family), part(given)));
    }
    for (property, prop) in [
        ("NICKNAME", "nickname"),
        ("NOTE", "note"),
        ("TITLE", "job_title"),
        ("ORG", "organization"),
    ] {
        if let Some(text) = one.text(prop) {
            line(out, property, &escaped(text));
        }
    }
    for tel in one.known_by("tel") {
        line(out, "TEL;VALUE=uri", &format!("tel:{tel}"));
    }
    for tel in one.texts("x_tel") {
        line(out, "TEL", &escaped(tel));
    }
    for email in one.known_by("email") {
        line(out, "EMAIL", &escaped(email));
    }
    for url in one.texts("url").into_iter().chain(one.texts("x_urls")) {
        line(out, "URL", url);
    }
    if let Some(day) = one.text("birthday") {
        line(
            out,
            "BDAY",
            &day.replace("--", "\u{0}").replace('-', "").replace('\u{0}', "--"),
        );
    }
    if let Some(address) = one.text("address") {
        line(out, "ADR", &format!(";;{};;;;", escaped(address)));
    }
    line(out, "END", "VCARD");
}
