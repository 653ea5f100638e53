//! The archive of an account: its graph in parts, then its files, as a tar that is made while it is read.
//!
//! Invariant: memory is bounded by a part of the graph; a file that can't be read to its end breaks the archive off, rather
//! than being left out of it. Begin with [`stream`].

use std::collections::VecDeque;

use axum::body::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::{self, BoxStream, Stream, StreamExt};
use spine::ports::GraphError;
use spine::{AccessError, Cause, Context, Scope};
use uuid::Uuid;

use super::{Export, Part, calendar, nodes};
use crate::archive::BLOCK;
use crate::format::Format;

/// Nodes are a part once they have so many bytes.
const PART_BYTES_MIN: usize = 4 * 1024 * 1024;

struct Writing {
    export: Export,
    /// Nodes of the next part.
    nodes: Vec<u8>,
    parts: u32,
    /// The file that is being written.
    content: Option<Rest>,
    after: Option<[u8; 32]>,
    is_done: bool,
}

/// What is left of a file.
struct Rest {
    bytes: BoxStream<'static, Result<Bytes, AccessError>>,
    /// Of the whole file, and of what is left of it.
    size: u64,
    left: u64,
}

/// The archive, as a stream of its parts.
pub(crate) fn stream(
    context: Context,
    scope: Scope,
) -> impl Stream<Item = Result<Bytes, GraphError>> + Send + 'static {
    let export = Export {
        context,
        scope,
        format: Format::JsonLd,
        part: Part::Entities,
        after: (DateTime::UNIX_EPOCH, Uuid::nil()),
        page: VecDeque::new(),
        calendar: calendar::Calendar::default(),
        zone: None,
    };
    let writing = Writing {
        export,
        nodes: Vec::new(),
        parts: 0,
        content: None,
        after: None,
        is_done: false,
    };
    stream::try_unfold(writing, |mut writing| async move {
        while !writing.is_done {
            let bytes = writing
                .next()
                .await
                .inspect_err(|error| tracing::warn!(%error, "an archive was cut off"))?;
            if !bytes.is_empty() {
                return Ok(Some((bytes, writing)));
            }
        }
        Ok(None)
    })
}

impl Writing {
    async fn next(&mut self) -> Result<Bytes, GraphError> {
        let now = self.export.context.clock.now();
        if !matches!(self.export.part, Part::Tail | Part::Done) {
            let nodes = self.export.next().await?;
            self.nodes.extend_from_slice(&nodes);
            let is_last = matches!(self.export.part, Part::Tail);
            return Ok(match is_last || self.nodes.len() >= PART_BYTES_MIN {
                true => self.part(now),
                false => Bytes::new(),
            });
        }
        if let Some(rest) = &mut self.content {
            return match rest.bytes.next().await.transpose()? {
                Some(piece) if piece.len() as u64 <= rest.left => {
                    rest.left -= piece.len() as u64;
                    Ok(piece)
                }
                None if rest.left == 0 => {
                    let filling = filling(rest.size);
                    self.content = None;
                    Ok(filling.into())
                }
                _ => Err(broken("a file is not as long as it is said to be")),
            };
        }
        let Export { context, scope, .. } = &self.export;
        let mut tx = context.access.begin(scope, Cause::outside()).await?;
        let found = context
            .ports
            .media_store()
            .next_after(&mut tx, self.after)
            .await?;
        let Some(content) = found else {
            self.is_done = true;
            // What ends a tar.
            return Ok(vec![0; 2 * 512].into());
        };
        self.after = Some(content.sha256);
        let name = format!("media/{}", hex::encode(content.sha256));
        let header = header(&name, content.size, now);
        self.content = Some(Rest {
            bytes: content.bytes,
            size: content.size,
            left: content.size,
        });
        Ok(header.into())
    }

    /// The nodes so far as a document of its own; the first one also if there are none.
    fn part(&mut self, now: DateTime<Utc>) -> Bytes {
        let mut document = Vec::with_capacity(self.nodes.len() + 1024);
        nodes::head(&mut document);
        document.append(&mut self.nodes);
        nodes::tail(&mut document);
        self.parts += 1;
        let size = document.len() as u64;
        let mut out = header(&format!("entities/{:04}.jsonld", self.parts), size, now);
        out.append(&mut document);
        out.extend(filling(size));
        out.into()
    }
}

fn header(name: &str, size: u64, now: DateTime<Utc>) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    // Our names are short and plain.
    if let Err(error) = header.set_path(name) {
        tracing::error!(%error, "a file has no name in an archive");
    }
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(now.timestamp()).unwrap_or_default());
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// A file ends where a block does.
fn filling(size: u64) -> Vec<u8> {
    let count = size.next_multiple_of(BLOCK) - size;
    vec![0; usize::try_from(count).unwrap_or_default()]
}

fn broken(reason: &str) -> GraphError {
    GraphError::Access(AccessError::Store(reason.to_owned()))
}
