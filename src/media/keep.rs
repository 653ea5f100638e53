//! How a content comes in: its object, its row, its MediaObject and its event in one commit.
//!
//! Events out: `media.MediaStored`. Jobs out: `process-media`.
//! Invariant: the object is put while the lock of account and hash is held, and the rows commit under the same lock, so
//! that no removal comes between. The same bytes again add nothing, and put back an object that was lost.
//! Begin with [`Keeper::keep_staged`].

use bytes::Bytes;
use contracts::EntityId;
use contracts::events::media::MediaStored;
use contracts::jobs::ProcessMedia;
use serde_json::{Map, Value, json};
use spine::ports::{AssertedBy, Change, EntityChange, Identifier, KeptMedia, MediaError, Target};
use spine::queue::JobOptions;
use spine::{AccessError, Context, ScopedTx};
use uuid::Uuid;

use crate::blobs::{Blobs, Hash, Key};
use crate::process::rendition_objects;
use crate::sniff;
use crate::staging::{Staged, Staging};
use crate::store::{self, Blob, NewBlob};

/// The source in whose name a MediaObject is written.
pub(crate) const SOURCE: &str = "media";
/// By what a MediaObject is found again: the hash of its content.
pub(crate) const SCHEME: &str = "media.sha256";
const FILENAME_CHARS_MAX: usize = 200;

/// What everything here works with.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) context: Context,
    pub(crate) blobs: Blobs,
    pub(crate) staging: Staging,
}

/// What is told of a content that comes in.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) filename: Option<String>,
    pub(crate) declared_type: Option<String>,
    /// The entity that it came with; `None`: the owner brings it herself.
    pub(crate) holder: Option<EntityId>,
}

impl Told {
    /// Names as they are shown and types as they are spelled.
    pub(crate) fn new(filename: Option<&str>, declared: Option<&str>, holder: Option<EntityId>) -> Self {
        Self {
            filename: filename.and_then(shown_name),
            declared_type: declared.and_then(sniff::declared),
            holder,
        }
    }

    fn by(&self) -> AssertedBy {
        if self.holder.is_none() {
            AssertedBy::User
        } else {
            AssertedBy::Connector
        }
    }
}

/// A content with its bytes.
pub(crate) enum Content<'a> {
    Staged(&'a mut Staged),
    Bytes(Hash, Bytes),
}

impl Content<'_> {
    fn hash(&self) -> Hash {
        match self {
            Self::Staged(staged) => staged.hash,
            Self::Bytes(hash, _) => *hash,
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Staged(staged) => staged.bytes,
            Self::Bytes(_, bytes) => bytes.len() as u64,
        }
    }

    fn head(&self) -> &[u8] {
        match self {
            Self::Staged(staged) => &staged.head,
            Self::Bytes(_, bytes) => &bytes[..bytes.len().min(sniff::HEAD_BYTES)],
        }
    }
}

impl Keeper {
    /// Keeps an upload.
    pub(crate) async fn keep_staged(
        &self,
        tx: &mut ScopedTx,
        staged: &mut Staged,
        told: &Told,
    ) -> Result<KeptMedia, MediaError> {
        self.keep_content(tx, Content::Staged(staged), told).await
    }

    pub(crate) async fn keep_content(
        &self,
        tx: &mut ScopedTx,
        content: Content<'_>,
        told: &Told,
    ) -> Result<KeptMedia, MediaError> {
        let hash = content.hash();
        store::hash_lock(tx, &hash).await.map_err(AccessError::from)?;
        let known = store::blob_by_hash(tx, &hash).await.map_err(AccessError::from)?;
        let (media, created) = match known {
            Some(blob) if blob.removing_at.is_none() => (self.known(tx, content, &blob, told).await?, false),
            Some(going) => {
                let names = rendition_objects(&going);
                self.blobs.remove(tx.account(), &going.key(), &names).await?;
                (self.new_blob(tx, content, told).await?, true)
            }
            None => (self.new_blob(tx, content, told).await?, true),
        };
        store::reference_add(tx, &hash, told.holder.unwrap_or(media).0)
            .await
            .map_err(AccessError::from)?;
        contracts::failpoint::hit("media: the object is put");
        Ok(KeptMedia { media, created })
    }

