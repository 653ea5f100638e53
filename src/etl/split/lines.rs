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
        }
    }

    pub(super) fn reader_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// The next one into `line`; false: there is none.
    pub(super) fn read(&mut self, line: &mut Line) -> io::Result<bool> {
        line.bytes.clear();
        (line.begin, line.is_start) = (self.position, self.is_start);
        let read = io::Read::take(&mut self.reader, PART_BYTES_MAX).read_until(b'\n', &mut line.bytes)?;
        self.position += read as u64;
        self.is_start = line.bytes.last() == Some(&b'\n');
        Ok(read > 0)
    }
}
