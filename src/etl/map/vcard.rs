//! A vCard (RFC 6350, and 2.1 and 3.0) is a Person or an Organization.
//!
//! Invariant: a card is found again by its UID; one without by a hash of its name and addresses, so that a changed note
//! makes no second entity. Begin with [`map`], then [`Contact::meaning`].

use calcard::vcard::{VCard, VCardEntry, VCardKind, VCardProperty, VCardValue};
use serde_json::{Value, json};
use spine::ports::{Identifier, Target};

use super::{Enclosure, Hints, Meaning, identified, set, text};

/// Of one kind in one card; a card with more is no card of a person.
const ADDRESSES_MAX: usize = 15;
const CARD_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(super) fn map(body: &[u8], hints: &Hints) -> Result<Meaning, String> {
    Ok(contact(body)?.meaning(hints))
}

/// The card's own id: its UID, or the hash that stands for one.
pub(crate) fn card_id(body: &[u8]) -> Option<String> {
    let contact = contact(body).ok()?;
    Some(contact.uid.clone().unwrap_or_else(|| contact.derived_id()))
}

fn contact(body: &[u8]) -> Result<Contact, String> {
    if body.len() > CARD_BYTES_MAX {
        return Err(format!("a card has at most {CARD_BYTES_MAX} bytes"));
    }
    let text = text::decoded(body);
    let card = VCard::parse(text.as_ref()).map_err(|_| "this is no vCard".to_owned())?;
    Ok(Contact::of(&card))
}

/// Somebody or some organization, as cards and tables of contacts give them.
#[derive(Debug, Default)]
pub(super) struct Contact {
    pub(super) uid: Option<String>,
    pub(super) is_organization: bool,
    pub(super) name: Option<String>,
    pub(super) given: Option<String>,
    pub(super) family: Option<String>,
    pub(super) nickname: Option<String>,
    pub(super) tels: Vec<String>,
    pub(super) emails: Vec<String>,
    pub(super) urls: Vec<String>,
    pub(super) birthday: Option<String>,
    pub(super) note: Option<String>,
    pub(super) organization: Option<String>,
    pub(super) job_title: Option<String>,
    pub(super) address: Option<String>,
    pub(super) photo: Option<Enclosure>,
}

impl Contact {
    fn of(card: &VCard) -> Self {
        let mut contact = Self::default();
        for entry in &card.entries {
            contact.read(entry);
        }
        contact
    }

    fn read(&mut self, entry: &VCardEntry) {
        let first = || words(entry).into_iter().find(|word| !word.trim().is_empty());
        match entry.name {
            VCardProperty::Uid => keep(&mut self.uid, first()),
            VCardProperty::Kind => {
                let kind = entry.values.first();
                self.is_organization |= matches!(kind, Some(VCardValue::Kind(VCardKind::Org)))
                    || kind
                        .and_then(VCardValue::as_text)
                        .is_some_and(|kind| kind.eq_ignore_ascii_case("org"));
            }
            VCardProperty::Fn => keep(&mut self.name, first()),
            VCardProperty::N => {
                let parts = words(entry);
                keep(&mut self.family, parts.first().cloned());
                keep(&mut self.given, parts.get(1).cloned());
            }
            VCardProperty::Nickname => keep(&mut self.nickname, first()),
            VCardProperty::Tel => more(&mut self.tels, first()),
            VCardProperty::Email => more(&mut self.emails, first()),
            VCardProperty::Url => more(&mut self.urls, first()),
            VCardProperty::Bday => keep(&mut self.birthday, entry.values.first().and_then(day)),
            VCardProperty::Note => keep(&mut self.note, first()),
            VCardProperty::Org => keep(&mut self.organization, first()),
            VCardProperty::Photo => self.photo = self.photo.take().or_else(|| photo(entry)),
            VCardProperty::Title => keep(&mut self.job_title, first()),
            VCardProperty::Adr => {
                let parts: Vec<String> = words(entry)
                    .into_iter()
                    .filter(|part| !part.trim().is_empty())
                    .collect();
                keep(&mut self.address, (!parts.is_empty()).then(|| parts.join(", ")));
            }
            _ => {}
        }
    }

    fn derived_id(&self) -> String {
        let mut parts: Vec<String> = [&self.name, &self.given, &self.family, &self.organization]
            .into_iter()
            .map(|part| part.as_deref().unwrap_or_default().trim().to_lowercase())
            .collect();
        let mut addresses: Vec<String> = self
            .emails
            .iter()
            .chain(&self.tels)
            .map(|one| one.trim().to_lowercase())
            .collect();
        addresses.sort();
        parts.extend(addresses);
        let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
        text::hash(&parts)
    }

