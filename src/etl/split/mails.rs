//! Mails of an mbox, or a single mail.
//!
//! Not every program quotes a `From ` of a mail's text as `>From `. Invariant: a line begins a mail if it is the file's
//! first, or stands after an empty line, says from whom or when as separators do, and is followed by a header.

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
            self.is_single = !self.is_from();
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
            if was_empty && !self.is_single && self.separates()? {
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

    fn is_from(&self) -> bool {
        self.line.is_start && self.line.trimmed().starts_with(b"From ")
    }

    fn separates(&mut self) -> io::Result<bool> {
        Ok(self.is_from() && is_envelope(self.line.trimmed()) && is_header(self.lines.peek()?))
    }

    fn unquoted(&self) -> &[u8] {
        let bytes = &self.line.bytes;
        let quotes = bytes.iter().take_while(|byte| **byte == b'>').count();
        let is_quoted =
            !self.is_single && self.line.is_start && quotes > 0 && bytes[quotes..].starts_with(b"From ");
        if is_quoted { &bytes[1..] } else { bytes }
    }
}

/// Whether a separator could stand so: `From sam@example.org`, or `From`, whoever, and a time as asctime(3) writes it.
fn is_envelope(line: &[u8]) -> bool {
    let words: Vec<&[u8]> = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .skip(1)
        .collect();
    let is_digits = |word: &[u8]| word.iter().all(u8::is_ascii_digit);
    let is_year = |word: &&[u8]| word.len() == 4 && is_digits(word);
    let is_time = |word: &&[u8]| {
        let parts: Vec<&[u8]> = word.split(|byte| *byte == b':').collect();
        matches!(parts.len(), 2 | 3)
            && parts
                .iter()
                .all(|part| (1..=2).contains(&part.len()) && is_digits(part))
    };
    match words.as_slice() {
        [one] => one.contains(&b'@'),
        words => words.iter().any(is_year) && words.iter().any(is_time),
    }
}

/// Whether a line names a field (RFC 5322, 2.2), or is the quoted separator that old programs left above them.
fn is_header(line: &[u8]) -> bool {
    if line.starts_with(b">From ") {
        return true;
    }
    let end = line.iter().position(|byte| *byte == b':');
    let name = line[..end.unwrap_or_default()].trim_ascii_end();
    !name.is_empty() && name.iter().all(|byte| (33..=126).contains(byte))
}
