//! Everything of an account as a stream in one format, page by page in the order in which it came into the graph.
//!
//! Invariant: memory is bounded by a page of entities and one mail; a stream that the database cuts off breaks instead of ending as if it were
//! whole. What is exported, `map` understands. Begin with [`stream`].

pub(crate) mod archive;
mod calendar;
mod cards;
mod mails;
mod nodes;
mod postal;
mod table;
mod times;
mod zones;

pub(crate) use nodes::END_MARK;

use std::collections::{BTreeMap, VecDeque};

use axum::body::Bytes;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use futures::stream::{self, Stream};
use serde_json::Value;
use spine::ports::{ExportedEntity, GraphError, Identifier};
use spine::{Cause, Context, Scope, ScopedTx};
use uuid::Uuid;

use crate::format::Format;
use crate::map::EXPORTED_ID;

const PAGE: i64 = 200;
/// A part of the file is given once it has so many bytes: mails are held with their attachments.
const PART_BYTES_MIN: usize = 1024 * 1024;

/// How a file of the format ends.
pub(crate) fn file_ending(format: Format) -> &'static str {
    match format {
        Format::Vcard => "vcf",
        Format::Ical => "ics",
        Format::Mbox => "mbox",
        Format::Csv => "csv",
        Format::JsonLd => "jsonld",
        Format::Archive => "tar",
        Format::Gpx | Format::GeoJson => format.as_str(),
    }
}

/// Types of the graph that a format has; `None`: all.
fn kinds(format: Format) -> Option<Vec<String>> {
    let kinds: &[&str] = match format {
        Format::Vcard => &["Person", "Organization", "Group"],
        Format::Csv => &["Person", "Organization"],
        Format::Ical => &["Event", "Task"],
        Format::Mbox => &["Message"],
        Format::JsonLd | Format::Archive => return None,
        Format::Gpx | Format::GeoJson => &[], // only read
    };
    Some(kinds.iter().map(|kind| (*kind).to_owned()).collect())
}

/// An entity with its identifiers.
struct Exported {
    entity: ExportedEntity,
    identifiers: Vec<Identifier>,
    /// Who it is not, by the owner's word.
    told_apart: Vec<Uuid>,
}

impl Exported {
    fn text(&self, name: &str) -> Option<&str> {
        self.entity.props.get(name).and_then(Value::as_str)
    }

    fn texts(&self, name: &str) -> Vec<&str> {
        match self.entity.props.get(name) {
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(one)) => vec![one],
            _ => Vec::new(),
        }
    }

    fn items(&self, name: &str) -> Vec<&Value> {
        let items = self.entity.props.get(name).and_then(Value::as_array);
        items.map(|items| items.iter().collect()).unwrap_or_default()
    }

    fn known_by<'a>(&'a self, scheme: &'a str) -> impl Iterator<Item = &'a str> {
        self.identifiers
            .iter()
            .filter(move |one| one.scheme == scheme)
            .map(|one| one.value.as_str())
    }

    /// When it last changed, in the basic form.
    fn revised(&self) -> String {
        self.entity.updated_at.format("%Y%m%dT%H%M%SZ").to_string()
    }

    /// True for an organization that is known as somebody's employer alone: the cards of its people bring it along.
    fn is_a_name_alone(&self) -> bool {
        self.known_by("org.name").next().is_some()
            && self
                .identifiers
                .iter()
                .all(|one| one.scheme == "org.name" || one.scheme == EXPORTED_ID)
    }

    /// The id that the entity's source gave it, or one of ours.
    fn uid(&self, scheme: &str) -> String {
        let own = self.known_by(scheme).next();
        own.map_or_else(|| format!("urn:uuid:{}", self.entity.id), ToOwned::to_owned)
    }
}

enum Part {
    Head,
    Entities,
    Relations,
    Tail,
    Done,
}

struct Export {
    context: Context,
    scope: Scope,
    format: Format,
    part: Part,
    after: (DateTime<Utc>, Uuid),
    /// Read, and not yet in the file.
    page: VecDeque<Exported>,
    calendar: calendar::Calendar,
    /// By whose clock the owner's times are read.
    zone: Option<Tz>,
}

/// The file, as a stream of its parts.
pub(crate) fn stream(
    context: Context,
    scope: Scope,
    format: Format,
) -> impl Stream<Item = Result<Bytes, GraphError>> + Send + 'static {
    let after = (DateTime::UNIX_EPOCH, Uuid::nil());
    let export = Export {
        context,
        scope,
        format,
        part: Part::Head,
        after,
        page: VecDeque::new(),
        calendar: calendar::Calendar::default(),
        zone: None,
    };
    stream::try_unfold(export, |mut export| async move {
        loop {
            if matches!(export.part, Part::Done) {
                return Ok(None);
            }
            let bytes = export
                .next()
                .await
                .inspect_err(|error| tracing::warn!(%error, "an export was cut off"))?;
            if !bytes.is_empty() {
                return Ok(Some((Bytes::from(bytes), export)));
            }
        }
    })
}

