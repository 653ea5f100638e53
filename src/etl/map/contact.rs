//! Somebody, some organization or a group, as cards and tables of contacts give them; and the entities that this is.
//!
//! Invariant: a contact is found again by its id; one without by a hash of its name and addresses, so that a changed note
//! makes no second entity. Begin with [`Contact::meaning`].

use serde_json::{Map, Value, json};
use spine::ports::{EntityChange, Identifier, Target};

use super::{Enclosure, Hints, Meaning, identified, set, text};
use crate::revision::Stamp;

/// Of one kind in one contact; a card with more is no card of a person.
const ADDRESSES_MAX: usize = 15;
const CATEGORIES_MAX: usize = 50;
const RELATED_MAX: usize = 50;
const NOTE_CHARS_MAX: usize = 16_000;
/// Parts of a postal address, in the order of ADR (RFC 6350, 6.3.1).
pub(crate) const POSTAL_PARTS: [&str; 7] = [
    "post_office_box",
    "extended",
    "street",
    "locality",
    "region",
    "postal_code",
    "country",
];
const MEMBERS_MAX: usize = 900;

/// Which entity a contact is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Somebody, unless it turns out to be nothing but an organization's name.
    #[default]
    Somebody,
    Organization,
    Group,
}

/// A postal address.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Postal {
    /// `home`, `work` and so on.
    pub(super) kinds: Vec<String>,
    /// As [`POSTAL_PARTS`]; what isn't said is empty.
    pub(super) parts: [String; 7],
}

impl Postal {
    /// Which part of [`POSTAL_PARTS`] the street is; an address in one piece stands there.
    pub(super) const STREET: usize = 2;

    fn said(&self) -> impl Iterator<Item = (&'static str, String)> {
        let said = POSTAL_PARTS.into_iter().zip(&self.parts);
        said.filter_map(|(name, part)| Some((name, text::line(part, 1_000)?)))
    }

    /// In one line.
    fn text(&self) -> Option<String> {
        let parts: Vec<String> = self.said().map(|(_, part)| part).collect();
        text::line(&parts.join(", "), 1_000)
    }

    /// In its parts.
    fn value(&self) -> Value {
        let mut value: Map<String, Value> = self
            .said()
            .map(|(name, part)| (name.to_owned(), part.into()))
            .collect();
        set(&mut value, "is", some(&self.kinds));
        Value::Object(value)
    }
}

/// A contact.
#[derive(Debug, Default)]
pub(super) struct Contact {
    pub(super) kind: Kind,
    pub(super) uid: Option<String>,
    pub(super) name: Option<String>,
    pub(super) given: Option<String>,
    pub(super) family: Option<String>,
    /// Middle names.
    pub(super) additional: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) suffix: Option<String>,
    pub(super) nickname: Option<String>,
    pub(super) tels: Vec<String>,
    pub(super) emails: Vec<String>,
    /// Of numbers and mailboxes, as they stand above, of what kind they are.
    pub(super) labels: Vec<(String, Vec<String>)>,
    pub(super) urls: Vec<String>,
    /// Addresses of messengers as URIs.
    pub(super) impps: Vec<String>,
    /// `1990-05-01`, `--05-01`, or whatever was said.
    pub(super) birthday: Option<String>,
    pub(super) anniversary: Option<String>,
    pub(super) notes: Vec<String>,
    pub(super) organization: Option<String>,
    pub(super) department: Option<String>,
    pub(super) job_title: Option<String>,
    /// The first is the one that is shown.
    pub(super) postals: Vec<Postal>,
    pub(super) categories: Vec<String>,
    /// What somebody else is to the contact, and who: a name or a URI.
    pub(super) related: Vec<(String, String)>,
    /// Of a group: the ids of its members' cards.
    pub(super) members: Vec<String>,
    pub(super) photo: Option<Enclosure>,
    pub(super) stamp: Option<Stamp>,
}

impl Contact {
    /// The id that stands for one where the source gives none.
    pub(super) fn derived_id(&self) -> String {
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

    /// A card with nothing but an organization's name is the organization's.
    fn entity_kind(&self) -> &'static str {
        let is_alone =
            self.name.is_none() && self.given.is_none() && self.family.is_none() && self.nickname.is_none();
        match self.kind {
            Kind::Group => "Group",
            Kind::Organization => "Organization",
            Kind::Somebody => {
                let is_its_name = is_alone || self.name == self.organization && self.given.is_none();
                match self.organization.is_some() && is_its_name {
                    true => "Organization",
                    false => "Person",
                }
            }
        }
    }

