//! All SQL of the media service.

use chrono::{DateTime, Utc};
use serde_json::Value;
use spine::ScopedTx;
use uuid::Uuid;

use crate::blobs::Hash;

/// A content that an account keeps.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) hash: Vec<u8>,
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
}

/// A content as it comes in.
#[derive(Debug)]
pub(crate) struct NewBlob<'a> {
    pub(crate) hash: &'a Hash,
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
        SELECT hash, entity, bytes, media_type, declared_type, filename, by_owner, processed_at, problem, width, height,
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
        SELECT hash, entity, bytes, media_type, declared_type, filename, by_owner, processed_at, problem, width, height,
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
        SELECT hash, entity, bytes, media_type, declared_type, filename, by_owner, processed_at, problem, width, height,
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
        SELECT hash, entity, bytes, media_type, declared_type, filename, by_owner, processed_at, problem, width, height,
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
        INSERT INTO media.blob (account, hash, entity, bytes, media_type, declared_type, filename, by_owner, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (account, hash) DO UPDATE SET entity = $3, media_type = $5, declared_type = $6, filename = $7,
            by_owner = $8, created_at = $9, removing_at = NULL, processed_at = NULL, problem = NULL, width = NULL,
            height = NULL, blurhash = NULL, renditions = '[]'
        "#,
        account.0,
        &blob.hash[..],
        blob.entity,
        blob.bytes,
        blob.media_type,
        blob.declared_type,
        blob.filename,
        blob.by_owner,
        now
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

/// Somebody needs it, from now on.
pub(crate) async fn reference_add(tx: &mut ScopedTx, hash: &Hash, holder: Uuid) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        r#"
        INSERT INTO media.reference (account, hash, holder, root) VALUES ($1, $2, $3, $3)
        ON CONFLICT (account, hash, holder) DO UPDATE SET released_at = NULL
        "#,
        account.0,
        &hash[..],
        holder
    )
    .execute(tx.conn())
    .await
    .map(drop)
}

pub(crate) async fn references_delete(tx: &mut ScopedTx, hash: &Hash) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        "DELETE FROM media.reference WHERE account = $1 AND hash = $2",
        account.0,
        &hash[..]
    )
    .execute(tx.conn())
    .await
    .map(drop)
}

/// How many need it.
pub(crate) async fn references_count(tx: &mut ScopedTx, hash: &Hash) -> Result<i64, sqlx::Error> {
    let account = tx.account();
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM media.reference WHERE account = $1 AND hash = $2"#,
        account.0,
        &hash[..]
    )
    .fetch_one(tx.conn())
    .await
}

/// Contents that somebody stopped to need by a moment, at most 500.
pub(crate) async fn hashes_released(
    tx: &mut ScopedTx,
    by: DateTime<Utc>,
) -> Result<Vec<Vec<u8>>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_scalar!(
        r#"
        SELECT DISTINCT hash FROM media.reference WHERE account = $1 AND released_at <= $2 ORDER BY hash LIMIT 500
        "#,
        account.0,
        by
    )
    .fetch_all(tx.conn())
    .await
}

/// Takes away the claims on a content that ended by a moment.
pub(crate) async fn references_end(
    tx: &mut ScopedTx,
    hash: &Hash,
    by: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        "DELETE FROM media.reference WHERE account = $1 AND hash = $2 AND released_at <= $3",
        account.0,
        &hash[..],
        by
    )
    .execute(tx.conn())
    .await
    .map(drop)
}

/// Holders were deleted (`at`), or came back.
pub(crate) async fn holder_release(
    tx: &mut ScopedTx,
    root: Uuid,
    at: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        "UPDATE media.reference SET released_at = $3 WHERE account = $1 AND root = $2",
        account.0,
        root,
        at
    )
    .execute(tx.conn())
    .await
    .map(drop)
}

/// A holder was merged into another.
pub(crate) async fn holder_merge(
    tx: &mut ScopedTx,
    absorbed: Uuid,
    survivor: Uuid,
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        "UPDATE media.reference SET root = $3 WHERE account = $1 AND root = $2",
        account.0,
        absorbed,
        survivor
    )
    .execute(tx.conn())
    .await
    .map(drop)
}

/// A holder stands for itself again.
pub(crate) async fn holder_unmerge(tx: &mut ScopedTx, separated: Uuid) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        "UPDATE media.reference SET root = holder WHERE account = $1 AND holder = $2",
        account.0,
        separated
    )
    .execute(tx.conn())
    .await
    .map(drop)
}

/// What these entities hold or are: hash and MediaObject, in the order in which locks are taken.
pub(crate) async fn blobs_of(
    tx: &mut ScopedTx,
    entities: &[Uuid],
) -> Result<Vec<(Vec<u8>, Uuid)>, sqlx::Error> {
    let account = tx.account();
    let rows = sqlx::query!(
        r#"
        SELECT b.hash, b.entity FROM media.blob b
        WHERE b.account = $1 AND (b.entity = ANY($2) OR EXISTS (SELECT FROM media.reference r
            WHERE r.account = $1 AND r.hash = b.hash AND r.root = ANY($2)))
        ORDER BY b.hash
        "#,
        account.0,
        entities
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.hash, row.entity)).collect())
}

pub(crate) async fn holders_delete(
    tx: &mut ScopedTx,
    hash: &Hash,
    roots: &[Uuid],
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        "DELETE FROM media.reference WHERE account = $1 AND hash = $2 AND root = ANY($3)",
        account.0,
        &hash[..],
        roots
    )
    .execute(tx.conn())
    .await
    .map(drop)
}
