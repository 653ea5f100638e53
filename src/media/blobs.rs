//! The objects: bytes under keys, on the local disk or in a store that speaks S3.
//!
//! Invariant: no key holds anything that somebody sent: an account, a hash, the name of a rendition. What is written is
//! there in one piece or not at all, and on the disk when the call returns.
//! Begin with [`Blobs::put`].

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use contracts::AccountId;
use futures::stream::{self, Stream, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use spine::{AccessError, Settings};
use tokio::io::AsyncReadExt;
use uuid::Uuid;

use crate::disk::{adopt, disk, private_folder, write_down};
use crate::s3;
use crate::staging::Staged;

/// The folder of the data directory.
pub(crate) const FOLDER: &str = "media";
/// A part of an upload to S3, which wants at least 5 MiB, and the most that is put at once.
const PART_BYTES: usize = 8 << 20;
/// Read at once when something is served.
const CHUNK_BYTES: u64 = 1 << 20;
/// Beside the objects, so that what has arrived need only be renamed.
pub(crate) const UPLOADS: &str = "uploads";
const BLOBS: &str = "blobs";
const RENDITIONS: &str = "renditions";
const ARRIVING: &str = "arriving";

/// SHA-256 of a content.
pub(crate) type Hash = [u8; 32];

/// By what an object is found. The generation is another each time that a content comes after it went: whatever is late,
/// such as a removal that was given up on its way, can only be of an object that nobody needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) hash: Hash,
    pub(crate) generation: Uuid,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", hex::encode(self.hash), self.generation.simple())
    }
}

impl std::str::FromStr for Key {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (hash, generation) = text.split_once('-').ok_or(())?;
        Ok(Self {
            hash: hex::decode(hash)
                .ok()
                .and_then(|hash| hash.try_into().ok())
                .ok_or(())?,
            generation: Uuid::try_parse(generation).map_err(|_| ())?,
        })
    }
}

/// The object store.
#[derive(Debug, Clone)]
pub(crate) struct Blobs {
    objects: Arc<dyn ObjectStore>,
    /// The root, if the store is a folder of this machine: then a finished upload is only renamed.
    root: Option<PathBuf>,
    prefix: Path,
}

/// What an object is, by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A content.
    Blob(Key),
    /// Something that was made of one.
    Rendition(Key, String),
    /// An upload on its way.
    Arriving,
    /// Nothing of ours.
    Unknown,
}

/// An object of an account.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    pub(crate) path: Path,
    pub(crate) at: chrono::DateTime<chrono::Utc>,
}

fn failed(error: &Error) -> AccessError {
    tracing::warn!(error = %told(error), "the media store refused");
    AccessError::Store(told(error).to_owned())
}

/// What happened, without the key: it names the account.
fn told(error: &Error) -> &'static str {
    match error {
        Error::NotFound { .. } => "an object is not there",
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => "it does not accept the key",
        Error::NotSupported { .. } | Error::NotImplemented { .. } => "it can't do what is needed",
        _ => "it can't be reached, or refused",
    }
}

impl Blobs {
    /// The store that the settings name.
    pub(crate) fn open(settings: &Settings) -> Result<Self, String> {
        match &settings.media.s3 {
            None => Self::local(settings.data_dir.join(FOLDER)).map_err(|error| error.to_string()),
            Some(bucket) => Ok(Self {
                objects: s3::open(bucket, &settings.extra_ca_pem)?,
                root: None,
                prefix: Path::from(bucket.prefix.as_str()),
            }),
        }
    }

    /// A store in a folder.
    pub(crate) fn local(root: PathBuf) -> Result<Self, Box<dyn std::error::Error>> {
        private_folder(&root)?;
        let objects = LocalFileSystem::new_with_prefix(&root)?.with_fsync(true);
        Ok(Self {
            objects: Arc::new(objects),
            root: Some(root),
            prefix: Path::default(),
        })
    }

    fn account(&self, account: AccountId) -> Path {
        self.prefix.clone().join(account.0.simple().to_string())
    }

