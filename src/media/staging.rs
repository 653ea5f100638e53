//! Uploads under way: a file in the data directory that is hashed and measured as it comes.
//!
//! Invariant: nothing larger than the limits is ever written; what an upload leaves behind goes with it, or, if the hub
//! was killed, at the next start: one hub has the folder, so whatever is there then is nobody's.
//! Begin with [`Staging::begin`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use contracts::AccountId;
use object_store::path::Path as Key;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use crate::blobs::{FOLDER, Hash, UPLOADS};
use crate::sniff::HEAD_BYTES;

/// Where uploads are written.
#[derive(Debug, Clone)]
pub(crate) struct Staging {
    folder: PathBuf,
    pub(crate) file_bytes_max: u64,
    arriving: Arc<Arriving>,
}

/// Bytes of uploads that are under way, by account.
#[derive(Debug, Default)]
struct Arriving(Mutex<HashMap<AccountId, u64>>);

impl Arriving {
    /// Takes room for some more bytes; false: there is none. `used` is what the account keeps already.
    fn take(&self, account: AccountId, more: u64, used: u64, most: u64) -> bool {
        let mut by_account = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let arriving = by_account.entry(account).or_default();
        let fits = used.saturating_add(*arriving).saturating_add(more) <= most;
        if fits {
            *arriving += more;
        }
        fits
    }

    fn free(&self, account: AccountId, bytes: u64) {
        let mut by_account = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(arriving) = by_account.get_mut(&account) {
            *arriving = arriving.saturating_sub(bytes);
            if *arriving == 0 {
                by_account.remove(&account);
            }
        }
    }
}

/// Why an upload is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("a file has at most {0} bytes here")]
    TooLarge(u64),
    #[error("the account keeps {used} of the {most} bytes that it may: there is no room for this file")]
    Full { used: u64, most: u64 },
    #[error("the file is empty")]
    Empty,
    #[error("the upload could not be written")]
    Disk(#[from] std::io::Error),
}

impl Staging {
    /// Empties the folder and opens it.
    pub(crate) fn open(data_dir: &Path, file_bytes_max: u64) -> std::io::Result<Self> {
        let folder = data_dir.join(FOLDER).join(UPLOADS);
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::create_dir_all(&folder)?;
        Ok(Self {
            folder,
            file_bytes_max,
            arriving: Arc::default(),
        })
    }

    /// Begins an upload. `used` is what the account keeps already, `most` what it may keep.
    pub(crate) async fn begin(&self, account: AccountId, used: u64, most: u64) -> Result<Upload, Refusal> {
        let path = self.folder.join(Uuid::now_v7().simple().to_string());
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(&path).await?;
        let room = Room {
            arriving: self.arriving.clone(),
            path,
            account,
            bytes: 0,
        };
        Ok(Upload {
            file,
            room,
            hasher: Sha256::new(),
            head: Vec::new(),
            file_bytes_max: self.file_bytes_max,
            used,
            most,
        })
    }
}

/// The file and the room of an upload; dropping it frees both.
#[derive(Debug)]
struct Room {
    arriving: Arc<Arriving>,
    path: PathBuf,
    account: AccountId,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.arriving.free(self.account, self.bytes);
        // Renamed away when it became an object.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// An upload under way.
#[derive(Debug)]
pub(crate) struct Upload {
    file: tokio::fs::File,
    room: Room,
    hasher: Sha256,
    head: Vec<u8>,
    file_bytes_max: u64,
    used: u64,
    most: u64,
}

impl Upload {
    /// Whether so many bytes may come, before any do.
    pub(crate) fn expect(&self, bytes: u64) -> Result<(), Refusal> {
        if bytes > self.file_bytes_max {
            return Err(Refusal::TooLarge(self.file_bytes_max));
        }
        if self.used.saturating_add(bytes) > self.most {
            return Err(self.full());
        }
        Ok(())
    }

