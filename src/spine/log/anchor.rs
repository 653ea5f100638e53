//! The anchor: the head of the log, written beside the keys, outside the database. Without it, somebody who can write
//! the database could cut off whole batches at the end, and what is left would still prove itself.
//!
//! Invariant: names a position that was sealed once. It may lag behind the log by a moment, never run ahead of it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use contracts::Position;
use serde::{Deserialize, Serialize};

/// Written at most this often.
const EVERY: Duration = Duration::from_millis(500);

/// Where the log ended at some moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Anchor {
    pub(crate) position: Position,
    /// The link of the row there, in hex.
    pub(crate) link: String,
}

/// Keeps the anchor's file.
#[derive(Debug)]
pub(crate) struct AnchorFile {
    path: PathBuf,
    written: Option<Instant>,
    pending: Option<Anchor>,
}

impl AnchorFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            written: None,
            pending: None,
        }
    }

    /// The log ends here now.
    pub(crate) fn head_is(&mut self, position: Position, link: &[u8]) {
        self.pending = Some(Anchor {
            position,
            link: hex::encode(link),
        });
        if self.written.is_none_or(|written| written.elapsed() >= EVERY) {
            self.flush();
        }
    }

    /// Writes what is pending. A failure is told and otherwise harmless: the anchor lags a little longer.
    pub(crate) fn flush(&mut self) {
        let Some(anchor) = self.pending.take() else { return };
        if let Err(error) = write(&self.path, &anchor) {
            tracing::warn!(path = %self.path.display(), %error, "the log's anchor can't be written");
        }
        self.written = Some(Instant::now());
    }
}

/// What the file says; nothing if there is none yet.
pub(crate) fn read(path: &Path) -> Option<Anchor> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Whole or not at all.
fn write(path: &Path, anchor: &Anchor) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(&serde_json::to_vec(anchor)?)?;
    std::fs::rename(&fresh, path)
}
