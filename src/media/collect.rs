//! How a content goes: what nobody needs any more is marked, then removed; what no row names is found and removed.
//!
//! Job in: `collect-media`. Events out: `media.MediaRemoved`.
//! Invariant: an object is removed only under the lock of its account and hash, which every upload of the same bytes
//! takes, too. First the mark is committed, so that nobody reads what is about to go, then the object goes, then the
//! row: whoever is killed in between leaves a marked row, which the next run finishes and an upload puts back.
//! Begin with [`Keeper::collect`].

use std::sync::Arc;

use async_trait::async_trait;
use chrono::Duration;
use contracts::EntityId;
use contracts::events::media::MediaRemoved;
use contracts::jobs::CollectMedia;
use futures::TryStreamExt;
use serde_json::{Value, json};
use spine::ports::{AssertedBy, GraphError, Identifier, Withdrawal};
use spine::queue::{JobContext, JobError, JobHandler};
use spine::{AccessError, Cause, Scope, ScopedTx};
use tokio_util::sync::CancellationToken;

use crate::blobs::{Hash, Key, Kind, Object};
use crate::keep::{Keeper, SCHEME, SOURCE};
use crate::process::rendition_objects;
use crate::store::{self, Blob};

/// An account's part of the store is searched so often.
pub(crate) const SWEEP_EVERY: Duration = Duration::days(1);
/// What is on its way to the store so long was left by a hub that was killed.
const ARRIVES_WITHIN: Duration = Duration::days(1);

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Collected {
    /// Contents that are gone.
    pub(crate) removed: u64,
    /// Objects that no row named.
    pub(crate) orphans: u64,
}

/// The handler of the job.
#[derive(Debug)]
pub(crate) struct Collect(pub(crate) Arc<Keeper>);

#[async_trait]
impl JobHandler for Collect {
    type Payload = CollectMedia;

    async fn run(&self, job: &JobContext, _: CollectMedia) -> Result<Value, JobError> {
        let stop = job.cancelled();
        let collected = self
            .0
            .collect(job.scope(), job.cause(), &stop)
            .await
            .map_err(JobError::retry)?;
        Ok(json!(collected))
    }
}

impl Keeper {
    async fn begin(&self, scope: &Scope, cause: Cause) -> Result<ScopedTx, AccessError> {
        self.context.access.begin(scope, cause).await
    }

    /// Removes what nobody needs since the grace, and, once a day, what no row names.
    pub(crate) async fn collect(
        &self,
        scope: &Scope,
        cause: Cause,
        stop: &CancellationToken,
    ) -> Result<Collected, GraphError> {
        let mut collected = Collected::default();
        while !stop.is_cancelled() && self.end_references(scope, cause).await? {}
        loop {
            let mut tx = self.begin(scope, cause).await?;
            let hashes = store::blobs_removing(&mut tx).await?;
            drop(tx);
            if hashes.is_empty() || stop.is_cancelled() {
                break;
            }
            for hash in hashes.into_iter().filter_map(|hash| hash.try_into().ok()) {
                collected.removed += u64::from(self.remove_marked(scope, cause, &hash).await?);
            }
        }
        let mut tx = self.begin(scope, cause).await?;
        let swept_at = store::account_swept_at(&mut tx).await?;
        let is_due = swept_at.is_some_and(|at| at <= tx.now() - SWEEP_EVERY);
        drop(tx);
        if is_due && !stop.is_cancelled() {
            collected.orphans = self.sweep(scope, cause).await?;
        }
        Ok(collected)
    }

    /// Ends claims whose holders are deleted since the grace; what nobody claims then is marked. False: there are none.
    async fn end_references(&self, scope: &Scope, cause: Cause) -> Result<bool, GraphError> {
        let mut tx = self.begin(scope, cause).await?;
        let grace = Duration::from_std(self.context.settings.media.grace).unwrap_or(Duration::MAX);
        let Some(by) = tx.now().checked_sub_signed(grace) else {
            return Ok(false);
        };
        let hashes = store::hashes_released(&mut tx, by).await?;
        drop(tx);
        for hash in &hashes {
            let Ok(hash) = hash.as_slice().try_into() else {
                continue;
            };
            let mut tx = self.begin(scope, cause).await?;
            store::hash_lock(&mut tx, &hash).await?;
            store::references_end(&mut tx, &hash, by).await?;
            mark_if_unneeded(&mut tx, &hash).await?;
            tx.commit().await?;
        }
        Ok(!hashes.is_empty())
    }

