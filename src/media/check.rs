//! Whether rows and objects agree: what is missing, and what lies there for nobody.
//!
//! Invariant: reads only. What comes or goes while it looks is looked at again before it is called missing.
//! Begin with [`Keeper::check`].

use contracts::EntityId;
use futures::TryStreamExt;
use serde::Serialize;
use spine::{AccessError, Cause, Scope};

use crate::blobs::{Hash, Kind, Object};
use crate::collect::is_named;
use crate::keep::Keeper;
use crate::process::rendition_objects;
use crate::store::{self, Blob};

const PAGE: i64 = 500;
/// Named one by one; of more, only how many there are is told.
const NAMED_MAX: usize = 100;

/// What was found.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub(crate) struct Report {
    /// True if nothing is missing. What lies there for nobody is removed by the next sweep and does no harm.
    pub(crate) well: bool,
    /// Contents that the account keeps.
    pub(crate) contents: u64,
    /// Their bytes, without what was made of them.
    pub(crate) bytes: u64,
    /// How many contents have lost their object, or one of a rendition, or one whose size is wrong.
    pub(crate) missing: u64,
    /// The first hundred of these.
    pub(crate) missing_media: Vec<EntityId>,
    /// Objects that no content names.
    pub(crate) orphans: u64,
    /// Contents that are about to go.
    pub(crate) removing: u64,
}

impl Keeper {
    /// Compares the account's rows with its objects.
    pub(crate) async fn check(&self, scope: &Scope) -> Result<Report, AccessError> {
        let mut report = Report::default();
        let mut after = Vec::new();
        loop {
            let mut tx = self.context.access.begin(scope, Cause::outside()).await?;
            let page = store::blob_page(&mut tx, &after, PAGE).await?;
            drop(tx);
            let Some(last) = page.last() else { break };
            after.clone_from(&last.hash);
            for blob in page {
                self.check_blob(scope, &blob, &mut report).await?;
            }
        }
        let objects: Vec<Object> = self.blobs.list(scope.account()).try_collect().await?;
        for object in objects {
            report.orphans += u64::from(self.is_orphan(scope, &object).await?);
        }
        report.well = report.missing == 0;
        Ok(report)
    }

    async fn check_blob(&self, scope: &Scope, blob: &Blob, report: &mut Report) -> Result<(), AccessError> {
        report.contents += 1;
        report.bytes += blob.bytes.unsigned_abs();
        if blob.removing_at.is_some() {
            report.removing += 1;
            return Ok(());
        }
        if self.is_whole(scope, blob).await? {
            return Ok(());
        }
        let hash = blob.hash();
        if self
            .row(scope, &hash)
            .await?
            .is_none_or(|now| now.removing_at.is_some())
        {
            return Ok(());
        }
        report.missing += 1;
        if report.missing_media.len() < NAMED_MAX {
            report.missing_media.push(EntityId(blob.entity));
        }
        Ok(())
    }

    async fn is_whole(&self, scope: &Scope, blob: &Blob) -> Result<bool, AccessError> {
        let (account, key) = (scope.account(), blob.key());
        let size = self.blobs.size(account, &key, None).await?;
        if size != Some(blob.bytes.unsigned_abs()) {
            return Ok(false);
        }
        for name in rendition_objects(blob) {
            if self.blobs.size(account, &key, Some(&name)).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn row(&self, scope: &Scope, hash: &Hash) -> Result<Option<Blob>, AccessError> {
        let mut tx = self.context.access.begin(scope, Cause::outside()).await?;
        Ok(store::blob_by_hash(&mut tx, hash).await?)
    }

    /// Asked after the objects were listed: a row that came since names its object, too.
    async fn is_orphan(&self, scope: &Scope, object: &Object) -> Result<bool, AccessError> {
        let (key, name) = match &object.kind {
            Kind::Blob(key) => (key, None),
            Kind::Rendition(key, name) => (key, Some(name)),
            Kind::Arriving => return Ok(false),
            Kind::Unknown => return Ok(true),
        };
        let mut tx = self.context.access.begin(scope, Cause::outside()).await?;
        // Whoever is about to put it is waited for.
        store::hash_lock(&mut tx, &key.hash).await?;
        let blob = store::blob_by_hash(&mut tx, &key.hash).await?;
        if is_named(blob.as_ref(), key, name) {
            return Ok(false);
        }
        let there = self
            .blobs
            .size(scope.account(), key, name.map(String::as_str))
            .await?;
        Ok(there.is_some())
    }
}
