//! Lines of a file with their places. A line longer than memory likes comes in several parts.

use std::io::{self, BufRead};

const PART_BYTES_MAX: u64 = 64 * 1024;

/// Reads lines.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    /// Bytes read so far.
    pub(super) position: u64,
    /// The next part begins a line.
    is_start: bool,
    /// What was looked at, and isn't read yet.
    ahead: Option<Vec<u8>>,
}

/// A line, or a part of one.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) bytes: Vec<u8>,
    pub(super) begin: u64,
    /// False for the second and later parts of a long line.
    pub(super) is_start: bool,
}

impl Line {
    /// The line without its end and the spaces before that.
    pub(super) fn trimmed(&self) -> &[u8] {
        let bytes = self.bytes.trim_ascii_end();
        if self.begin == 0 {
            bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
        } else {
            bytes
        }
    }

    /// True if the line is this, in any case.
    pub(super) fn is(&self, text: &str) -> bool {
        self.is_start && self.trimmed().eq_ignore_ascii_case(text.as_bytes())
    }
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            position: 0,
            is_start: true,
            ahead: None,
        }
    }

    pub(super) fn reader_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// The next one into `line`; false: there is none.
    pub(super) fn read(&mut self, line: &mut Line) -> io::Result<bool> {
        line.bytes.clear();
        (line.begin, line.is_start) = (self.position, self.is_start);
        match self.ahead.take() {
            Some(ahead) => line.bytes = ahead,
            None => self.part(&mut line.bytes)?,
        }
        self.position += line.bytes.len() as u64;
        self.is_start = line.bytes.last() == Some(&b'\n');
        Ok(!line.bytes.is_empty())
    }

    /// The next one, without reading it; empty at the end.
    pub(super) fn peek(&mut self) -> io::Result<&[u8]> {
        if self.ahead.is_none() {
            let mut bytes = Vec::new();
            self.part(&mut bytes)?;
            self.ahead = Some(bytes);
        }
        Ok(self.ahead.as_deref().unwrap_or_default())
    }

    fn part(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        io::Read::take(&mut self.reader, PART_BYTES_MAX)
            .read_until(b'\n', bytes)
            .map(drop)
    }
}