    fn full(&self) -> Refusal {
        Refusal::Full {
            used: self.used,
            most: self.most,
        }
    }

    /// Writes what came.
    pub(crate) async fn write(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        let more = chunk.len() as u64;
        if self.room.bytes.saturating_add(more) > self.file_bytes_max {
            return Err(Refusal::TooLarge(self.file_bytes_max));
        }
        if !self
            .room
            .arriving
            .take(self.room.account, more, self.used, self.most)
        {
            return Err(self.full());
        }
        self.room.bytes += more;
        self.hasher.update(chunk);
        let wanted = HEAD_BYTES.saturating_sub(self.head.len()).min(chunk.len());
        self.head.extend_from_slice(&chunk[..wanted]);
        Ok(self.file.write_all(chunk).await?)
    }

    /// Everything came: it is on the disk.
    pub(crate) async fn finish(mut self) -> Result<Staged, Refusal> {
        if self.room.bytes == 0 {
            return Err(Refusal::Empty);
        }
        self.file.flush().await?;
        self.file.sync_all().await?;
        Ok(Staged {
            hash: self.hasher.finalize().into(),
            bytes: self.room.bytes,
            head: self.head,
            room: self.room,
            near: None,
        })
    }
}

/// A complete upload that is no object yet.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) hash: Hash,
    pub(crate) bytes: u64,
    /// How it begins, for telling what it is.
    pub(crate) head: Vec<u8>,
    room: Room,
    /// Where it lies in the store for now.
    pub(crate) near: Option<Key>,
}

impl Staged {
    /// Its file.
    pub(crate) fn path(&self) -> &Path {
        &self.room.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(staging: &Staging) -> usize {
        std::fs::read_dir(&staging.folder).unwrap().count()
    }

    #[tokio::test]
    async fn an_upload_ends_at_the_limit_and_leaves_nothing() {
        let dir = spine::testing::TempDir::new();
        let staging = Staging::open(dir.path(), 10).unwrap();
        let account = AccountId::new();
        let mut upload = staging.begin(account, 0, 100).await.unwrap();
        upload.write(b"0123456789").await.unwrap();
        assert!(matches!(upload.write(b"x").await, Err(Refusal::TooLarge(10))));
        assert!(matches!(upload.expect(11), Err(Refusal::TooLarge(10))));
        assert_eq!(files(&staging), 1);
        drop(upload);
        assert_eq!(files(&staging), 0);
    }

    #[tokio::test]
    async fn uploads_at_once_share_the_room_of_their_account_and_free_it() {
        let dir = spine::testing::TempDir::new();
        let staging = Staging::open(dir.path(), 10).unwrap();
        let (alice, bob) = (AccountId::new(), AccountId::new());
        let mut first = staging.begin(alice, 5, 16).await.unwrap();
        let mut second = staging.begin(alice, 5, 16).await.unwrap();
        first.write(b"0123456").await.unwrap();
        assert!(matches!(
            second.write(b"01234").await,
            Err(Refusal::Full { used: 5, most: 16 })
        ));
        let mut others = staging.begin(bob, 5, 16).await.unwrap();
        others.write(b"01234").await.unwrap();
        drop(first);
        second.write(b"01234").await.unwrap();
    }

    #[tokio::test]
    async fn what_a_killed_hub_left_is_gone_with_the_next_start() {
        let dir = spine::testing::TempDir::new();
        let staging = Staging::open(dir.path(), 10).unwrap();
        std::fs::write(staging.folder.join("left"), "x").unwrap();
        let again = Staging::open(dir.path(), 10).unwrap();
        assert_eq!(files(&again), 0);
    }

    #[tokio::test]
    async fn nothing_is_no_file() {
        let dir = spine::testing::TempDir::new();
        let staging = Staging::open(dir.path(), 10).unwrap();
        let upload = staging.begin(AccountId::new(), 0, 100).await.unwrap();
        assert!(matches!(upload.finish().await, Err(Refusal::Empty)));
    }
}
