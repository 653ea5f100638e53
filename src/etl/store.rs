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

pub(crate) async fn import_insert(
    tx: &mut ScopedTx,
    id: Uuid,
    filename: &str,
    format: &str,
    bytes: i64,
) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        "INSERT INTO etl.import (account, id, filename, format, state, bytes, created_at)
        VALUES ($1, $2, $3, $4, 'waiting', $5, $6)",
        account.0,
        id,
        filename,
        format,
        bytes,
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
        WHERE id = $1 AND state IN ('waiting', 'running')",
        id,
        state,
        reason,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() > 0)
}
