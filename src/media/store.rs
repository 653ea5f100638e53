//! All SQL of the media service.

mod reference;
mod removed;

pub(crate) use reference::*;
pub(crate) use removed::*;

use chrono::{DateTime, Utc};
use serde_json::Value;
use spine::ScopedTx;
use uuid::Uuid;

use crate::blobs::{Hash, Key};

/// A content that an account keeps.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) hash: Vec<u8>,
    pub(crate) generation: Uuid,
    pub(crate) entity: Uuid,
    pub(crate) bytes: i64,
    pub(crate) media_type: String,
    pub(crate) declared_type: Option<String>,
    pub(crate) filename: Option<String>,
    pub(crate) by_owner: bool,
    pub(crate) processed_at: Option<DateTime<Utc>>,
    pub(crate) problem: Option<String>,
    pub(crate) width: Option<i32>,
    pub(crate) height: Option<i32>,
    pub(crate) blurhash: Option<String>,
    pub(crate) renditions: Value,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) removing_at: Option<DateTime<Utc>>,
}

impl Blob {
    pub(crate) fn hash(&self) -> Hash {
        // The column has 32 bytes, by its check.
        self.hash.as_slice().try_into().unwrap_or_default()
    }

    /// By what its object is found.
    pub(crate) fn key(&self) -> Key {
        Key {
            hash: self.hash(),
            generation: self.generation,
        }
    }
}

/// A content as it comes in.
#[derive(Debug)]
pub(crate) struct NewBlob<'a> {
    pub(crate) key: &'a Key,
    pub(crate) entity: Uuid,
    pub(crate) bytes: i64,
    pub(crate) media_type: &'a str,
    pub(crate) declared_type: Option<&'a str>,
    pub(crate) filename: Option<&'a str>,
    pub(crate) by_owner: bool,
}

/// What was found out about a content.
#[derive(Debug)]
pub(crate) struct Findings<'a> {
    pub(crate) problem: Option<&'a str>,
    pub(crate) width: Option<i32>,
    pub(crate) height: Option<i32>,
    pub(crate) blurhash: Option<&'a str>,
    pub(crate) renditions: Value,
}

/// Waits for whoever puts or removes the object of this hash, and keeps others from it until the transaction ends.
pub(crate) async fn hash_lock(tx: &mut ScopedTx, hash: &Hash) -> Result<(), sqlx::Error> {
    let key = format!("media/{}/{}", tx.account(), hex::encode(hash));
    sqlx::query_scalar!("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", key)
        .fetch_one(tx.conn())
        .await
        .map(drop)
}

/// The account keeps something from now on, or will in a moment.
pub(crate) async fn account_note(tx: &mut ScopedTx) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        "INSERT INTO media.account (account, swept_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        account.0,
        now
    )
    .execute(tx.conn())
    .await
    .map(drop)
}

pub(crate) async fn account_swept(tx: &mut ScopedTx) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        "UPDATE media.account SET swept_at = $2 WHERE account = $1",
        account.0,
        now
    )
    .execute(tx.conn())
    .await
    .map(drop)
}

pub(crate) async fn account_swept_at(tx: &mut ScopedTx) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_scalar!("SELECT swept_at FROM media.account WHERE account = $1", account.0)
        .fetch_optional(tx.conn())
        .await
}

/// How many bytes the account keeps.
pub(crate) async fn bytes_kept(tx: &mut ScopedTx) -> Result<u64, sqlx::Error> {
    let account = tx.account();
    let bytes = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(bytes), 0)::bigint AS "bytes!" FROM media.blob WHERE account = $1"#,
        account.0
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(bytes.unsigned_abs())
}

pub(crate) async fn blob_by_hash(tx: &mut ScopedTx, hash: &Hash) -> Result<Option<Blob>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_as!(
        Blob,
        r#"
        SELECT hash, generation, entity, bytes, media_type, declared_type, filename, by_owner, processed_at, problem, width, height,
            blurhash, renditions, created_at, removing_at
        FROM media.blob WHERE account = $1 AND hash = $2
        "#,
        account.0,
        &hash[..]
    )
    .fetch_optional(tx.conn())
    .await
}

