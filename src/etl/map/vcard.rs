//! A vCard (RFC 6350, and 2.1 and 3.0) is a Person, an Organization or a Group, also as Apple and KDE extend it.
//!
//! Begin with [`map`].

use calcard::common::timezone::Tz;
use calcard::vcard::{VCard, VCardEntry, VCardParameterName, VCardProperty, VCardValue};
use chrono::{DateTime, Utc};

use super::contact::{Contact, Kind, Postal};
use super::{Enclosure, Hints, Meaning, text};
use crate::revision::Stamp;

const CARD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Addresses of one kind in one card; a card with more is no card of a person.
const ADDRESSES_MAX: usize = 15;
const VALUES_MAX: usize = 1_000;
const KINDS_MAX: usize = 8;
/// The year that Apple writes where none is said, without always saying so.
const NO_YEAR: u16 = 1604;

pub(super) fn map(body: &[u8], hints: &Hints) -> Result<Meaning, String> {
    Ok(contact(body)?.meaning(hints))
}

/// The card's own id (its UID, or the hash that stands for one), and whether it is a group's.
pub(crate) fn card_id(body: &[u8]) -> Option<(String, bool)> {
    let contact = contact(body).ok()?;
    let is_group = contact.kind == Kind::Group;
    Some((
        contact.uid.clone().unwrap_or_else(|| contact.derived_id()),
        is_group,
    ))
}

fn contact(body: &[u8]) -> Result<Contact, String> {
    if body.len() > CARD_BYTES_MAX {
        return Err(format!("a card has at most {CARD_BYTES_MAX} bytes"));
    }
    let text = text::decoded(body);
    let card = VCard::parse(text.as_ref()).map_err(|_| "this is no vCard".to_owned())?;
    let mut contact = Contact::default();
    for entry in &card.entries {
        read(&mut contact, &card, entry);
    }
    // The parser gives no day for many forms that programs write: what stands there is read as it is.
    for (slot, name) in [
        (&mut contact.birthday, "BDAY"),
        (&mut contact.anniversary, "ANNIVERSARY"),
    ] {
        if slot.is_none() {
            *slot = written(&text, name);
        }
    }
    Ok(contact)
}

/// The value of the first property of this name, as it is written in the card.
fn written(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (head, value) = line.split_once(':')?;
        let property = head.split(';').next()?;
        let property = property.rsplit('.').next()?; // a group may stand before it
        property.eq_ignore_ascii_case(name).then(|| day_text(value))?
    })
}

/// A day as it is written, without the year that stands for none.
fn day_text(value: &str) -> Option<String> {
    let said = text::line(value, 64)?;
    let without_year = said.strip_prefix(&format!("{NO_YEAR}-"));
    Some(without_year.map_or_else(|| said.clone(), |day| format!("--{day}")))
}

