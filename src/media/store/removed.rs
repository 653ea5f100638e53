//! What the owner removed for good, and from whom.

use spine::ScopedTx;
use uuid::Uuid;

use crate::blobs::Hash;

/// Whoever holds the content is not to bring it again.
pub(crate) async fn removed_add(tx: &mut ScopedTx, hash: &Hash) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        r#"
        INSERT INTO media.removed (account, hash, holder)
        SELECT r.account, r.hash, h.holder FROM media.reference r CROSS JOIN LATERAL (VALUES (r.holder), (r.root)) AS h (holder)
        WHERE r.account = $1 AND r.hash = $2
        ON CONFLICT DO NOTHING
        "#,
        account.0,
        &hash[..]
    )
    .execute(tx.conn())
    .await
    .map(drop)
}

pub(crate) async fn is_removed(tx: &mut ScopedTx, hash: &Hash, holder: Uuid) -> Result<bool, sqlx::Error> {
    let account = tx.account();
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM media.removed WHERE account = $1 AND hash = $2 AND holder = $3) AS "is!""#,
        account.0,
        &hash[..],
        holder
    )
    .fetch_one(tx.conn())
    .await
}

/// A holder was merged into another, who brings what it brought.
pub(crate) async fn removed_merge(
    tx: &mut ScopedTx,
    absorbed: Uuid,
    survivor: Uuid,
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        r#"
        INSERT INTO media.removed (account, hash, holder)
        SELECT account, hash, $3 FROM media.removed WHERE account = $1 AND holder = $2 ON CONFLICT DO NOTHING
        "#,
        account.0,
        absorbed,
        survivor
    )
    .execute(tx.conn())
    .await
    .map(drop)
}

/// Holders were erased: nothing that names them stays.
pub(crate) async fn removed_forget(tx: &mut ScopedTx, holders: &[Uuid]) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        "DELETE FROM media.removed WHERE account = $1 AND holder = ANY($2)",
        account.0,
        holders
    )
    .execute(tx.conn())
    .await
    .map(drop)
}
