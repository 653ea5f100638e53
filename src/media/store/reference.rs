//! Who needs which content.

use chrono::{DateTime, Utc};
use spine::ScopedTx;
use uuid::Uuid;

use crate::blobs::Hash;

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

/// A holder is deleted (since `at`, unless that is known), or lives.
pub(crate) async fn holder_release(
    tx: &mut ScopedTx,
    root: Uuid,
    at: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        "UPDATE media.reference SET released_at = CASE WHEN $3::timestamptz IS NOT NULL THEN coalesce(released_at, $3) END
            WHERE account = $1 AND root = $2",
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