fn read(contact: &mut Contact, card: &VCard, entry: &VCardEntry) {
    let first = || words(entry).into_iter().find(|word| !word.trim().is_empty());
    match &entry.name {
        VCardProperty::Uid => keep(&mut contact.uid, first()),
        VCardProperty::Kind => kind(contact, entry),
        VCardProperty::Fn => keep(&mut contact.name, first()),
        VCardProperty::N => {
            let parts = words(entry);
            for (slot, part) in [
                &mut contact.family,
                &mut contact.given,
                &mut contact.additional,
                &mut contact.prefix,
                &mut contact.suffix,
            ]
            .into_iter()
            .zip(parts)
            {
                keep(slot, Some(part));
            }
        }
        VCardProperty::Nickname => keep(&mut contact.nickname, first()),
        VCardProperty::Tel | VCardProperty::Email => {
            let kinds = kinds(entry);
            if let Some(address) = first().filter(|_| !kinds.is_empty()) {
                contact.labels.push((address, kinds));
            }
            let list = match entry.name {
                VCardProperty::Tel => &mut contact.tels,
                _ => &mut contact.emails,
            };
            more(list, first(), ADDRESSES_MAX);
        }
        VCardProperty::Url => more(&mut contact.urls, first(), ADDRESSES_MAX),
        VCardProperty::Impp => more(&mut contact.impps, first(), VALUES_MAX),
        VCardProperty::Bday => keep(&mut contact.birthday, day(entry)),
        VCardProperty::Anniversary => keep(&mut contact.anniversary, day(entry)),
        VCardProperty::Note => more(&mut contact.notes, first(), VALUES_MAX),
        VCardProperty::Org => {
            let mut parts = words(entry).into_iter();
            keep(&mut contact.organization, parts.next());
            let within: Vec<String> = parts.filter(|part| !part.trim().is_empty()).collect();
            keep(&mut contact.department, Some(within.join(", ")));
        }
        VCardProperty::Photo => contact.photo = contact.photo.take().or_else(|| photo(entry)),
        VCardProperty::Title => keep(&mut contact.job_title, first()),
        VCardProperty::Categories => words(entry)
            .into_iter()
            .for_each(|one| more(&mut contact.categories, Some(one), VALUES_MAX)),
        VCardProperty::Member => more(&mut contact.members, first(), VALUES_MAX),
        VCardProperty::Related => {
            let what = parameter(entry, &VCardParameterName::Type).unwrap_or_default();
            contact.related.extend(first().map(|who| (what, who)));
        }
        VCardProperty::Rev => contact.stamp = contact.stamp.or_else(|| stamp(entry)),
        VCardProperty::Adr => {
            let mut postal = Postal::default();
            for (slot, part) in postal.parts.iter_mut().zip(words(entry)) {
                *slot = part;
            }
            postal.kinds = kinds(entry);
            contact.postals.push(postal);
        }
        VCardProperty::Other(name) => extension(contact, card, entry, &name.to_ascii_uppercase()),
        _ => {}
    }
}

/// What programs wrote before the standard had it, and still do.
fn extension(contact: &mut Contact, card: &VCard, entry: &VCardEntry, name: &str) {
    let first = || words(entry).into_iter().find(|word| !word.trim().is_empty());
    let uri = |scheme: &str| {
        first().map(|said| match said.contains(':') {
            true => said,
            false => format!("{scheme}:{said}"),
        })
    };
    match name {
        "X-ADDRESSBOOKSERVER-KIND" => kind(contact, entry),
        "X-ADDRESSBOOKSERVER-MEMBER" => more(&mut contact.members, first(), VALUES_MAX),
        "X-ANNIVERSARY" | "X-EVOLUTION-ANNIVERSARY" | "X-KADDRESSBOOK-X-ANNIVERSARY" => {
            keep(&mut contact.anniversary, day(entry));
        }
        "X-ABDATE" if label(card, entry).eq_ignore_ascii_case("anniversary") => {
            keep(&mut contact.anniversary, day(entry));
        }
        "X-ABRELATEDNAMES" => {
            let what = label(card, entry).to_lowercase();
            contact.related.extend(first().map(|who| (what, who)));
        }
        "X-JABBER" => more(&mut contact.impps, uri("xmpp"), VALUES_MAX),
        "X-SKYPE" | "X-SKYPE-USERNAME" => more(&mut contact.impps, uri("skype"), VALUES_MAX),
        "X-MATRIX" => more(&mut contact.impps, uri("matrix"), VALUES_MAX),
        "X-AIM" | "X-ICQ" | "X-MSN" | "X-YAHOO" => {
            more(
                &mut contact.impps,
                uri(&name[2..].to_ascii_lowercase()),
                VALUES_MAX,
            );
        }
        _ => {}
    }
}

fn kind(contact: &mut Contact, entry: &VCardEntry) {
    let kind = entry.values.first().and_then(VCardValue::as_text);
    match kind.unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "org" => contact.kind = Kind::Organization,
        "group" => contact.kind = Kind::Group,
        _ => {}
    }
}

/// Apple's label of an entry, which stands in an entry of the same group: `_$!<Spouse>!$_`, or somebody's own word.
fn label(card: &VCard, entry: &VCardEntry) -> String {
    let is_label = |one: &&VCardEntry| {
        let is_named =
            matches!(&one.name, VCardProperty::Other(name) if name.eq_ignore_ascii_case("X-ABLABEL"));
        is_named && one.group.is_some() && one.group == entry.group
    };
    let label = card.entries.iter().find(is_label).map(words);
    let label = label
        .and_then(|words| words.into_iter().next())
        .unwrap_or_default();
    let label = label.trim();
    let plain = label
        .strip_prefix("_$!<")
        .and_then(|rest| rest.strip_suffix(">!$_"));
    plain.unwrap_or(label).to_owned()
}

