//! vCards: from `BEGIN:VCARD` to `END:VCARD`; those of groups after all others, whose cards they name.
//!
//! Invariant: a card's place is how much of the file is given with it, so that it grows from card to card although groups
//! wait.

use std::collections::VecDeque;
use std::io::{self, BufRead};

use super::lines::{Line, Lines};
use super::{Piece, revision};
use crate::map::card_id;

/// Of groups so much is held until the other cards are given; what is more comes as it stands.
const HELD_BYTES_MAX: u64 = 8 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Cards<R> {
    lines: Lines<R>,
    line: Line,
    /// The line at hand begins a card that wasn't begun yet.
    is_begun: bool,
    groups: VecDeque<(Piece, u64)>,
    /// Bytes of the file that belong to held groups.
    held: u64,
    /// Where the card before ended.
    last: u64,
}

impl<R: BufRead> Cards<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            lines: Lines::new(reader),
            line: Line::default(),
            is_begun: false,
            groups: VecDeque::new(),
            held: 0,
            last: 0,
        }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        while let Some((mut card, is_group)) = self.card()? {
            let bytes = card.end - std::mem::replace(&mut self.last, card.end);
            if !is_group || self.held + bytes > HELD_BYTES_MAX {
                card.end -= self.held;
                return Ok(Some(card));
            }
            self.held += bytes;
            self.groups.push_back((card, bytes));
        }
        let group = self.groups.pop_front();
        Ok(group.map(|(mut card, bytes)| {
            self.held -= bytes;
            card.end = self.last - self.held;
            card
        }))
    }

    /// The next card of the file, and whether it is a group's.
    fn card(&mut self) -> io::Result<Option<(Piece, bool)>> {
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
        let head = (!card.is_cut).then(|| card_id(&card.body)).flatten();
        let (remote_id, is_group) = head.unwrap_or_default();
        card.remote_id = remote_id;
        card.revision = revision(&card.body);
        Ok(Some((card, is_group)))
    }
}