/// The content of a MediaObject, unless it is about to go.
pub(crate) async fn blob_by_entity(tx: &mut ScopedTx, entity: Uuid) -> Result<Option<Blob>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_as!(
        Blob,
        r#"
        SELECT hash, generation, entity, bytes, media_type, declared_type, filename, by_owner, processed_at, problem, width, height,
            blurhash, renditions, created_at, removing_at
        FROM media.blob WHERE account = $1 AND entity = $2 AND removing_at IS NULL ORDER BY created_at, hash LIMIT 1
        "#,
        account.0,
        entity
    )
    .fetch_optional(tx.conn())
    .await
}

/// What the account keeps, newest first, before a moment and entity.
pub(crate) async fn blob_list(
    tx: &mut ScopedTx,
    before: (DateTime<Utc>, Uuid),
    family: Option<&str>,
    limit: i64,
) -> Result<Vec<Blob>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_as!(
        Blob,
        r#"
        SELECT hash, generation, entity, bytes, media_type, declared_type, filename, by_owner, processed_at, problem, width, height,
            blurhash, renditions, created_at, removing_at
        FROM media.blob
        WHERE account = $1 AND removing_at IS NULL AND (created_at, entity) < ($2, $3)
            AND ($4::text IS NULL OR starts_with(media_type, $4))
        ORDER BY created_at DESC, entity DESC LIMIT $5
        "#,
        account.0,
        before.0,
        before.1,
        family,
        limit
    )
    .fetch_all(tx.conn())
    .await
}

/// A page of all contents by hash, those that are about to go among them.
pub(crate) async fn blob_page(tx: &mut ScopedTx, after: &[u8], limit: i64) -> Result<Vec<Blob>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_as!(
        Blob,
        r#"
        SELECT hash, generation, entity, bytes, media_type, declared_type, filename, by_owner, processed_at, problem, width, height,
            blurhash, renditions, created_at, removing_at
        FROM media.blob WHERE account = $1 AND hash > $2 ORDER BY hash LIMIT $3
        "#,
        account.0,
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await
}

/// Writes a content down; one that was about to go begins anew.
pub(crate) async fn blob_insert(tx: &mut ScopedTx, blob: &NewBlob<'_>) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        INSERT INTO media.blob (account, hash, entity, bytes, media_type, declared_type, filename, by_owner, created_at,
            generation)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (account, hash) DO UPDATE SET generation = $10, entity = $3, media_type = $5, declared_type = $6, filename = $7,
            by_owner = $8, created_at = $9, removing_at = NULL, processed_at = NULL, problem = NULL, width = NULL,
            height = NULL, blurhash = NULL, renditions = '[]'
        "#,
        account.0,
        &blob.key.hash[..],
        blob.entity,
        blob.bytes,
        blob.media_type,
        blob.declared_type,
        blob.filename,
        blob.by_owner,
        now,
        blob.key.generation
    )
    .execute(tx.conn())
    .await
    .map(drop)
}

pub(crate) async fn blob_found(
    tx: &mut ScopedTx,
    hash: &Hash,
    found: &Findings<'_>,
) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        UPDATE media.blob SET processed_at = $3, problem = $4, width = $5, height = $6, blurhash = $7, renditions = $8
        WHERE account = $1 AND hash = $2
        "#,
        account.0,
        &hash[..],
        now,
        found.problem,
        found.width,
        found.height,
        found.blurhash,
        found.renditions
    )
    .execute(tx.conn())
    .await
    .map(drop)
}

/// Nobody needs it: it goes next. The caller holds the lock.
pub(crate) async fn blob_mark(tx: &mut ScopedTx, hash: &Hash) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        "UPDATE media.blob SET removing_at = coalesce(removing_at, $3) WHERE account = $1 AND hash = $2",
        account.0,
        &hash[..],
        now
    )
    .execute(tx.conn())
    .await
    .map(drop)
}

/// Contents that go next, at most 500.
pub(crate) async fn blobs_removing(tx: &mut ScopedTx) -> Result<Vec<Vec<u8>>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_scalar!(
        "SELECT hash FROM media.blob WHERE account = $1 AND removing_at IS NOT NULL ORDER BY hash LIMIT 500",
        account.0
    )
    .fetch_all(tx.conn())
    .await
}

pub(crate) async fn blob_delete(tx: &mut ScopedTx, hash: &Hash) -> Result<(), sqlx::Error> {
    let account = tx.account();
    references_delete(tx, hash).await?;
    sqlx::query!(
        "DELETE FROM media.blob WHERE account = $1 AND hash = $2",
        account.0,
        &hash[..]
    )
    .execute(tx.conn())
    .await
    .map(drop)
}
