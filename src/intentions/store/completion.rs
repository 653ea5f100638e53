//! What was done.

use chrono::{DateTime, Utc};
use contracts::EntityId;
use spine::{AccessError, ScopedTx};

/// Notes that an occurrence was done. False: it was noted before.
pub(crate) async fn completion_insert(
    tx: &mut ScopedTx,
    entity: EntityId,
    occurrence: &str,
    due_at: Option<DateTime<Utc>>,
    completed_at: DateTime<Utc>,
) -> Result<bool, AccessError> {
    let account = tx.account();
    let done = sqlx::query!(
        r#"
        INSERT INTO intentions.completion (account, entity, occurrence, due_at, completed_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING
        "#,
        account.0,
        entity.0,
        occurrence,
        due_at,
        completed_at
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// An occurrence is open again.
pub(crate) async fn completion_remove(
    tx: &mut ScopedTx,
    entity: EntityId,
    occurrence: &str,
) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        "DELETE FROM intentions.completion WHERE account = $1 AND entity = $2 AND occurrence = $3",
        account.0,
        entity.0,
        occurrence
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// An occurrence that was done.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) occurrence: String,
    pub(crate) completed_at: DateTime<Utc>,
}

/// What was done of a task, newest first, at most 100.
pub(crate) async fn completion_list(
    tx: &mut ScopedTx,
    entity: EntityId,
) -> Result<Vec<Completion>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        Completion,
        r#"
        SELECT occurrence, completed_at FROM intentions.completion WHERE account = $1 AND entity = $2
        ORDER BY completed_at DESC, occurrence DESC LIMIT 100
        "#,
        account.0,
        entity.0
    )
    .fetch_all(tx.conn())
    .await?)
}
