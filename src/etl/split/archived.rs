//! Nodes of an archive: those of all its parts, one after the other.

use std::fs::File;
use std::io::{self, BufReader, Take};
use std::path::{Path, PathBuf};

use super::nodes::Nodes;
use super::{JSON_BYTES_MAX, Piece};
use crate::archive::{Archive, Entry, Kind};

#[derive(Debug)]
pub(super) struct Archived {
    path: PathBuf,
    parts: std::vec::IntoIter<Entry>,
    part: Option<(u64, Nodes<BufReader<Take<File>>>)>,
}

impl Archived {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let mut entries = Archive::open(path)?.entries;
        entries.retain(|entry| entry.kind == Kind::Graph);
        Ok(Self {
            path: path.to_owned(),
            parts: entries.into_iter(),
            part: None,
        })
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        loop {
            if let Some((start, nodes)) = &mut self.part
                && let Some(mut piece) = nodes.next()?
            {
                piece.end += *start;
                return Ok(Some(piece));
            }
            let Some(entry) = self.parts.next() else {
                return Ok(None);
            };
            let bytes = BufReader::with_capacity(256 * 1024, entry.open(&self.path)?);
            self.part = Some((entry.start, Nodes::new(bytes, entry.size, JSON_BYTES_MAX)?));
        }
    }
}
