//! What the other services may do with contents: keep what came with something, bring what the owner had elsewhere, and
//! hand everything out.
//!
//! Invariant: the limits of a hub hold whichever way a content comes; what the owner removed from somebody is not brought
//! by that again. Begin with [`MediaStore`].

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};
use spine::ports::{BringMedia, KeepMedia, KeptMedia, MediaContent, MediaError, MediaStore};
use spine::{AccessError, Cause, Scope, ScopedTx};

use crate::blobs::Hash;
use crate::disk::disk;
use crate::keep::{Content, Keeper, Told};
use crate::staging::{Refusal, Staged, Upload};
use crate::store;

#[async_trait]
impl MediaStore for Keeper {
    async fn keep(&self, tx: &mut ScopedTx, media: KeepMedia) -> Result<KeptMedia, MediaError> {
        let settings = &self.context.settings.media;
        let bytes = media.bytes.len() as u64;
        if bytes == 0 {
            return Err(MediaError::Refused("the content is empty".to_owned()));
        }
        if bytes > settings.file_bytes_max {
            return Err(MediaError::Refused(format!(
                "a content has at most {} bytes here",
                settings.file_bytes_max
            )));
        }
        let hash: Hash = Sha256::digest(&media.bytes).into();
        let is_removed = store::is_removed(tx, &hash, media.holder.0).await;
        if is_removed.map_err(AccessError::from)? {
            return Err(MediaError::Refused("its owner removed it from there".to_owned()));
        }
        let known = store::blob_by_hash(tx, &hash).await.map_err(AccessError::from)?;
        let used = store::bytes_kept(tx).await.map_err(AccessError::from)?;
        if known.is_none() && used.saturating_add(bytes) > settings.account_bytes_max {
            return Err(MediaError::Refused(
                "the account keeps as much as it may".to_owned(),
            ));
        }
        let told = Told::new(
            media.filename.as_deref(),
            media.declared_type.as_deref(),
            Some(media.holder),
        );
        self.keep_content(tx, Content::Bytes(hash, media.bytes.into()), &told)
            .await
    }

    async fn bring(&self, scope: &Scope, cause: Cause, media: BringMedia) -> Result<KeptMedia, MediaError> {
        let access = &self.context.access;
        let mut tx = access.begin(scope, cause).await?;
        // Before any byte is: so that the sweep knows where to look for what a kill leaves.
        store::account_note(&mut tx).await.map_err(AccessError::from)?;
        let used = store::bytes_kept(&mut tx).await.map_err(AccessError::from)?;
        let known = store::blob_by_hash(&mut tx, &media.sha256)
            .await
            .map_err(AccessError::from)?;
        tx.commit().await?;
        // What is there already needs no more room.
        let own = known.as_ref().map_or(0, |blob| blob.bytes.unsigned_abs());
        let most = self.context.settings.media.account_bytes_max;
        let upload = self
            .staging
            .begin(scope.account(), used.saturating_sub(own), most)
            .await;
        let mut staged = staged(upload, media.bytes).await.map_err(refused)?;
        if staged.hash != media.sha256 {
            return Err(MediaError::Refused(
                "its bytes are not those that its name says".to_owned(),
            ));
        }
        if known.is_none() {
            self.blobs.bring(scope.account(), &mut staged).await?;
        }
        let told = Told::new(media.filename.as_deref(), media.declared_type.as_deref(), None);
        let kept = async {
            let mut tx = access.begin(scope, cause).await?;
            let kept = self.keep_staged(&mut tx, &mut staged, &told).await?;
            tx.commit().await?;
            Ok(kept)
        };
        let kept = kept.await;
        self.blobs.forget(&staged).await;
        kept
    }

    async fn next_after(
        &self,
        tx: &mut ScopedTx,
        after: Option<Hash>,
    ) -> Result<Option<MediaContent>, AccessError> {
        let mut after = after.map(Vec::from).unwrap_or_default();
        loop {
            let page = store::blob_page(tx, &after, 1).await?;
            let Some(last) = page.last() else {
                return Ok(None);
            };
            after.clone_from(&last.hash);
            let Some(blob) = page.into_iter().find(|blob| blob.removing_at.is_none()) else {
                continue;
            };
            let size = blob.bytes.unsigned_abs();
            if self.blobs.size(tx.account(), &blob.key(), None).await? != Some(size) {
                tracing::warn!(media = %blob.entity, "a content was lost and can't be handed out: `allod media check`");
                continue;
            }
            let bytes = self.blobs.read(tx.account(), &blob.key(), None, 0..size);
            return Ok(Some(MediaContent {
                sha256: blob.hash(),
                size,
                bytes: bytes.boxed(),
            }));
        }
    }
}

async fn staged(
    upload: Result<Upload, Refusal>,
    mut bytes: BoxStream<'static, std::io::Result<Bytes>>,
) -> Result<Staged, Refusal> {
    let mut upload = upload?;
    while let Some(piece) = bytes.try_next().await? {
        upload.write(&piece).await?;
    }
    upload.finish().await
}

fn refused(refusal: Refusal) -> MediaError {
    match refusal {
        Refusal::Disk(error) => MediaError::Access(disk(error)),
        refused => MediaError::Refused(refused.to_string()),
    }
}
