//! Waypoints, routes and tracks of a GPX file (GPX 1.0 and 1.1, topografix.com/gpx.asp), each as a document of its own.
//!
//! Invariant: what a document type declares is passed over, so that no entity of a file's own is ever expanded.

use std::io::{self, BufRead, Read};

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, Writer};

use super::{Piece, RECORD_BYTES_MAX};

pub(super) struct Tracks<R> {
    reader: Reader<Bounded<R>>,
    /// The opening tag of the file, under which each record stands.
    root: Option<BytesStart<'static>>,
    buffer: Vec<u8>,
    is_over: bool,
}

impl<R: BufRead> Tracks<R> {
    pub(super) fn new(reader: R) -> Self {
        let mut reader = Reader::from_reader(Bounded { reader, left: 0 });
        reader.config_mut().expand_empty_elements = true;
        Self {
            reader,
            root: None,
            buffer: Vec::new(),
            is_over: false,
        }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        while !self.is_over {
            match self.read()? {
                Event::Start(tag) => match &self.root {
                    None if tag.local_name().as_ref() == b"gpx" => self.root = Some(tag),
                    None => return Err(refused("the file is no GPX: it doesn't begin with <gpx>")),
                    Some(root) => {
                        let piece = match tag.local_name().as_ref() {
                            b"wpt" | b"rte" | b"trk" => Some(Document::new(root.clone())?),
                            _ => None,
                        };
                        if let Some(piece) = self.element(tag, piece)? {
                            return Ok(Some(piece));
                        }
                    }
                },
                Event::End(_) => self.is_over = true,
                Event::Eof if self.root.is_none() => return Ok(None),
                Event::Eof => return Err(refused("the file is cut off: </gpx> is missing")),
                _ => {}
            }
        }
        Ok(None)
    }

    /// All of an element, whose beginning was read, into a document, or into nothing.
    fn element(
        &mut self,
        tag: BytesStart<'static>,
        mut document: Option<Document>,
    ) -> io::Result<Option<Piece>> {
        let mut depth = 0_u32;
        let mut event = Event::Start(tag);
        loop {
            match &event {
                Event::Start(_) => depth = depth.saturating_add(1),
                Event::End(_) => depth = depth.saturating_sub(1),
                Event::Eof => return Err(refused("the file is cut off in the middle of a record")),
                _ => {}
            }
            if let Some(document) = &mut document {
                document.push(event)?;
            }
            if depth == 0 {
                let end = self.reader.buffer_position();
                return document.map(|document| document.end(end)).transpose();
            }
            event = self.read()?;
        }
    }

    fn read(&mut self) -> io::Result<Event<'static>> {
        self.buffer.clear();
        self.reader.get_mut().left = RECORD_BYTES_MAX;
        let event = self.reader.read_event_into(&mut self.buffer);
        event.map(Event::into_owned).map_err(|error| match error {
            quick_xml::Error::Io(error) => io::Error::new(error.kind(), error.to_string()),
            _ => refused("the file is no XML as it should be"),
        })
    }
}

/// A record in the making.
struct Document {
    writer: Writer<Vec<u8>>,
    root: BytesStart<'static>,
    piece: Piece,
}

impl Document {
    fn new(root: BytesStart<'static>) -> io::Result<Self> {
        let mut document = Self {
            writer: Writer::new(Vec::new()),
            root: root.clone(),
            piece: Piece::default(),
        };
        document.push(Event::Start(root))?;
        Ok(document)
    }

    fn push(&mut self, event: Event<'static>) -> io::Result<()> {
        self.writer.write_event(event)?;
        self.piece.push(self.writer.get_ref());
        self.writer.get_mut().clear();
        Ok(())
    }

    fn end(mut self, end: u64) -> io::Result<Piece> {
        let root = self.root.to_end().into_owned();
        self.push(Event::End(root))?;
        self.piece.end = end;
        Ok(self.piece)
    }
}

/// Reads so many bytes at the most until somebody says again how many.
#[derive(Debug)]
struct Bounded<R> {
    reader: R,
    left: usize,
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(refused(
                "a text or tag in the file is longer than a record may be",
            ));
        }
        self.reader.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
        self.reader.consume(bytes);
    }
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

fn refused(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}
