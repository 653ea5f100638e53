//! A file as its records, one after the other: cards, components, mails, rows, nodes.
//!
//! Invariant: memory is bounded by one record, whatever the file; each record ends at a place of the file after which it
//! is never given again, so that an import goes on after a stop. Begin with [`Splitter`].

mod archived;
mod calendar;
mod cards;
mod lines;
mod mails;
pub(crate) mod nodes;
mod rows;
mod tracks;

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use spine::ports::{FILES, RawRecord};

use crate::format::Format;

/// The bytes of a record; what is longer is parked by its beginning.
const RECORD_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What is kept of a record that is too long.
const BEGINNING_BYTES: usize = 64 * 1024;
/// Tables are read as a whole.
const TABLE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Foreign JSON is read as a whole; in memory a small value takes thirty times its bytes.
const JSON_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A record of a file.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) record: RawRecord,
    /// Why it can't be taken as it is.
    pub(crate) refused: Option<&'static str>,
    /// Where the file goes on after it.
    pub(crate) end: u64,
}

/// A piece of a file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Piece {
    remote_id: String,
    revision: String,
    body: Vec<u8>,
    is_cut: bool,
    end: u64,
}

impl Piece {
    /// Adds to the body as much as may be.
    fn push(&mut self, bytes: &[u8]) {
        if self.body.len() + bytes.len() <= RECORD_BYTES_MAX {
            self.body.extend_from_slice(bytes);
        } else {
            self.is_cut = true;
        }
    }
}

enum Pieces {
    Cards(cards::Cards<BufReader<File>>),
    Calendar(calendar::Calendar<BufReader<File>>),
    Mails(mails::Mails<BufReader<File>>),
    Rows(rows::Rows),
    Nodes(nodes::Nodes<BufReader<File>>),
    Archived(archived::Archived),
    Tracks(tracks::Tracks<BufReader<File>>),
}

/// Gives the records of a file.
pub(crate) struct Splitter {
    format: Format,
    pieces: Pieces,
}

impl std::fmt::Debug for Splitter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Splitter")
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl Splitter {
    /// Opens a file. It is read from its beginning, since what stands there (a table's header, a calendar's zones) matters
    /// to every record; what was given before is passed over.
    pub(crate) fn open(path: &Path, format: Format) -> io::Result<Self> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let buffered = |file| BufReader::with_capacity(256 * 1024, file);
        let pieces = match format {
            Format::Vcard => Pieces::Cards(cards::Cards::new(buffered(file))),
            Format::Ical => Pieces::Calendar(calendar::Calendar::new(buffered(file))),
            Format::Mbox => Pieces::Mails(mails::Mails::new(buffered(file))),
            Format::Csv => Pieces::Rows(rows::Rows::new(file, bytes, TABLE_BYTES_MAX)?),
            Format::Archive => Pieces::Archived(archived::Archived::new(path)?),
            Format::JsonLd => Pieces::Nodes(nodes::Nodes::new(buffered(file), bytes, JSON_BYTES_MAX)?),
            Format::GeoJson => Pieces::Nodes(nodes::Nodes::features(buffered(file), bytes, JSON_BYTES_MAX)?),
            Format::Gpx => Pieces::Tracks(tracks::Tracks::new(buffered(file))),
        };
        Ok(Self { format, pieces })
    }

    fn next(&mut self) -> io::Result<Option<Piece>> {
        match &mut self.pieces {
            Pieces::Cards(pieces) => pieces.next(),
            Pieces::Calendar(pieces) => pieces.next(),
            Pieces::Mails(pieces) => pieces.next(),
            Pieces::Rows(pieces) => pieces.next(),
            Pieces::Nodes(pieces) => pieces.next(),
            Pieces::Archived(pieces) => pieces.next(),
            Pieces::Tracks(pieces) => pieces.next(),
        }
    }

    /// The next records that end after a place: so many, or fewer once they have so many bytes. None: the file is at its
    /// end.
    pub(crate) fn batch(&mut self, after: u64, count: usize, bytes_max: usize) -> io::Result<Vec<Item>> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        while items.len() < count && bytes < bytes_max {
            let Some(piece) = self.next()? else {
                break;
            };
            if piece.end > after {
                bytes += piece.body.len();
                items.push(self.item(piece));
            }
        }
        Ok(items)
    }

    fn item(&self, mut piece: Piece) -> Item {
        if piece.is_cut {
            piece.body.truncate(BEGINNING_BYTES);
        }
        Item {
            refused: piece
                .is_cut
                .then_some("the record is too long: a record has at most 32 MiB"),
            end: piece.end,
            record: RawRecord {
                connection: None,
                stream: FILES.to_owned(),
                remote_id: piece.remote_id,
                revision: piece.revision,
                media_type: self.format.record_media_type().to_owned(),
                body: piece.body,
            },
        }
    }
}

/// Distinguishes revisions of what bears an id of its own.
fn revision(body: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(&Sha256::digest(body)[..16])
}

#[cfg(test)]
mod tests;
