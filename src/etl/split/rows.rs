//! Rows of a table, each with the table's header. Commas, semicolons and tabs are told apart by the header.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::Piece;
use crate::map::csv_row;

const HEADER_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug)]
pub(super) struct Rows<R> {
    reader: csv::Reader<R>,
    header: csv::ByteRecord,
}

impl Rows<File> {
    pub(super) fn new(file: File, path: &Path) -> io::Result<Self> {
        let mut first = Vec::new();
        BufReader::new(File::open(path)?)
            .take(HEADER_BYTES_MAX)
            .read_until(b'\n', &mut first)?;
        Self::of(file, delimiter(&first))
    }
}

impl<R: Read> Rows<R> {
    fn of(reader: R, delimiter: u8) -> io::Result<Self> {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(true)
            .flexible(true)
            .from_reader(reader);
        let header = reader.byte_headers().map_err(io::Error::other)?.clone();
        Ok(Self { reader, header })
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        let mut row = csv::ByteRecord::new();
        if !self.reader.read_byte_record(&mut row).map_err(io::Error::other)? {
            return Ok(None);
        }
        let mut piece = Piece {
            end: self.reader.position().byte(),
            ..Piece::default()
        };
        piece.push(&csv_row(&self.header, &row));
        Ok(Some(piece))
    }
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
