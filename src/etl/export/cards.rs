//! vCard 4.0: a card a person, organization or group.

use serde_json::Value;

use super::{Exported, escaped, line};

pub(super) fn card(one: &Exported, out: &mut Vec<u8>) {
    let name = one
        .entity
        .title
        .as_deref()
        .or_else(|| one.text("name"))
        .unwrap_or_default();
    let kind = match one.entity.kind.as_str() {
        "Organization" => "org",
        "Group" => "group",
        _ => "individual",
    };
    line(out, "BEGIN", "VCARD");
    line(out, "VERSION", "4.0");
    line(out, "UID", &escaped(&one.uid("vcard.uid")));
    line(out, "KIND", kind);
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
    for member in one.texts("members") {
        line(out, "MEMBER", member);
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
    for jid in one.known_by("xmpp") {
        line(out, "IMPP", &format!("xmpp:{jid}"));
    }
    for id in one.known_by("matrix") {
        line(out, "IMPP", &format!("matrix:u/{}", id.trim_start_matches('@')));
    }
    for impp in one.texts("impp") {
        line(out, "IMPP", impp);
    }
    for (property, prop) in [("BDAY", "birthday"), ("ANNIVERSARY", "anniversary")] {
        if let Some(day) = one.text(prop) {
            let basic = day.replace("--", "\u{0}").replace('-', "").replace('\u{0}', "--");
            line(out, property, &basic);
        }
    }
    for (property, prop) in [("BDAY", "x_birthday"), ("ANNIVERSARY", "x_anniversary")] {
        if let Some(text) = one.text(prop) {
            line(out, &format!("{property};VALUE=text"), &escaped(text));
        }
    }
    let categories: Vec<String> = one.texts("categories").into_iter().map(escaped).collect();
    if !categories.is_empty() {
        line(out, "CATEGORIES", &categories.join(","));
    }
    related(one, out);
    if let Some(address) = one.text("address") {
        line(out, "ADR", &format!(";;{};;;;", escaped(address)));
    }
    line(out, "END", "VCARD");
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