    /// The entities that the contact is.
    pub(super) fn meaning(mut self, hints: &Hints) -> Meaning {
        let (name, kind) = (self.shown_name(), self.entity_kind());
        let id = self.uid.clone().unwrap_or_else(|| self.derived_id());
        let mut entity = identified(
            kind,
            name.clone(),
            text::own_id("vcard.uid", &id).into_iter().collect(),
        );
        set(
            &mut entity.props,
            "name",
            name.as_deref().and_then(|name| text::line(name, 512)),
        );
        self.common(&mut entity.props);
        let mut meaning = Meaning {
            stamp: self.stamp,
            ..Meaning::default()
        };
        if kind == "Group" {
            let said = self.members.iter().filter_map(|one| text::line(one, 200));
            meaning.members = said.take(MEMBERS_MAX).collect();
            if self.members.len() > MEMBERS_MAX {
                let problem = format!("members: only the first {MEMBERS_MAX} are known");
                set(&mut entity.props, "x_problems", Some(vec![problem]));
            }
            set(&mut entity.props, "members", some(&meaning.members));
            meaning.entities.push(entity);
            return meaning;
        }
        meaning.enclosures = self.photo.take().into_iter().collect();
        self.addresses(&mut entity, hints);
        let organization = (kind == "Person")
            .then(|| self.person(&mut entity.props))
            .flatten();
        meaning.entities.push(entity);
        if let Some(organization) = organization {
            meaning.entities.push(organization);
            meaning.relations.push((0, "member-of", 1));
        }
        meaning
    }