impl Export {
    async fn next(&mut self) -> Result<Vec<u8>, GraphError> {
        let mut out = Vec::new();
        match self.part {
            Part::Head => {
                self.head(&mut out);
                self.part = Part::Entities;
            }
            Part::Entities => {
                let mut tx = self.context.access.begin(&self.scope, Cause::outside()).await?;
                if !self.entities(&mut tx, &mut out).await? {
                    self.after = (DateTime::UNIX_EPOCH, Uuid::nil());
                    self.part = if self.format == Format::JsonLd {
                        Part::Relations
                    } else {
                        Part::Tail
                    };
                }
            }
            Part::Relations => {
                let mut tx = self.context.access.begin(&self.scope, Cause::outside()).await?;
                let page = self
                    .context
                    .ports
                    .graph_export()
                    .relation_page(&mut tx, self.after, PAGE)
                    .await?;
                for relation in &page {
                    nodes::relation(relation, &mut out);
                    self.after = (relation.recorded_at, relation.id);
                }
                if page.is_empty() {
                    self.part = Part::Tail;
                }
            }
            Part::Tail => {
                self.tail(&mut out);
                self.part = Part::Done;
            }
            Part::Done => {}
        }
        Ok(out)
    }

    fn head(&self, out: &mut Vec<u8>) {
        match self.format {
            Format::JsonLd | Format::Archive => nodes::head(out),
            Format::Ical => calendar::head(out),
            Format::Csv => table::head(out),
            Format::Vcard | Format::Mbox | Format::Gpx | Format::GeoJson => {}
        }
    }

    fn tail(&self, out: &mut Vec<u8>) {
        match self.format {
            Format::JsonLd | Format::Archive => nodes::tail(out),
            Format::Ical => calendar::tail(out),
            Format::Vcard | Format::Csv | Format::Mbox | Format::Gpx | Format::GeoJson => {}
        }
    }

    /// What comes next of the entities. False: there are no more.
    async fn entities(&mut self, tx: &mut ScopedTx, out: &mut Vec<u8>) -> Result<bool, GraphError> {
        if self.page.is_empty() && !self.turn(tx).await? {
            return Ok(false);
        }
        let zone = match self.zone {
            Some(zone) => zone,
            None => self.context.ports.account_directory().zone(tx).await?,
        };
        self.zone = Some(zone);
        while out.len() < PART_BYTES_MIN {
            let Some(exported) = self.page.pop_front() else {
                break;
            };
            match self.format {
                Format::JsonLd | Format::Archive => nodes::entity(&exported, out),
                Format::Vcard | Format::Csv if exported.is_a_name_alone() => {}
                Format::Vcard => cards::card(&exported, out),
                Format::Csv => table::row(&exported, out),
                Format::Ical => self.calendar.component(&exported, zone, out),
                Format::Mbox => mails::mail(&self.context, tx, &exported, out).await?,
                Format::Gpx | Format::GeoJson => {}
            }
        }
        Ok(true)
    }

    /// Reads a page. False: there was none.
    async fn turn(&mut self, tx: &mut ScopedTx) -> Result<bool, GraphError> {
        let export = self.context.ports.graph_export();
        let page = export
            .entity_page(tx, kinds(self.format).as_deref(), self.after, PAGE)
            .await?;
        let Some(last) = page.last() else {
            return Ok(false);
        };
        self.after = (last.created_at, last.id);
        let ids: Vec<Uuid> = page.iter().map(|entity| entity.id).collect();
        let mut borne: BTreeMap<Uuid, Vec<Identifier>> = BTreeMap::new();
        for one in export.exported_identifiers(tx, &ids).await? {
            borne
                .entry(one.entity)
                .or_default()
                .push(Identifier::new(one.scheme, one.value));
        }
        let mut apart: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
        if self.format == Format::JsonLd {
            for (one, other) in export.told_apart(tx, &ids).await? {
                apart.entry(one).or_default().push(other);
            }
        }
        self.page = page
            .into_iter()
            .map(|entity| Exported {
                identifiers: borne.remove(&entity.id).unwrap_or_default(),
                told_apart: apart.remove(&entity.id).unwrap_or_default(),
                entity,
            })
            .collect();
        Ok(true)
    }
}

/// A content line of vCard or iCalendar, folded at 75 bytes.
fn line(out: &mut Vec<u8>, name: &str, value: &str) {
    let mut width = 0;
    for c in name
        .chars()
        .chain(":".chars())
        .chain(value.chars())
        .filter(|c| !matches!(c, '\r' | '\n'))
    {
        if width + c.len_utf8() > 75 {
            out.extend_from_slice(b"\r\n ");
            width = 1;
        }
        width += c.len_utf8();
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// A text as the value of a content line.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' | ',' | ';' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() && c != '\t' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
