//! The anchor: the head of the log, written beside the keys, outside the database. Without it, somebody who can write
//! the database could cut off whole batches at the end, and what is left would still prove itself.
//!
//! Invariant: names a position that was sealed once. It never runs ahead of the log, and lags by [`EVERY`] and the time
//! of one write at the most: what is cut off within that window is not missed. An anchor that the log does not bear out
//! is never overwritten: it is kept beside as `log.anchor.fault`, which the proof names until the owner has looked into
//! it and removes that file. A file that is missing proves nothing; the hub says so at its start and begins a new one.
//! Begin with [`AnchorFile`].

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use contracts::Position;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::task::JoinHandle;

/// Written at most this often.
const EVERY: Duration = Duration::from_millis(500);

/// Where the log ended at some moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Anchor {
    pub(crate) position: Position,
    /// The link of the row there, in hex.
    pub(crate) link: String,
}

impl Anchor {
    fn new(position: Position, link: &[u8]) -> Self {
        Self {
            position,
            link: hex::encode(link),
        }
    }

    /// False when the log ends here and cannot have this anchor in it.
    fn may_precede(&self, head: &Self) -> bool {
        self.position < head.position || self == head
    }
}

/// Keeps the anchor's file.
#[derive(Debug)]
pub(crate) struct AnchorFile {
    path: PathBuf,
    /// The newest head that is known, and whether the file lags behind it.
    known: Option<Anchor>,
    pending: bool,
    written: Option<Instant>,
    writing: Option<JoinHandle<()>>,
}

impl AnchorFile {
    /// Takes on the file that lies there, once the log has borne it out; else keeps it as a fault.
    ///
    /// # Errors
    /// When the database is away.
    pub(crate) async fn open(path: PathBuf, pool: &PgPool) -> Result<Self, sqlx::Error> {
        let known = match read(&path) {
            Ok(None) => {
                tracing::info!(path = %path.display(), "the log has no anchor yet: from here on its end is kept");
                None
            }
            Ok(Some(anchor)) if anchor.position == 0 || is_borne_out(pool, &anchor).await? => Some(anchor),
            Ok(Some(_)) | Err(_) => {
                keep_as_fault(&path, |kept| {
                    std::fs::rename(&path, kept).and_then(|()| sync_folder(kept))
                });
                None
            }
        };
        Ok(Self {
            path,
            known,
            pending: false,
            written: None,
            writing: None,
        })
    }

    /// The log ends here. `before`: where it ended when this was looked at, which must be no step back.
    pub(crate) fn head_is(&mut self, before: (Position, &[u8]), head: (Position, &[u8])) {
        let (before, head) = (Anchor::new(before.0, before.1), Anchor::new(head.0, head.1));
        if let Some(known) = &self.known
            && !known.may_precede(&before)
        {
            keep_as_fault(&self.path, |kept| write(kept, known));
        }
        if self.known.as_ref() != Some(&head) {
            self.known = Some(head);
            self.pending = true;
        }
        if self.written.is_none_or(|written| written.elapsed() >= EVERY) {
            self.flush();
        }
    }

    /// Begins to write what is pending, unless something is being written: then it is its turn later. A failure is told
    /// and otherwise harmless: the anchor lags a little longer.
    pub(crate) fn flush(&mut self) {
        let busy = self
            .writing
            .as_ref()
            .is_some_and(|writing| !writing.is_finished());
        let Some(anchor) = self.known.clone().filter(|_| self.pending && !busy) else {
            return;
        };
        let path = self.path.clone();
        (self.pending, self.written) = (false, Some(Instant::now()));
        // Syncing takes as long as the disk likes, and the sealer must not wait for it.
        self.writing = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = write(&path, &anchor) {
                tracing::warn!(path = %path.display(), %error, "the log's anchor can't be written");
            }
        }));
    }

    /// Writes what is left.
    pub(crate) async fn finish(mut self) {
        for _ in 0..2 {
            if let Some(writing) = self.writing.take() {
                let _ = writing.await;
            }
            self.flush();
        }
        if let Some(writing) = self.writing.take() {
            let _ = writing.await;
        }
    }
}

/// Whether the log has this row at this place.
async fn is_borne_out(pool: &PgPool, anchor: &Anchor) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        "SELECT hash FROM spine.event_log WHERE position = $1",
        anchor.position
    )
    .fetch_optional(pool)
    .await?;
    Ok(found.is_some_and(|link| hex::encode(link) == anchor.link))
}

/// Where an anchor lies that the log did not bear out.
pub(crate) fn fault_path(path: &Path) -> PathBuf {
    path.with_extension("anchor.fault")
}

/// Of several the first is kept: it knew the log as it was.
fn keep_as_fault(path: &Path, keep: impl FnOnce(&Path) -> std::io::Result<()>) {
    let kept = fault_path(path);
    tracing::error!(kept = %kept.display(), "the log does not go on from where it ended: `allod audit verify` tells more");
    if !kept.exists()
        && let Err(error) = keep(&kept)
    {
        tracing::error!(path = %kept.display(), %error, "the log's anchor can't be kept");
    }
}

/// What the file says; nothing if there is none.
///
/// # Errors
/// When there is a file, and it can't be read or says something else.
pub(crate) fn read(path: &Path) -> std::io::Result<Option<Anchor>> {
    match std::fs::read(path) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whole or not at all, and there to stay.
fn write(path: &Path, anchor: &Anchor) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(&serde_json::to_vec(anchor)?)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: PathBuf) -> AnchorFile {
        AnchorFile {
            path,
            known: None,
            pending: false,
            written: None,
            writing: None,
        }
    }

    #[tokio::test]
    async fn a_head_that_went_back_is_kept_as_a_fault_and_the_first_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.anchor");
        let mut anchor = file(path.clone());
        anchor.head_is((0, b""), (2, b"two"));
        anchor.head_is((2, b"two"), (3, b"three"));
        anchor.head_is((2, b"two"), (3, b"other")); // cut by one, and one more written
        anchor.head_is((1, b"one"), (1, b"one"));
        anchor.finish().await;
        assert_eq!(read(&fault_path(&path)).unwrap(), Some(Anchor::new(3, b"three")));
        assert_eq!(read(&path).unwrap(), Some(Anchor::new(1, b"one")));
    }

    #[tokio::test]
    async fn a_head_that_another_process_moved_on_is_no_fault() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.anchor");
        let mut anchor = file(path.clone());
        anchor.head_is((0, b""), (2, b"two"));
        anchor.head_is((7, b"seven"), (7, b"seven"));
        anchor.finish().await;
        assert!(!fault_path(&path).exists());
        assert_eq!(read(&path).unwrap(), Some(Anchor::new(7, b"seven")));
    }

    #[test]
    fn a_file_that_says_something_else_is_not_taken_for_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.anchor");
        assert!(read(&path).unwrap().is_none());
        std::fs::write(&path, "{}").unwrap();
        assert!(read(&path).is_err());
    }
}
