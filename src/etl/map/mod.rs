//! What a record means: from its bytes and media type to entities, relations and people, without the database.
//!
//! Invariant: whatever the bytes are, mapping ends soon and with a meaning or a reason; it never panics, and a reason
//! holds nothing of the content. Pure. Begin with [`map`].

mod alarm;
mod contact;
mod csv;
mod features;
mod ground;
mod ical;
mod jsonld;
mod letter;
mod mail;
mod mime;
mod text;
mod tracks;
mod vcard;
mod zone;

pub(crate) use contact::POSTAL_PARTS;
pub(crate) use csv::{guarded as csv_guarded, refusal as csv_refusal, row as csv_row, row_id as csv_row_id};
pub(crate) use ical::RANGE as RECURRENCE_RANGE;
pub(crate) use jsonld::{SCHEME as EXPORTED_ID, is_owner};
pub(crate) use mail::{LETTER, MESSAGE_ID};
pub(crate) use vcard::card_id;
pub(crate) use zone::country as zone_country;

use crate::revision::Stamp;
use chrono_tz::Tz;
use serde_json::{Map, Value};
use spine::ports::{EntityChange, Identifier, RawRecord, Target};

/// What the owner's own data says about how to read what others leave open.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hints {
    /// ISO 3166 code of the country whose numbers are written without a country code.
    pub(crate) country: Option<String>,
    /// In which zone a time without one is read.
    pub(crate) zone: Option<Tz>,
    /// The owner's mailboxes, in lower case: what they send goes out.
    pub(crate) mailboxes: Vec<String>,
}

/// Everything that a record means.
#[derive(Debug, Default)]
pub(crate) struct Meaning {
    /// The things, in order.
    pub(crate) entities: Vec<EntityChange>,
    /// Between the things, by their places in `entities`.
    pub(crate) relations: Vec<(usize, &'static str, usize)>,
    /// Mailboxes with the names that the record gives them. They become people only where they are nobody yet.
    pub(crate) people: Vec<Somebody>,
    /// The first thing belongs to this thread.
    pub(crate) thread: Option<Thread>,
    /// The first thing may happen at a place that is called so.
    pub(crate) place: Option<String>,
    /// When this revision of it was made, where the record says so.
    pub(crate) stamp: Option<Stamp>,
    /// Of a group: the ids of its members' cards.
    pub(crate) members: Vec<String>,
    /// What is hashed of a mail: by it, and not by its id alone, it is told from another one.
    pub(crate) letter: Option<String>,
    /// An edge of an export.
    pub(crate) edge: Option<Edge>,
    /// By what others are known who are not the first thing.
    pub(crate) told_apart: Vec<Identifier>,
    /// Contents that come with the first thing: attachments of a mail, the picture of a card.
    pub(crate) enclosures: Vec<Enclosure>,
}

/// A content that comes with a record.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Enclosure {
    /// What it is to the first thing.
    pub(crate) predicate: &'static str,
    pub(crate) filename: Option<String>,
    /// What its sender says that it is.
    pub(crate) declared_type: Option<String>,
    pub(crate) bytes: Vec<u8>,
}

impl std::fmt::Debug for Enclosure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enclosure")
            .field("predicate", &self.predicate)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// A mailbox with the name that a mail gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Somebody {
    pub(crate) email: String,
    pub(crate) name: Option<String>,
}

/// A thread of mails, by message ids: the root first, then the parent, then the mail itself, without doubles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Thread {
    pub(crate) ids: Vec<String>,
    pub(crate) subject: Option<String>,
}

/// A relation as an export names it: by the entities' ids in the account that was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) from: End,
    pub(crate) predicate: String,
    pub(crate) to: End,
}

/// One end of an exported relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) id: uuid::Uuid,
    pub(crate) kind: String,
}

/// Of which records [`map`] knows how to read, in lower case.
pub(crate) const MEDIA_TYPES: [&str; 10] = [
    "text/vcard",
    "text/x-vcard",
    "text/directory",
    "text/calendar",
    "message/rfc822",
    "message/global",
    "text/csv",
    "application/ld+json",
    "application/gpx+xml",
    "application/geo+json",
];

/// The meaning of a record, or why it has none.
pub(crate) fn map(record: &RawRecord, hints: &Hints) -> Result<Meaning, String> {
    match plain(&record.media_type).as_str() {
        "text/vcard" | "text/x-vcard" | "text/directory" => vcard::map(&record.body, hints),
        "text/calendar" => ical::map(&record.body, hints),
        "message/rfc822" | "message/global" => mail::map(&record.body, hints),
        "text/csv" => csv::map(&record.body, hints),
        "application/ld+json" => jsonld::map(&record.body),
        "application/gpx+xml" => tracks::map(&record.body),
        "application/geo+json" => features::map(&record.body),
        _ => Err("there is no mapping for this media type".to_owned()),
    }
}

/// True if [`map`] knows what to do with the media type.
pub(crate) fn is_mapped(media_type: &str) -> bool {
    MEDIA_TYPES.contains(&plain(media_type).as_str())
}

/// A media type without its parameters, in lower case.
fn plain(media_type: &str) -> String {
    let media_type = media_type.split(';').next().unwrap_or_default();
    media_type.trim().to_ascii_lowercase()
}

/// The entity that a record is about, found again by its identifiers.
fn identified(kind: &str, title: Option<String>, identifiers: Vec<Identifier>) -> EntityChange {
    EntityChange {
        target: Target::Record,
        kind: kind.to_owned(),
        title,
        props: Map::new(),
        identifiers,
        starts_at: None,
    }
}

/// Sets a property if there is something to say.
fn set(props: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        props.insert(name.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests;
