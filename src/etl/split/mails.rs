//! Mails of an mbox (`From ` after an empty line begins one; `>From ` is quoted), or a single mail.

use std::io::{self, BufRead};

use super::Piece;
use super::lines::{Line, Lines};

#[derive(Debug)]
pub(super) struct Mails<R> {
    lines: Lines<R>,
    line: Line,
    /// The line at hand begins a mail.
    is_begun: bool,
    /// There is no `From ` line: the file is one mail.
    is_single: bool,
}

impl<R: BufRead> Mails<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            lines: Lines::new(reader),
            line: Line::default(),
            is_begun: false,
            is_single: false,
        }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        let mut mail = Piece::default();
        while !self.is_begun {
            if self.is_single || !self.lines.read(&mut self.line)? {
                return Ok(None);
            }
            if self.line.trimmed().is_empty() {
                continue;
            }
            self.is_begun = true;
            self.is_single = !self.begins();
        }
        self.is_begun = false;
        if self.is_single {
            mail.push(self.line.trimmed());
            mail.push(b"\r\n");
        }
        let mut was_empty = false;
        loop {
            mail.end = self.lines.position;
            if !self.lines.read(&mut self.line)? {
                break;
            }
            if was_empty && !self.is_single && self.begins() {
                self.is_begun = true;
                break;
            }
            was_empty = self.line.is_start && self.line.trimmed().is_empty();
            mail.push(self.unquoted());
        }
        let body = mail.body.trim_ascii_end().len();
        mail.body.truncate(body);
        mail.push(b"\n");
        Ok(Some(mail))
    }

    fn begins(&self) -> bool {
        self.line.is_start && self.line.trimmed().starts_with(b"From ")
    }

    fn unquoted(&self) -> &[u8] {
        let bytes = &self.line.bytes;
        let quotes = bytes.iter().take_while(|byte| **byte == b'>').count();
        let is_quoted =
            !self.is_single && self.line.is_start && quotes > 0 && bytes[quotes..].starts_with(b"From ");
        if is_quoted { &bytes[1..] } else { bytes }
    }
}
