//! Components of a calendar: each in a calendar of its own, with the zones that came before it. What has no place in the
//! graph (VJOURNAL, VFREEBUSY) is given, too: it is parked, and not passed over without a word.

use std::io::{self, BufRead};

use super::lines::{Line, Lines};
use super::{Piece, revision};

const KINDS: [(&str, &str); 4] = [
    ("BEGIN:VEVENT", "END:VEVENT"),
    ("BEGIN:VTODO", "END:VTODO"),
    ("BEGIN:VJOURNAL", "END:VJOURNAL"),
    ("BEGIN:VFREEBUSY", "END:VFREEBUSY"),
];
/// Zones of all components; beyond that they are known by their names alone.
const ZONES_BYTES_MAX: usize = 64 * 1024;
const ID_BYTES_MAX: usize = 1_024;

#[derive(Debug)]
pub(super) struct Calendar<R> {
    lines: Lines<R>,
    line: Line,
    zones: Vec<u8>,
    in_zone: bool,
}

impl<R: BufRead> Calendar<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            lines: Lines::new(reader),
            line: Line::default(),
            zones: Vec::new(),
            in_zone: false,
        }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        loop {
            if !self.lines.read(&mut self.line)? {
                return Ok(None);
            }
            if let Some((begin, end)) = KINDS.iter().find(|(begin, _)| self.line.is(begin)) {
                return self.component(begin, end).map(Some);
            }
            self.in_zone |= self.line.is("BEGIN:VTIMEZONE");
            if self.in_zone && self.zones.len() + self.line.bytes.len() <= ZONES_BYTES_MAX {
                self.zones.extend_from_slice(&self.line.bytes);
            }
            self.in_zone &= !self.line.is("END:VTIMEZONE");
        }
    }

    fn component(&mut self, begin: &str, end: &str) -> io::Result<Piece> {
        let mut piece = Piece::default();
        piece.push(b"BEGIN:VCALENDAR\r\n");
        piece.push(&self.zones);
        let head = piece.body.len();
        piece.push(begin.as_bytes());
        piece.push(b"\r\n");
        let (mut uid, mut occurrence) = (Vec::new(), Vec::new());
        while self.lines.read(&mut self.line)? {
            piece.push(&self.line.bytes);
            let named = |name: &str| {
                let bytes = self.line.trimmed();
                let is_named = self.line.is_start
                    && bytes
                        .get(..name.len())
                        .is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()));
                is_named.then(|| bytes[..bytes.len().min(ID_BYTES_MAX)].to_vec())
            };
            if uid.is_empty() {
                uid = named("UID:").unwrap_or_default();
            }
            if occurrence.is_empty() {
                occurrence = named("RECURRENCE-ID").unwrap_or_default();
            }
            if self.line.is(end) {
                break;
            }
        }
        piece.end = self.lines.position;
        piece.revision = revision(&piece.body[head.min(piece.body.len())..]);
        if !uid.is_empty() {
            uid.extend_from_slice(&occurrence);
            piece.remote_id = String::from_utf8_lossy(&uid).into_owned();
        }
        piece.push(b"END:VCALENDAR\r\n");
        Ok(piece)
    }
}