/// When this revision was made.
fn stamp(entry: &VCardEntry) -> Option<Stamp> {
    let at = match entry.values.first()? {
        VCardValue::PartialDateTime(time) => time.to_date_time_with_tz(Tz::UTC)?.with_timezone(&Utc),
        other => DateTime::parse_from_rfc3339(other.as_text()?.trim())
            .ok()?
            .to_utc(),
    };
    Some(Stamp {
        sequence: None,
        at: Some(at),
    })
}

/// The picture that the card itself holds; one that lies elsewhere is not asked for.
fn photo(entry: &VCardEntry) -> Option<Enclosure> {
    let VCardValue::Binary(data) = entry.values.first()? else {
        return None;
    };
    (!data.data.is_empty()).then(|| Enclosure {
        predicate: "image",
        filename: None,
        declared_type: data.content_type.as_deref().and_then(|one| text::line(one, 120)),
        bytes: data.data.clone(),
    })
}

fn keep(slot: &mut Option<String>, value: Option<String>) {
    if slot.is_none() {
        *slot = value.filter(|value| !value.trim().is_empty());
    }
}

fn more(list: &mut Vec<String>, value: Option<String>, most: usize) {
    if list.len() < most {
        list.extend(value.filter(|value| !value.trim().is_empty()));
    }
}

/// The texts of an entry's values, components apart.
fn words(entry: &VCardEntry) -> Vec<String> {
    let mut words = Vec::new();
    for value in entry.values.iter().take(64) {
        match value {
            VCardValue::Component(parts) => words.push(parts.join(" ")),
            VCardValue::Integer(number) => words.push(number.to_string()),
            other => words.extend(other.as_text().map(ToOwned::to_owned)),
        }
    }
    words
}

/// Of what kind a number or an address is (TYPE): `home`, `work`, `cell`, `fax` and so on.
fn kinds(entry: &VCardEntry) -> Vec<String> {
    let types = entry
        .params
        .iter()
        .filter(|one| one.name == VCardParameterName::Type);
    let types = types.filter_map(|one| one.value.as_text());
    let mut kinds: Vec<String> = Vec::new();
    for kind in types
        .flat_map(|text| text.split(','))
        .map(|kind| kind.trim().to_lowercase())
    {
        if is_kind(&kind) && !kinds.contains(&kind) && kinds.len() < KINDS_MAX {
            kinds.push(kind);
        }
    }
    kinds
}

/// Whether a TYPE says of what kind something is, not how it is used or that it is what everything of its sort is.
fn is_kind(word: &str) -> bool {
    let is_word =
        (1..=32).contains(&word.len()) && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    is_word
        && !matches!(
            word,
            "pref" | "voice" | "internet" | "x400" | "dom" | "intl" | "postal" | "parcel"
        )
}

fn parameter(entry: &VCardEntry, name: &VCardParameterName) -> Option<String> {
    let value = entry.params.iter().find(|one| one.name == *name)?;
    Some(value.value.as_text()?.to_lowercase())
}

/// `1990-05-01`, or `--05-01` where the year isn't said; anything else as it is written.
fn day(entry: &VCardEntry) -> Option<String> {
    let is_omitted = |one: &calcard::vcard::VCardParameter| matches!(&one.name, VCardParameterName::Other(name) if name.eq_ignore_ascii_case("X-APPLE-OMIT-YEAR"));
    let is_omitted = entry.params.iter().any(is_omitted);
    match entry.values.first()? {
        VCardValue::PartialDateTime(date) => {
            let (month, day) = (date.month?, date.day?);
            let year = date.year.filter(|year| !is_omitted && *year != NO_YEAR);
            Some(match year {
                Some(year) => format!("{year:04}-{month:02}-{day:02}"),
                None => format!("--{month:02}-{day:02}"),
            })
        }
        other => day_text(other.as_text()?),
    }
}
