//! All SQL of the ETL service.

mod reprocess;

use chrono::{DateTime, Utc};
use spine::ScopedTx;
use uuid::Uuid;

pub(crate) use reprocess::*;

/// An import.
#[derive(Debug, Clone)]
pub(crate) struct ImportRow {
    pub(crate) id: Uuid,
    pub(crate) filename: String,
    pub(crate) format: String,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) bytes: i64,
    pub(crate) position: i64,
    pub(crate) taken: i64,
    pub(crate) new: i64,
    pub(crate) known: i64,
    pub(crate) parked: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

/// What a batch adds to an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) position: i64,
    pub(crate) taken: i64,
    pub(crate) new: i64,
    pub(crate) known: i64,
    pub(crate) parked: i64,
}

/// Lets one transaction at a time begin uploads of the account, so that no two take the last place.
pub(crate) async fn uploads_lock(tx: &mut ScopedTx) -> Result<(), sqlx::Error> {
    lock(tx, "etl/upload/").await
}

async fn lock(tx: &mut ScopedTx, what: &str) -> Result<(), sqlx::Error> {
    let name = format!("{what}{}", tx.account());
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", name)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// How many imports have a file on the disk.
pub(crate) async fn import_open_count(tx: &mut ScopedTx) -> Result<i64, sqlx::Error> {
    let account = tx.account();
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM etl.import
        WHERE account = $1 AND state IN ('uploading', 'waiting', 'running')"#,
        account.0
    )
    .fetch_one(tx.conn())
    .await
}

/// Makes an import whose file is being uploaded.
pub(crate) async fn import_insert(
    tx: &mut ScopedTx,
    id: Uuid,
    filename: &str,
    format: &str,
) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        "INSERT INTO etl.import (account, id, filename, format, state, bytes, created_at)
        VALUES ($1, $2, $3, $4, 'uploading', 0, $5)",
        account.0,
        id,
        filename,
        format,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The file is there as a whole. False: the import was ended meanwhile.
pub(crate) async fn import_uploaded(tx: &mut ScopedTx, id: Uuid, bytes: i64) -> Result<bool, sqlx::Error> {
    let account = tx.account();
    let done = sqlx::query!(
        "UPDATE etl.import SET state = 'waiting', bytes = $3 WHERE account = $1 AND id = $2 AND state = 'uploading'",
        account.0,
        id,
        bytes
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() > 0)
}

/// The upload was refused or broke off: there is nothing to import.
pub(crate) async fn import_remove(tx: &mut ScopedTx, id: Uuid) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        "DELETE FROM etl.import WHERE account = $1 AND id = $2 AND state = 'uploading'",
        account.0,
        id
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Ends uploads that began before the hub did.
pub(crate) async fn uploads_end(tx: &mut ScopedTx, began: DateTime<Utc>) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        "UPDATE etl.import SET state = 'failed', reason = 'the hub stopped during the upload: upload the file again',
            finished_at = $3
        WHERE account = $1 AND state = 'uploading' AND created_at < $2",
        account.0,
        began,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(crate) async fn import_by_id(tx: &mut ScopedTx, id: Uuid) -> Result<Option<ImportRow>, sqlx::Error> {
    sqlx::query_as!(
        ImportRow,
        r#"SELECT id, filename, format, state, reason, bytes, position, taken, new AS "new!", known, parked, created_at,
            started_at, finished_at
        FROM etl.import WHERE id = $1"#,
        id
    )
    .fetch_optional(tx.conn())
    .await
}

/// As [`import_by_id`], and nobody else changes it until the commit.
pub(crate) async fn import_hold(tx: &mut ScopedTx, id: Uuid) -> Result<Option<ImportRow>, sqlx::Error> {
    sqlx::query_as!(
        ImportRow,
        r#"SELECT id, filename, format, state, reason, bytes, position, taken, new AS "new!", known, parked, created_at,
            started_at, finished_at
        FROM etl.import WHERE id = $1 FOR UPDATE"#,
        id
    )
    .fetch_optional(tx.conn())
    .await
}

/// The newest imports.
pub(crate) async fn import_list(tx: &mut ScopedTx, limit: i64) -> Result<Vec<ImportRow>, sqlx::Error> {
    sqlx::query_as!(
        ImportRow,
        r#"SELECT id, filename, format, state, reason, bytes, position, taken, new AS "new!", known, parked, created_at,
            started_at, finished_at
        FROM etl.import ORDER BY created_at DESC, id DESC LIMIT $1"#,
        limit
    )
    .fetch_all(tx.conn())
    .await
}

pub(crate) async fn import_start(tx: &mut ScopedTx, id: Uuid) -> Result<(), sqlx::Error> {
    let now = tx.now();
    sqlx::query!(
        "UPDATE etl.import SET state = 'running', started_at = coalesce(started_at, $2) WHERE id = $1 AND state = 'waiting'",
        id,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(crate) async fn import_advance(tx: &mut ScopedTx, id: Uuid, step: Step) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE etl.import SET position = least($2, bytes), taken = taken + $3, new = new + $4, known = known + $5,
            parked = parked + $6
        WHERE id = $1",
        id,
        step.position,
        step.taken,
        step.new,
        step.known,
        step.parked
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Ends an import that hasn't ended. False: it had.
pub(crate) async fn import_end(
    tx: &mut ScopedTx,
    id: Uuid,
    state: &str,
    reason: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let now = tx.now();
    let done = sqlx::query!(
        "UPDATE etl.import SET state = $2, reason = $3, finished_at = $4,
            position = CASE WHEN $2 = 'finished' THEN bytes ELSE position END
        WHERE id = $1 AND state IN ('uploading', 'waiting', 'running')",
        id,
        state,
        reason,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() > 0)
}