    fn shown_name(&self) -> Option<String> {
        let parts: Vec<&str> = [&self.given, &self.family]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let candidates = [
            self.name.clone(),
            Some(parts.join(" ")),
            self.nickname.clone(),
            self.organization.clone(),
        ];
        candidates
            .into_iter()
            .flatten()
            .find_map(|name| text::title(&name))
    }

    /// The entities that the contact is.
    pub(super) fn meaning(mut self, hints: &Hints) -> Meaning {
        let name = self.shown_name();
        let alone =
            self.name.is_none() && self.given.is_none() && self.family.is_none() && self.nickname.is_none();
        // A card with nothing but an organization's name is the organization's.
        let is_organization = self.is_organization
            || (self.organization.is_some()
                && (alone || self.name == self.organization && self.given.is_none()));
        let kind = if is_organization { "Organization" } else { "Person" };
        let id = self.uid.clone().unwrap_or_else(|| self.derived_id());
        let mut identifiers: Vec<Identifier> = text::own_id("vcard.uid", &id).into_iter().collect();
        let mut entity = identified(kind, name.clone(), Vec::new());
        let props = &mut entity.props;
        set(
            props,
            "name",
            name.as_deref().and_then(|name| text::line(name, 512)),
        );
        let mut odd = Vec::new();
        for tel in &self.tels {
            match text::tel(tel, hints.country.as_deref()) {
                Some(tel) => identifiers.push(Identifier::new("tel", tel)),
                None => odd.extend(text::line(tel, 64)),
            }
        }
        set(props, "x_tel", (!odd.is_empty()).then(|| json!(odd)));
        identifiers.extend(
            self.emails
                .iter()
                .filter_map(|one| text::email(one))
                .map(|one| Identifier::new("email", one)),
        );
        let mut urls = self.urls.iter().filter_map(|one| text::url(one));
        set(props, "url", urls.next());
        let more: Vec<Value> = urls.map(Value::from).collect();
        set(props, "x_urls", (!more.is_empty()).then_some(more));
        set(
            props,
            "note",
            self.note.as_deref().and_then(|note| text::block(note, 16_000)),
        );
        set(
            props,
            "address",
            self.address.as_deref().and_then(|one| text::line(one, 1_000)),
        );
        let mut meaning = Meaning {
            enclosures: self.photo.take().into_iter().collect(),
            ..Meaning::default()
        };
        let mut organization = None;
        if !is_organization {
            set(
                props,
                "given_name",
                self.given.as_deref().and_then(|one| text::line(one, 256)),
            );
            set(
                props,
                "family_name",
                self.family.as_deref().and_then(|one| text::line(one, 256)),
            );
            set(
                props,
                "nickname",
                self.nickname.as_deref().and_then(|one| text::line(one, 256)),
            );
            // What is written as nobody else writes a day is kept, but not taken for one.
            let is_day = self.birthday.as_deref().is_none_or(text::is_day);
            let name = if is_day { "birthday" } else { "x_birthday" };
            set(props, name, self.birthday.clone());
            set(
                props,
                "job_title",
                self.job_title.as_deref().and_then(|one| text::line(one, 256)),
            );
            let name = self.organization.as_deref().and_then(|one| text::line(one, 200));
            set(props, "organization", name.clone());
            organization = name.map(|name| organization_named(&name));
        }
        dedup(&mut identifiers);
        entity.identifiers = identifiers;
        meaning.entities.push(entity);
        if let Some(organization) = organization {
            meaning.entities.push(organization);
            meaning.relations.push((0, "member-of", 1));
        }
        meaning
    }
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

/// An organization that is known by its name alone.
fn organization_named(name: &str) -> spine::ports::EntityChange {
    let id = text::own_id("org.name", &name.to_lowercase())
        .into_iter()
        .collect();
    let mut organization = identified("Organization", Some(name.to_owned()), id);
    // Other cards name it, too, and each says a part.
    organization.target = Target::Identified;
    set(&mut organization.props, "name", Some(name));
    organization
}

fn dedup(identifiers: &mut Vec<Identifier>) {
    let mut seen = std::collections::BTreeSet::new();
    identifiers.retain(|one| seen.insert((one.scheme.clone(), one.value.clone())));
}

fn keep(slot: &mut Option<String>, value: Option<String>) {
    if slot.is_none() {
        *slot = value.filter(|value| !value.trim().is_empty());
    }
}

fn more(list: &mut Vec<String>, value: Option<String>) {
    if list.len() < ADDRESSES_MAX {
        list.extend(value);
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

/// `1990-05-01`, or `--05-01` where the year isn't said.
fn day(value: &VCardValue) -> Option<String> {
    match value {
        VCardValue::PartialDateTime(date) => {
            let (month, day) = (date.month?, date.day?);
            Some(match date.year {
                Some(year) => format!("{year:04}-{month:02}-{day:02}"),
                None => format!("--{month:02}-{day:02}"),
            })
        }
        other => text::line(other.as_text()?, 10),
    }
}