    /// The account has it already.
    async fn known(
        &self,
        tx: &mut ScopedTx,
        content: Content<'_>,
        blob: &Blob,
        told: &Told,
    ) -> Result<EntityId, MediaError> {
        let there = self.blobs.size(tx.account(), &blob.key(), None).await?;
        if there != Some(content.bytes()) {
            tracing::warn!(media = %blob.entity, "a content was lost and is put back");
            self.put(tx, &blob.key(), content).await?;
        }
        let media = EntityId(blob.entity);
        let read = self.context.ports.graph_read();
        if told.holder.is_none() && read.entity(tx, media).await?.is_none() {
            // Deleted, and brought again by whoever deleted it.
            let change = media_object(&blob.hash(), &blob.media_type, blob.bytes, told);
            return self.write(tx, told.by(), change).await;
        }
        Ok(media)
    }

    async fn new_blob(
        &self,
        tx: &mut ScopedTx,
        content: Content<'_>,
        told: &Told,
    ) -> Result<EntityId, MediaError> {
        let key = Key {
            hash: content.hash(),
            generation: Uuid::now_v7(),
        };
        let media_type = sniff::media_type(content.head(), told.declared_type.as_deref());
        let bytes = i64::try_from(content.bytes()).unwrap_or(i64::MAX);
        let change = media_object(&key.hash, &media_type, bytes, told);
        let media = self.write(tx, told.by(), change).await?;
        let row = NewBlob {
            key: &key,
            entity: media.0,
            bytes,
            media_type: &media_type,
            declared_type: told.declared_type.as_deref(),
            filename: told.filename.as_deref(),
            by_owner: told.holder.is_none(),
        };
        store::account_note(tx).await.map_err(AccessError::from)?;
        store::blob_insert(tx, &row).await.map_err(AccessError::from)?;
        let stored = MediaStored {
            media,
            bytes: content.bytes(),
            media_type,
        };
        tx.publish_about(media, &stored)?;
        tx.enqueue(&ProcessMedia { media }, JobOptions::default()).await?;
        self.put(tx, &key, content).await?;
        Ok(media)
    }

    async fn put(&self, tx: &ScopedTx, key: &Key, content: Content<'_>) -> Result<(), AccessError> {
        match content {
            Content::Staged(staged) => self.blobs.put(tx.account(), key, staged).await,
            Content::Bytes(_, bytes) => self.blobs.put_bytes(tx.account(), key, None, bytes).await,
        }
    }

    /// Writes what is known of a MediaObject.
    pub(crate) async fn write(
        &self,
        tx: &mut ScopedTx,
        by: AssertedBy,
        entity: EntityChange,
    ) -> Result<EntityId, MediaError> {
        let change = Change {
            by,
            source: SOURCE.to_owned(),
            raw: None,
            entities: vec![entity],
            relations: Vec::new(),
        };
        let applied = self.context.ports.graph_write().apply(tx, change).await?;
        let first = applied.entities.first().map(|entity| entity.id);
        first.ok_or_else(|| MediaError::Refused("the graph made no MediaObject".to_owned()))
    }
}

fn media_object(hash: &Hash, media_type: &str, bytes: i64, told: &Told) -> EntityChange {
    let hash = hex::encode(hash);
    let mut props = Map::new();
    let mut set = |name: &str, value: Value| props.insert(name.to_owned(), value);
    set("media_type", json!(media_type));
    set("content_hash", json!(format!("sha256:{hash}")));
    set("size_bytes", json!(bytes));
    if let Some(name) = &told.filename {
        set("name", json!(name));
    }
    if let Some(declared) = told.declared_type.as_ref().filter(|one| *one != media_type) {
        set("declared_type", json!(declared));
    }
    EntityChange {
        target: Target::Identified,
        kind: "MediaObject".to_owned(),
        title: told.filename.clone(),
        props,
        identifiers: vec![Identifier::new(SCHEME, hash)],
        starts_at: None,
    }
}

/// The last part of what may be a path, printable and bounded.
fn shown_name(name: &str) -> Option<String> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    // Marks that turn the direction of writing make an ending look like another.
    let is_shown = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let name: String = name.chars().filter(is_shown).take(FILENAME_CHARS_MAX).collect();
    let name = name.trim();
    (!name.is_empty() && name != "." && name != "..").then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filename_is_shown_without_its_path_and_says_how_it_ends() {
        assert_eq!(shown_name("../../etc/passwd").as_deref(), Some("passwd"));
        assert_eq!(shown_name("C:\\Users\\me\\x.png").as_deref(), Some("x.png"));
        assert_eq!(shown_name("gnp.\u{202e}exe").as_deref(), Some("gnp.exe"));
        assert_eq!(shown_name(&"x".repeat(900)).map(|name| name.len()), Some(200));
        for none in ["", "..", "a/", "\u{0}\n", "."] {
            assert_eq!(shown_name(none), None, "{none:?}");
        }
    }
}