    /// What a contact of any kind may say.
    fn common(&self, props: &mut Map<String, Value>) {
        let mut notes: Vec<String> = Vec::new();
        for note in self
            .notes
            .iter()
            .filter_map(|note| text::block(note, NOTE_CHARS_MAX))
        {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        set(props, "note", text::block(&notes.join("\n\n"), NOTE_CHARS_MAX));
        self.postal(props);
        let categories = self.categories.iter().take(CATEGORIES_MAX);
        let categories: Vec<String> = categories.filter_map(|one| text::line(one, 200)).collect();
        set(props, "categories", some(&categories));
    }

    /// The first address in one line; and all, where there is more to say of them.
    fn postal(&self, props: &mut Map<String, Value>) {
        let mut postals: Vec<&Postal> = Vec::new();
        for postal in self.postals.iter().take(ADDRESSES_MAX) {
            if postal.text().is_some() && !postals.contains(&postal) {
                postals.push(postal);
            }
        }
        set(props, "address", postals.first().and_then(|one| one.text()));
        let is_plain = |one: &&Postal| one.kinds.is_empty() && one.said().count() == 1;
        let is_all = postals.len() < 2 && postals.iter().all(is_plain);
        let all: Vec<Value> = postals.into_iter().map(Postal::value).collect();
        set(props, "addresses", (!is_all).then_some(all));
    }

    /// Of what kind the numbers and mailboxes are.
    fn labels(&self, hints: &Hints) -> Vec<Value> {
        let mut labels: Vec<(String, Vec<String>)> = Vec::new();
        for (said, kinds) in &self.labels {
            let plain = || text::line(text::without_scheme(said, "tel:"), 64);
            let known = match self.tels.contains(said) {
                true => text::tel(said, hints.country.as_deref()).or_else(plain),
                false => text::email(said),
            };
            let Some(of) = known else { continue };
            match labels.iter_mut().find(|(known, _)| *known == of) {
                Some((_, before)) => {
                    let more: Vec<String> = kinds
                        .iter()
                        .filter(|kind| !before.contains(kind))
                        .cloned()
                        .collect();
                    before.extend(more);
                }
                None => labels.push((of, kinds.clone())),
            }
        }
        labels.truncate(2 * ADDRESSES_MAX);
        labels
            .into_iter()
            .map(|(of, kinds)| json!({ "of": of, "is": kinds }))
            .collect()
    }

    fn addresses(&self, entity: &mut EntityChange, hints: &Hints) {
        let labels = self.labels(hints);
        set(
            &mut entity.props,
            "labels",
            (!labels.is_empty()).then_some(labels),
        );
        let mut odd = Vec::new();
        for tel in self.tels.iter().take(ADDRESSES_MAX) {
            match text::tel(tel, hints.country.as_deref()) {
                Some(tel) => entity.identifiers.push(Identifier::new("tel", tel)),
                None => odd.extend(text::line(text::without_scheme(tel, "tel:"), 64)),
            }
        }
        set(&mut entity.props, "x_tel", some(&odd));
        let emails = self.emails.iter().take(ADDRESSES_MAX);
        let emails = emails.filter_map(|one| text::email(one));
        entity
            .identifiers
            .extend(emails.map(|one| Identifier::new("email", one)));
        let mut other = Vec::new();
        for impp in self.impps.iter().take(ADDRESSES_MAX) {
            match messenger(impp) {
                Some(known) => entity.identifiers.push(known),
                None => other.extend(text::line(impp, 400)),
            }
        }
        set(&mut entity.props, "impp", some(&other));
        let urls = self.urls.iter().take(ADDRESSES_MAX);
        let mut urls = urls.filter_map(|one| text::url(one));
        set(&mut entity.props, "url", urls.next());
        let more: Vec<String> = urls.collect();
        set(&mut entity.props, "x_urls", some(&more));
        dedup(&mut entity.identifiers);
    }

    /// What only a person has. Gives the organization that she belongs to.
    fn person(&self, props: &mut Map<String, Value>) -> Option<EntityChange> {
        for (name, said) in [
            ("given_name", &self.given),
            ("family_name", &self.family),
            ("additional_name", &self.additional),
            ("honorific_prefix", &self.prefix),
            ("honorific_suffix", &self.suffix),
            ("nickname", &self.nickname),
            ("department", &self.department),
            ("job_title", &self.job_title),
        ] {
            set(props, name, said.as_deref().and_then(|one| text::line(one, 256)));
        }
        for (name, odd, said) in [
            ("birthday", "x_birthday", &self.birthday),
            ("anniversary", "x_anniversary", &self.anniversary),
        ] {
            let Some(said) = said else { continue };
            match text::day(said, false) {
                Some(day) => set(props, name, Some(day)),
                None => set(props, odd, text::line(said, 64)),
            }
        }
        let related = self.related.iter().take(RELATED_MAX);
        let related: Vec<Value> = related
            .filter_map(|(what, who)| {
                Some(json!({ "is": text::line(what, 64), "who": text::line(who, 512)? }))
            })
            .collect();
        set(props, "related", (!related.is_empty()).then_some(related));
        let organization = self.organization.as_deref().and_then(|one| text::line(one, 200));
        set(props, "organization", organization.clone());
        organization.map(|name| organization_named(&name))
    }
}

/// An organization that is known by its name alone.
fn organization_named(name: &str) -> EntityChange {
    let id = text::own_id("org.name", &name.to_lowercase())
        .into_iter()
        .collect();
    let mut organization = identified("Organization", Some(name.to_owned()), id);
    // Other cards name it, too, and each says a part.
    organization.target = Target::Identified;
    set(&mut organization.props, "name", Some(name));
    organization
}

/// An address of a messenger by which people are recognised.
fn messenger(uri: &str) -> Option<Identifier> {
    let (scheme, rest) = uri.trim().split_once(':')?;
    let rest = rest.split(['?', '#']).next().unwrap_or_default().trim();
    let (scheme, address) = match scheme.to_ascii_lowercase().as_str() {
        "xmpp" | "jabber" => ("xmpp", text::email(rest)?),
        "matrix" => {
            let id = rest
                .strip_prefix("u/")
                .map_or_else(|| rest.to_owned(), |id| format!("@{id}"));
            let is_id = id.starts_with('@') && id.contains(':');
            ("matrix", is_id.then_some(id)?)
        }
        _ => return None,
    };
    text::own_id(scheme, &address)
}

fn some(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn dedup(identifiers: &mut Vec<Identifier>) {
    let mut seen = std::collections::BTreeSet::new();
    identifiers.retain(|one| seen.insert((one.scheme.clone(), one.value.clone())));
}
