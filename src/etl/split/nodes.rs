//! Nodes of JSON-LD: one a line in our own export; any other JSON-LD is read as a whole, and so are the features of
//! GeoJSON (RFC 7946).

use std::io::{self, BufRead};

use serde_json::Value;

use super::Piece;
use super::lines::{Line, Lines};

/// How the first line of our own export ends: the nodes follow, one a line.
pub(crate) const OPENING: &[u8] = b"\"@graph\":[";

#[derive(Debug)]
pub(super) enum Nodes<R> {
    Lines {
        lines: Lines<R>,
        line: Line,
    },
    Whole {
        nodes: std::vec::IntoIter<Value>,
        given: u64,
        all: u64,
        bytes: u64,
    },
}

impl<R: BufRead> Nodes<R> {
    pub(super) fn new(reader: R, bytes: u64, whole_bytes_max: u64) -> io::Result<Self> {
        let mut lines = Lines::new(reader);
        let mut line = Line::default();
        lines.read(&mut line)?;
        if line.trimmed().ends_with(OPENING) {
            return Ok(Self::Lines { lines, line });
        }
        if bytes > whole_bytes_max {
            return Err(refused(format!(
                "JSON-LD that isn't an allod export has at most {whole_bytes_max} bytes: split it"
            )));
        }
        let mut text = line.trimmed().to_vec();
        text.push(b'\n');
        lines.rest(&mut text)?;
        let nodes = match serde_json::from_slice(&text) {
            Ok(Value::Array(nodes)) => nodes,
            Ok(Value::Object(mut node)) => match node.remove("@graph") {
                Some(Value::Array(nodes)) => nodes,
                _ if node.contains_key("features") => {
                    return Err(refused(
                        "the file is GeoJSON: say so (`--type geojson`)".to_owned(),
                    ));
                }
                _ => vec![Value::Object(node)],
            },
            _ => return Err(refused("the file is no JSON-LD".to_owned())),
        };
        // The mark that ends our own export, which somebody has laid out anew.
        let nodes: Vec<Value> = nodes
            .into_iter()
            .filter(|node| node["@id"] != crate::export::END_MARK)
            .collect();
        Ok(Self::whole(nodes, bytes))
    }

    /// The features of a collection, or the one that the file is.
    pub(super) fn features(mut reader: R, bytes: u64, bytes_max: u64) -> io::Result<Self> {
        if bytes > bytes_max {
            return Err(refused(format!(
                "GeoJSON has at most {bytes_max} bytes: split it"
            )));
        }
        let mut text = Vec::new();
        reader.read_to_end(&mut text)?;
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
        match serde_json::from_slice(text) {
            Ok(Value::Object(mut file)) => match file.remove("features") {
                Some(Value::Array(features)) => Ok(Self::whole(features, bytes)),
                _ if file.get("type").is_some_and(|kind| kind == "Feature") => {
                    Ok(Self::whole(vec![Value::Object(file)], bytes))
                }
                _ => Err(refused("the file has no features".to_owned())),
            },
            _ => Err(refused("the file is no GeoJSON".to_owned())),
        }
    }

    fn whole(nodes: Vec<Value>, bytes: u64) -> Self {
        Self::Whole {
            given: 0,
            all: nodes.len() as u64,
            nodes: nodes.into_iter(),
            bytes,
        }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        match self {
            Self::Lines { lines, line } => next_line(lines, line),
            Self::Whole {
                nodes,
                given,
                all,
                bytes,
            } => {
                let Some(node) = nodes.next() else {
                    return Ok(None);
                };
                *given += 1;
                // A place in the file that grows with each node, and ends with the file.
                let end = (u128::from(*bytes) * u128::from(*given) / u128::from((*all).max(1))) as u64;
                let mut piece = Piece {
                    end: end.max(*given),
                    ..Piece::default()
                };
                piece.push(node.to_string().as_bytes());
                Ok(Some(piece))
            }
        }
    }
}

fn next_line<R: BufRead>(lines: &mut Lines<R>, line: &mut Line) -> io::Result<Option<Piece>> {
    let mut piece = Piece::default();
    loop {
        if !lines.read(line)? {
            return Ok((!piece.body.is_empty()).then_some(piece));
        }
        let is_node = !piece.body.is_empty() || line.is_start && line.bytes.starts_with(b"{");
        if !is_node {
            continue;
        }
        piece.push(&line.bytes);
        piece.end = lines.position;
        if line.bytes.last() == Some(&b'\n') {
            let end = piece.body.trim_ascii_end();
            let end = end.strip_suffix(b",").unwrap_or(end).len();
            piece.body.truncate(end);
            return Ok(Some(piece));
        }
    }
}

impl<R: BufRead> Lines<R> {
    /// All that is left.
    fn rest(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        self.reader_mut().read_to_end(text).map(drop)
    }
}

fn refused(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