    fn blob(&self, account: AccountId, key: &Key) -> Path {
        let key = key.to_string();
        self.account(account)
            .join(BLOBS)
            .join(&key[..2])
            .join(key.as_str())
    }

    fn rendition(&self, account: AccountId, key: &Key, name: &str) -> Path {
        self.account(account)
            .join(RENDITIONS)
            .join(key.to_string())
            .join(name)
    }

    fn path(&self, account: AccountId, key: &Key, rendition: Option<&str>) -> Path {
        match rendition {
            None => self.blob(account, key),
            Some(name) => self.rendition(account, key, name),
        }
    }

    /// Brings a large upload near to where it will lie, so that putting it there takes no time. Nothing to do where it
    /// need only be renamed, or is small.
    pub(crate) async fn bring(&self, account: AccountId, staged: &mut Staged) -> Result<(), AccessError> {
        if self.root.is_some() || staged.bytes <= PART_BYTES as u64 {
            return Ok(());
        }
        let near = self
            .account(account)
            .join(ARRIVING)
            .join(Uuid::now_v7().simple().to_string());
        let upload = self
            .objects
            .put_multipart(&near)
            .await
            .map_err(|error| failed(&error))?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        if let Err(error) = send(staged, &mut upload).await {
            let _ = upload.abort().await;
            return Err(error);
        }
        upload.finish().await.map_err(|error| failed(&error))?;
        staged.near = Some(near);
        Ok(())
    }

    /// Puts an upload where it belongs. The caller holds the lock of its account and hash.
    pub(crate) async fn put(
        &self,
        account: AccountId,
        key: &Key,
        staged: &mut Staged,
    ) -> Result<(), AccessError> {
        let path = self.blob(account, key);
        if staged.near.is_none() {
            // Only where the account had it a moment ago.
            self.bring(account, staged).await?;
        }
        let done = match (&self.root, &staged.near) {
            (Some(root), _) => return adopt(root, staged.path().to_owned(), path.as_ref()).await,
            (None, Some(near)) => self.objects.copy(near, &path).await,
            (None, None) => {
                let bytes = tokio::fs::read(staged.path()).await.map_err(disk)?;
                self.objects.put(&path, PutPayload::from(bytes)).await.map(drop)
            }
        };
        done.map_err(|error| failed(&error))
    }

    /// Puts what was made of a content, or a content that is in memory. The caller holds the lock.
    pub(crate) async fn put_bytes(
        &self,
        account: AccountId,
        key: &Key,
        rendition: Option<&str>,
        bytes: Bytes,
    ) -> Result<(), AccessError> {
        let path = self.path(account, key, rendition);
        let Some(root) = &self.root else {
            let done = self.objects.put(&path, PutPayload::from_bytes(bytes)).await;
            return done.map(drop).map_err(|error| failed(&error));
        };
        // As an upload: whatever is cut off lies where the next start sweeps.
        let from = root.join(UPLOADS).join(Uuid::now_v7().simple().to_string());
        let written = write_down(&from, &bytes).await;
        let done = match written {
            Ok(()) => adopt(root, from.clone(), path.as_ref()).await,
            Err(error) => Err(disk(error)),
        };
        if done.is_err() {
            let _ = tokio::fs::remove_file(&from).await;
        }
        done
    }

    /// What is left of an upload that was brought near.
    pub(crate) async fn forget(&self, staged: &Staged) {
        if let Some(near) = &staged.near
            && let Err(error) = self.objects.delete(near).await
        {
            tracing::debug!(
                error = told(&error),
                "an upload's first copy is removed by the next sweep"
            );
        }
    }