    /// Removes a marked content: the object, then the row. False: somebody took it back.
    pub(crate) async fn remove_marked(
        &self,
        scope: &Scope,
        cause: Cause,
        hash: &Hash,
    ) -> Result<bool, GraphError> {
        let mut tx = self.begin(scope, cause).await?;
        store::hash_lock(&mut tx, hash).await?;
        let blob = store::blob_by_hash(&mut tx, hash).await?;
        let Some(blob) = blob.filter(|blob| blob.removing_at.is_some()) else {
            return Ok(false);
        };
        let names = rendition_objects(&blob);
        self.blobs.remove(tx.account(), &blob.key(), &names).await?;
        contracts::failpoint::hit("media: the object is removed");
        self.withdraw(&mut tx, hash).await?;
        store::blob_delete(&mut tx, hash).await?;
        let removed = MediaRemoved {
            media: EntityId(blob.entity),
            bytes: blob.bytes.unsigned_abs(),
        };
        tx.publish_about(blob.entity, &removed)?;
        tx.commit().await?;
        Ok(true)
    }

    /// The MediaObject goes with its content, unless somebody else speaks of it.
    async fn withdraw(&self, tx: &mut ScopedTx, hash: &Hash) -> Result<(), GraphError> {
        for by in [AssertedBy::Connector, AssertedBy::User] {
            let withdrawal = Withdrawal {
                by,
                source: SOURCE.to_owned(),
                kind: "MediaObject".to_owned(),
                identifier: Identifier::new(SCHEME, hex::encode(hash)),
            };
            self.context
                .ports
                .record_intake()
                .withdraw(tx, withdrawal)
                .await?;
        }
        Ok(())
    }

    /// Removes the account's objects that no row names.
    pub(crate) async fn sweep(&self, scope: &Scope, cause: Cause) -> Result<u64, GraphError> {
        let mut gone = 0;
        let objects: Vec<Object> = self.blobs.list(scope.account()).try_collect().await?;
        for object in objects {
            let (key, name) = match &object.kind {
                Kind::Blob(key) => (*key, None),
                Kind::Rendition(key, name) => (*key, Some(name)),
                Kind::Arriving if object.at < self.context.clock.now() - ARRIVES_WITHIN => {
                    self.blobs.remove_at(&object.path).await?;
                    gone += 1;
                    continue;
                }
                Kind::Arriving | Kind::Unknown => continue,
            };
            let mut tx = self.begin(scope, cause).await?;
            store::hash_lock(&mut tx, &key.hash).await?;
            let blob = store::blob_by_hash(&mut tx, &key.hash).await?;
            if !is_named(blob.as_ref(), &key, name) {
                self.blobs.remove_at(&object.path).await?;
                gone += 1;
            }
        }
        let mut tx = self.begin(scope, cause).await?;
        store::account_swept(&mut tx).await?;
        tx.commit().await?;
        Ok(gone)
    }
}

/// Whether a row names this object. What isn't looked into yet may get renditions any moment.
pub(crate) fn is_named(blob: Option<&Blob>, key: &Key, rendition: Option<&String>) -> bool {
    match (blob.filter(|blob| blob.key() == *key), rendition) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(blob), Some(name)) => blob.processed_at.is_none() || rendition_objects(blob).contains(name),
    }
}

/// Marks a content that nobody claims. The caller holds the lock.
pub(crate) async fn mark_if_unneeded(tx: &mut ScopedTx, hash: &Hash) -> Result<bool, sqlx::Error> {
    if store::references_count(tx, hash).await? > 0 {
        return Ok(false);
    }
    store::blob_mark(tx, hash).await?;
    Ok(true)
}
