//! Rows of a table, each with the table's header, in UTF-8. Commas, semicolons and tabs are told apart by the header.
//!
//! Invariant: a row's place counts bytes of the file as it was uploaded, whatever its encoding.

use std::fs::File;
use std::io::{self, Cursor, Read};

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::{Piece, revision};
use crate::map::{csv_refusal, csv_row, csv_row_id};

/// The header is kept with each row.
const HEADER_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Rows {
    reader: csv::Reader<Cursor<Vec<u8>>>,
    header: csv::ByteRecord,
    encoding: &'static Encoding,
    /// The same place in the text and in the file.
    at: (usize, u64),
    bytes: u64,
}

impl Rows {
    /// Reads a table as a whole.
    pub(super) fn new(mut file: File, bytes: u64, bytes_max: u64) -> io::Result<Self> {
        if bytes > bytes_max {
            return Err(refused(format!(
                "a table has at most {bytes_max} bytes: split it"
            )));
        }
        let mut table = Vec::new();
        file.read_to_end(&mut table)?;
        let (encoding, mark) = encoding(&table);
        // Spreadsheets in UTF-16 and Windows-1252 are what Excel and Outlook write unasked.
        let text = match encoding {
            utf_8 if utf_8 == UTF_8 => table.split_off(mark),
            other => other
                .decode_without_bom_handling(&table[mark..])
                .0
                .into_owned()
                .into_bytes(),
        };
        let first = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
        let delimiter = delimiter(&text[..first]);
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(true)
            .flexible(true)
            .from_reader(Cursor::new(text));
        let header = reader.byte_headers().map_err(io::Error::other)?.clone();
        if header.as_slice().len() > HEADER_BYTES_MAX {
            return Err(refused(format!(
                "the first line of a table names its columns, in at most {HEADER_BYTES_MAX} bytes"
            )));
        }
        if let Some(reason) = csv_refusal(&header) {
            return Err(refused(reason));
        }
        Ok(Self {
            reader,
            header,
            encoding,
            at: (0, mark as u64),
            bytes,
        })
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        let mut row = csv::ByteRecord::new();
        if !self.reader.read_byte_record(&mut row).map_err(io::Error::other)? {
            return Ok(None);
        }
        let mut piece = Piece {
            end: self.place(),
            ..Piece::default()
        };
        piece.push(&csv_row(&self.header, &row));
        if let Some(id) = csv_row_id(&self.header, &row) {
            piece.remote_id = id;
            piece.revision = revision(&piece.body);
        }
        Ok(Some(piece))
    }

    /// Where the file goes on.
    fn place(&mut self) -> u64 {
        let text = self.reader.get_ref().get_ref();
        let to = usize::try_from(self.reader.position().byte()).unwrap_or(usize::MAX);
        let read = text.get(self.at.0..to.min(text.len())).unwrap_or_default();
        // Neither do characters end in the middle of a row, nor is anything but UTF-8 in the text.
        let bytes = match self.encoding {
            utf_8 if utf_8 == UTF_8 => read.len(),
            western if western == WINDOWS_1252 => String::from_utf8_lossy(read).chars().count(),
            _ => 2 * String::from_utf8_lossy(read).encode_utf16().count(),
        };
        self.at = (to, (self.at.1 + bytes as u64).min(self.bytes));
        self.at.1
    }
}

/// How a table is encoded, and how long the mark is that says so.
fn encoding(table: &[u8]) -> (&'static Encoding, usize) {
    match Encoding::for_bom(table) {
        Some((encoding, mark)) if [UTF_8, UTF_16LE, UTF_16BE].contains(&encoding) => {
            let is_utf_8 = encoding == UTF_8 && std::str::from_utf8(&table[mark..]).is_err();
            (if is_utf_8 { WINDOWS_1252 } else { encoding }, mark)
        }
        _ if std::str::from_utf8(table).is_ok() => (UTF_8, 0),
        _ => (WINDOWS_1252, 0),
    }
}

fn refused(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn delimiter(header: &[u8]) -> u8 {
    let count = |delimiter: &u8| header.iter().filter(|byte| *byte == delimiter).count();
    // Of equals the last one counts.
    b"\t;,"
        .iter()
        .copied()
        .max_by_key(|delimiter| count(delimiter))
        .unwrap_or(b',')
}
