//! vCard 4.0: a card a person, organization or group.

use serde_json::Value;

use super::postal::{parts, postals};
use super::{Exported, escaped, line};

/// In the order of N (RFC 6350, 6.2.2).
const NAMES: [&str; 5] = [
    "family_name",
    "given_name",
    "additional_name",
    "honorific_prefix",
    "honorific_suffix",
];

pub(super) fn card(one: &Exported, out: &mut Vec<u8>) {
    let kind = match one.entity.kind.as_str() {
        "Organization" => "org",
        "Group" => "group",
        _ => "individual",
    };
    line(out, "BEGIN", "VCARD");
    line(out, "VERSION", "4.0");
    line(out, "UID", &escaped(&one.uid("vcard.uid")));
    line(out, "REV", &one.revised());
    line(out, "KIND", kind);
    named(one, out);
    texts(one, out);
    for member in one.texts("members") {
        line(out, "MEMBER", member);
    }
    addresses(one, out);
    days(one, out);
    related(one, out);
    for (text, postal) in postals(one) {
        match postal {
            Some(postal) => {
                let parts = parts(postal).map(escaped);
                line(out, &format!("ADR{}", kinds(postal)), &parts.join(";"));
            }
            None => line(out, "ADR", &format!(";;{};;;;", escaped(&text))),
        }
    }
    line(out, "END", "VCARD");
}

fn named(one: &Exported, out: &mut Vec<u8>) {
    let title = one.entity.title.as_deref();
    let name = title.or_else(|| one.text("name")).unwrap_or_default();
    line(out, "FN", &escaped(name));
    let names = NAMES.map(|name| one.text(name).map(escaped).unwrap_or_default());
    if names.iter().any(|name| !name.is_empty()) {
        line(out, "N", &names.join(";"));
    }
}

fn texts(one: &Exported, out: &mut Vec<u8>) {
    for (property, prop) in [("NICKNAME", "nickname"), ("NOTE", "note"), ("TITLE", "job_title")] {
        if let Some(text) = one.text(prop) {
            line(out, property, &escaped(text));
        }
    }
    let parts: Vec<String> = ["organization", "department"]
        .map(|prop| one.text(prop).map(escaped).unwrap_or_default())
        .into();
    let organization = parts.join(";");
    if organization != ";" {
        line(out, "ORG", organization.trim_end_matches(';'));
    }
    let categories: Vec<String> = one.texts("categories").into_iter().map(escaped).collect();
    if !categories.is_empty() {
        line(out, "CATEGORIES", &categories.join(","));
    }
}

/// Numbers, mailboxes, messengers, pages.
fn addresses(one: &Exported, out: &mut Vec<u8>) {
    for tel in one.known_by("tel") {
        line(
            out,
            &format!("TEL;VALUE=uri{}", label(one, tel)),
            &format!("tel:{tel}"),
        );
    }
    for tel in one.texts("x_tel") {
        line(out, &format!("TEL{}", label(one, tel)), &escaped(tel));
    }
    for email in one.known_by("email") {
        line(out, &format!("EMAIL{}", label(one, email)), &escaped(email));
    }
    for url in one.texts("url").into_iter().chain(one.texts("x_urls")) {
        line(out, "URL", url);
    }
    for jid in one.known_by("xmpp") {
        line(out, "IMPP", &format!("xmpp:{jid}"));
    }
    for id in one.known_by("matrix") {
        line(out, "IMPP", &format!("matrix:u/{}", id.trim_start_matches('@')));
    }
    for impp in one.texts("impp") {
        line(out, "IMPP", impp);
    }
}

fn days(one: &Exported, out: &mut Vec<u8>) {
    for (property, prop) in [("BDAY", "birthday"), ("ANNIVERSARY", "anniversary")] {
        if let Some(day) = one.text(prop) {
            line(out, property, &basic(day));
        }
    }
    for (property, prop) in [("BDAY", "x_birthday"), ("ANNIVERSARY", "x_anniversary")] {
        if let Some(text) = one.text(prop) {
            line(out, &format!("{property};VALUE=text"), &escaped(text));
        }
    }
}

/// A day without the strokes between its parts (RFC 6350, 4.3.1). A month of a year keeps its one.
fn basic(day: &str) -> String {
    match day.strip_prefix("--") {
        Some(day) => format!("--{}", day.replace('-', "")),
        None if day.len() == "1990-05".len() => day.to_owned(),
        None => day.replace('-', ""),
    }
}

/// Of what kind a number or mailbox is, as a parameter.
fn label(one: &Exported, address: &str) -> String {
    let of = |label: &&Value| label.get("of").and_then(Value::as_str) == Some(address);
    one.items("labels")
        .into_iter()
        .find(of)
        .map(kinds)
        .unwrap_or_default()
}

fn kinds(labelled: &Value) -> String {
    let is_word =
        |word: &&str| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && !word.is_empty();
    let kinds = labelled.get("is").and_then(Value::as_array).into_iter().flatten();
    let kinds: Vec<&str> = kinds.filter_map(Value::as_str).filter(is_word).collect();
    kinds.iter().map(|kind| format!(";TYPE={kind}")).collect()
}

/// What others are to the contact: a URI, or a name.
fn related(one: &Exported, out: &mut Vec<u8>) {
    for related in one.items("related") {
        let text = |name: &str| related.get(name).and_then(Value::as_str).unwrap_or_default();
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let kind = match text("is") {
            "" => String::new(),
            word if word.chars().all(is_word) => format!(";TYPE={word}"),
            _ => ";TYPE=contact".to_owned(),
        };
        match text("who") {
            "" => {}
            uri if uri.contains(':') => line(out, &format!("RELATED{kind}"), uri),
            name => line(out, &format!("RELATED{kind};VALUE=text"), &escaped(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::basic;

    #[test]
    fn a_day_is_written_in_the_form_that_its_parts_have() {
        for (day, written) in [
            ("1990-05-01", "19900501"),
            ("--05-01", "--0501"),
            ("1990-05", "1990-05"),
            ("1990", "1990"),
            ("--05", "--05"),
        ] {
            assert_eq!(basic(day), written);
        }
    }
}