    /// The size of an object; `None`: it isn't there.
    pub(crate) async fn size(
        &self,
        account: AccountId,
        key: &Key,
        rendition: Option<&str>,
    ) -> Result<Option<u64>, AccessError> {
        match self.objects.head(&self.path(account, key, rendition)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    /// A part of an object, as it is asked for, a piece at a time.
    pub(crate) fn read(
        &self,
        account: AccountId,
        key: &Key,
        rendition: Option<&str>,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, AccessError>> + Send + use<> {
        let (objects, path) = (self.objects.clone(), self.path(account, key, rendition));
        stream::try_unfold(range.start, move |at| {
            let (objects, path, end) = (objects.clone(), path.clone(), range.end);
            async move {
                if at >= end {
                    return Ok(None);
                }
                let next = (at + CHUNK_BYTES).min(end);
                let bytes = objects
                    .get_range(&path, at..next)
                    .await
                    .map_err(|error| failed(&error))?;
                Ok(Some((bytes, next)))
            }
        })
    }

    /// A whole content, which the caller knows to be small enough.
    pub(crate) async fn whole(
        &self,
        account: AccountId,
        key: &Key,
        bytes: u64,
    ) -> Result<Bytes, AccessError> {
        let mut whole = BytesMut::new();
        let mut pieces = std::pin::pin!(self.read(account, key, None, 0..bytes));
        while let Some(piece) = pieces.try_next().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// Removes a content with everything that was made of it. The caller holds the lock. Nothing there is as good.
    pub(crate) async fn remove(
        &self,
        account: AccountId,
        key: &Key,
        renditions: &[String],
    ) -> Result<(), AccessError> {
        for name in renditions {
            self.remove_at(&self.rendition(account, key, name)).await?;
        }
        self.remove_at(&self.blob(account, key)).await
    }

    pub(crate) async fn remove_at(&self, path: &Path) -> Result<(), AccessError> {
        match self.objects.delete(path).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }

    /// The objects of an account.
    pub(crate) fn list(
        &self,
        account: AccountId,
    ) -> impl Stream<Item = Result<Object, AccessError>> + Send + '_ {
        let root = self.account(account);
        let listed = self.objects.list(Some(&root));
        listed
            .map_ok(move |meta| Object {
                kind: kind(&root, &meta.location),
                at: meta.last_modified,
                path: meta.location,
            })
            .map_err(|error| failed(&error))
    }

    /// Removes everything of an account that is no more; how many objects.
    pub(crate) async fn remove_all(&self, account: AccountId) -> Result<u64, AccessError> {
        let mut gone = 0;
        let paths: Vec<Path> = self
            .list(account)
            .map_ok(|object| object.path)
            .try_collect()
            .await?;
        for path in paths {
            self.remove_at(&path).await?;
            gone += 1;
        }
        if let Some(root) = &self.root {
            // A folder says by its name whose it was.
            let folder = root.join(account.0.simple().to_string());
            match tokio::fs::remove_dir_all(&folder).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(disk(error)),
                _ => {}
            }
        }
        Ok(gone)
    }
}

/// Reads an upload's file into an upload to the store.
async fn send(staged: &Staged, upload: &mut WriteMultipart) -> Result<(), AccessError> {
    let mut file = tokio::fs::File::open(staged.path()).await.map_err(disk)?;
    loop {
        let mut piece = vec![0; 1 << 20];
        let read = file.read(&mut piece).await.map_err(disk)?;
        if read == 0 {
            return Ok(());
        }
        piece.truncate(read);
        // At most two parts are on their way at once.
        let room = upload.wait_for_capacity(1).await;
        room.map_err(|error| failed(&error))?;
        upload.put(Bytes::from(piece));
    }
}

fn kind(account: &Path, path: &Path) -> Kind {
    let Some(parts) = path.prefix_match(account) else {
        return Kind::Unknown;
    };
    let parts: Vec<String> = parts.map(|part| part.as_ref().to_owned()).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts[..] {
        [BLOBS, _, key] => key.parse().map_or(Kind::Unknown, Kind::Blob),
        [RENDITIONS, key, name] => key
            .parse()
            .map_or(Kind::Unknown, |key| Kind::Rendition(key, name.to_owned())),
        [ARRIVING, _] => Kind::Arriving,
        _ => Kind::Unknown,
    }
}

#[cfg(test)]
mod tests;
