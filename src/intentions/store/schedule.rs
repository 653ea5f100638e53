//! Schedules.

use chrono::{DateTime, Utc};
use contracts::ScheduleId;
use spine::{AccessError, ScopedTx};
use uuid::Uuid;

/// A schedule.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) cron: Option<String>,
    pub(crate) rrule: Option<String>,
    pub(crate) starts: Option<String>,
    pub(crate) zone: Option<String>,
    pub(crate) catch_up: String,
    pub(crate) paused: bool,
    pub(crate) next_at: Option<DateTime<Utc>>,
    pub(crate) last_planned_at: Option<DateTime<Utc>>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// All schedules by name, at most 1,000.
pub(crate) async fn schedule_list(
    tx: &mut ScopedTx,
    after: &str,
    limit: i64,
) -> Result<Vec<Schedule>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        Schedule,
        r#"
        SELECT id, name, cron, rrule, starts, zone, catch_up, paused, next_at, last_planned_at, created_at, updated_at
        FROM intentions.schedule WHERE account = $1 AND name > $2 ORDER BY name LIMIT $3
        "#,
        account.0,
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Schedules that fire by the owner's clock and have something before them, held until the commit: nobody pauses or
/// changes one meanwhile.
pub(crate) async fn schedule_hold_zoneless(tx: &mut ScopedTx) -> Result<Vec<Schedule>, AccessError> {
    let (account, now) = (tx.account(), tx.now());
    Ok(sqlx::query_as!(
        Schedule,
        r#"
        SELECT id, name, cron, rrule, starts, zone, catch_up, paused, next_at, last_planned_at, created_at, updated_at
        FROM intentions.schedule WHERE account = $1 AND zone IS NULL AND next_at > $2 ORDER BY name FOR UPDATE
        "#,
        account.0,
        now
    )
    .fetch_all(tx.conn())
    .await?)
}

/// The schedule of this id, or of this name.
pub(crate) async fn schedule_by_name(
    tx: &mut ScopedTx,
    id_or_name: &str,
) -> Result<Option<Schedule>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        Schedule,
        r#"
        SELECT id, name, cron, rrule, starts, zone, catch_up, paused, next_at, last_planned_at, created_at, updated_at
        FROM intentions.schedule WHERE account = $1 AND (id::text = lower($2) OR name = $2)
        ORDER BY (id::text = lower($2)) DESC LIMIT 1 FOR UPDATE
        "#,
        account.0,
        id_or_name
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// The schedule, locked, if its moment has come and no other transaction is telling of it.
pub(crate) async fn schedule_take_due(
    tx: &mut ScopedTx,
    id: ScheduleId,
) -> Result<Option<Schedule>, AccessError> {
    let (account, now) = (tx.account(), tx.now());
    Ok(sqlx::query_as!(
        Schedule,
        r#"
        SELECT id, name, cron, rrule, starts, zone, catch_up, paused, next_at, last_planned_at, created_at, updated_at
        FROM intentions.schedule WHERE account = $1 AND id = $2 AND next_at <= $3 FOR UPDATE SKIP LOCKED
        "#,
        account.0,
        id.0,
        now
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// Schedules of the account whose moment has come, those that wait longest first, at most 500.
pub(crate) async fn schedule_due_list(tx: &mut ScopedTx) -> Result<Vec<ScheduleId>, AccessError> {
    let (account, now) = (tx.account(), tx.now());
    let found = sqlx::query_scalar!(
        r#"
        SELECT id FROM intentions.schedule WHERE account = $1 AND next_at <= $2 ORDER BY next_at, id LIMIT 500
        "#,
        account.0,
        now
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(found.into_iter().map(ScheduleId).collect())
}

/// Makes a schedule. False: the name is taken.
pub(crate) async fn schedule_insert(tx: &mut ScopedTx, schedule: &Schedule) -> Result<bool, AccessError> {
    let account = tx.account();
    let done = sqlx::query!(
        r#"
        INSERT INTO intentions.schedule (account, id, name, cron, rrule, starts, zone, catch_up, paused, next_at,
            last_planned_at, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (account, name) DO NOTHING
        "#,
        account.0,
        schedule.id,
        schedule.name,
        schedule.cron,
        schedule.rrule,
        schedule.starts,
        schedule.zone,
        schedule.catch_up,
        schedule.paused,
        schedule.next_at,
        schedule.last_planned_at,
        schedule.created_at,
        schedule.updated_at
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes what may change of a schedule. Its name stays: rules know it by that.
pub(crate) async fn schedule_update(tx: &mut ScopedTx, schedule: &Schedule) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        r#"
        UPDATE intentions.schedule SET cron = $3, rrule = $4, starts = $5, zone = $6, catch_up = $7, paused = $8,
            next_at = $9, last_planned_at = $10, updated_at = $11
        WHERE account = $1 AND id = $2
        "#,
        account.0,
        schedule.id,
        schedule.cron,
        schedule.rrule,
        schedule.starts,
        schedule.zone,
        schedule.catch_up,
        schedule.paused,
        schedule.next_at,
        schedule.last_planned_at,
        schedule.updated_at
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Removes a schedule.
pub(crate) async fn schedule_remove(tx: &mut ScopedTx, id: ScheduleId) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        "DELETE FROM intentions.schedule WHERE account = $1 AND id = $2",
        account.0,
        id.0
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
