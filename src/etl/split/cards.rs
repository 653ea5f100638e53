//! vCards: from `BEGIN:VCARD` to `END:VCARD`.

use std::io::{self, BufRead};

use super::lines::{Line, Lines};
use super::{Piece, revision};
use crate::map::card_id;

#[derive(Debug)]
pub(super) struct Cards<R> {
    lines: Lines<R>,
    line: Line,
    /// The line at hand begins a card that wasn't begun yet.
    is_begun: bool,
}

impl<R: BufRead> Cards<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            lines: Lines::new(reader),
            line: Line::default(),
            is_begun: false,
        }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        while !self.is_begun {
            if !self.lines.read(&mut self.line)? {
                return Ok(None);
            }
            self.is_begun = self.line.is("BEGIN:VCARD");
        }
        self.is_begun = false;
        let mut card = Piece::default();
        card.push(b"BEGIN:VCARD\r\n");
        loop {
            card.end = self.lines.position;
            if !self.lines.read(&mut self.line)? {
                break;
            }
            if self.line.is("BEGIN:VCARD") {
                // The one before has no end; it is given as it is.
                self.is_begun = true;
                break;
            }
            card.push(&self.line.bytes);
            if self.line.is("END:VCARD") {
                card.end = self.lines.position;
                break;
            }
        }
        if !card.is_cut {
            card.remote_id = card_id(&card.body).unwrap_or_default();
        }
        card.revision = revision(&card.body);
        Ok(Some(card))
    }
}
