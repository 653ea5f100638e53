//! SQL of the upkeep: the list of hubs, expiry, retention, schedules.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

/// The channel on which pg-boss tells of jobs that Node programs send.
pub(in crate::queue) async fn pgboss_channel(pool: impl PgExecutor<'_>) -> Result<String, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT 'pgboss_' || left(encode(sha224('pgboss'), 'hex'), 24) AS "channel!""#)
        .fetch_one(pool)
        .await
}

/// Enters a hub into the list, with its lock held by this very session for as long as the session lives.
pub(in crate::queue) async fn hub_enter(session: impl PgExecutor<'_>) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!("INSERT INTO mq.instance DEFAULT VALUES RETURNING number")
        .fetch_one(session)
        .await
}

pub(in crate::queue) async fn hub_lock(session: impl PgExecutor<'_>, hub: i32) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT (pg_try_advisory_lock(1634495599, $1) AND EXISTS (SELECT FROM mq.instance WHERE number = $1)) AS "held!""#,
        hub
    )
    .fetch_one(session)
    .await
}

pub(in crate::queue) async fn hub_leave(pool: &PgPool, hub: i32) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM mq.instance WHERE number = $1", hub)
        .execute(pool)
        .await?;
    Ok(())
}

/// The hubs whose lock nobody holds.
pub(in crate::queue) async fn hub_silent(pool: &PgPool, but: i32) -> Result<Vec<i32>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT i.number FROM mq.instance i
        WHERE i.number <> $1 AND NOT EXISTS (
            SELECT FROM pg_locks l
            WHERE l.locktype = 'advisory' AND l.classid = 1634495599 AND l.objid = i.number::oid AND l.objsubid = 2
                AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        )",
        but
    )
    .fetch_all(pool)
    .await
}

/// Tries again what dead hubs were running, and forgets them. Returns how many jobs.
pub(in crate::queue) async fn hub_bury(pool: &PgPool, hubs: &[i32]) -> Result<i32, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let count = sqlx::query_scalar!(r#"SELECT mq.requeue($1) AS "count!""#, hubs)
        .fetch_one(&mut *tx)
        .await?;
    sqlx::query!("DELETE FROM mq.instance WHERE number = ANY($1)", hubs)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(count)
}

pub(in crate::queue) async fn expire(pool: &PgPool, grace: f64) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT mq.expire($1, 500) AS "count!""#, grace)
        .fetch_one(pool)
        .await
}

pub(in crate::queue) async fn prune(pool: &PgPool) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT mq.prune(2000) AS "count!""#)
        .fetch_one(pool)
        .await
}

/// How many jobs of each of these queues could start now.
pub(in crate::queue) async fn waiting(pool: &PgPool, queues: &[String]) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM pgboss.job
        WHERE name = ANY($1) AND state IN ('created', 'retry') AND NOT blocked AND start_after <= now()"#,
        queues
    )
    .fetch_one(pool)
    .await
}

/// A row of `pgboss.schedule`.
#[derive(Debug, Clone)]
pub(in crate::queue) struct ScheduleRow {
    pub(in crate::queue) name: String,
    pub(in crate::queue) key: String,
    pub(in crate::queue) cron: String,
    pub(in crate::queue) timezone: Option<String>,
    pub(in crate::queue) data: Option<Value>,
    pub(in crate::queue) missed: Option<String>,
    pub(in crate::queue) created_on: DateTime<Utc>,
}

pub(in crate::queue) async fn schedules(conn: impl PgExecutor<'_>) -> Result<Vec<ScheduleRow>, sqlx::Error> {
    sqlx::query_as!(
        ScheduleRow,
        "SELECT name, key, cron, timezone, data, options ->> 'missed' AS missed, created_on FROM pgboss.schedule
        WHERE kind = 'cron' ORDER BY name, key LIMIT 10000"
    )
    .fetch_all(conn)
    .await
}

pub(in crate::queue) async fn schedule_put(
    conn: &mut PgConnection,
    (queue, key): (&str, &str),
    (cron, timezone): (&str, &str),
    data: &Value,
    options: &Value,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO pgboss.schedule (name, key, kind, cron, timezone, data, options)
        VALUES ($1, $2, 'cron', $3, $4, $5, $6)
        ON CONFLICT (name, key) DO UPDATE SET kind = 'cron', cron = excluded.cron, timezone = excluded.timezone,
            data = excluded.data, options = excluded.options, updated_on = now()",
        queue,
        key,
        cron,
        timezone,
        data,
        options,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::queue) async fn schedule_delete(
    conn: &mut PgConnection,
    queue: &str,
    key: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "DELETE FROM pgboss.schedule WHERE name = $1 AND key = $2",
        queue,
        key
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Fires one occurrence, unless somebody did. The job's id, if it was us and no key swallowed it.
pub(in crate::queue) async fn fire(
    pool: &PgPool,
    schedule: &ScheduleRow,
    claim_key: &str,
    slot: NaiveDateTime,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT mq.fire($1, $2, $3, $4)",
        schedule.name,
        schedule.key,
        claim_key,
        slot
    )
    .fetch_one(pool)
    .await
}

pub(in crate::queue) async fn forward_left(pool: &PgPool) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT mq.forward_left(20) AS "count!""#)
        .fetch_one(pool)
        .await
}

/// When a timekeeper, ours or a Node program's, last looked; moved to now when that is long ago.
pub(in crate::queue) async fn cron_seen(pool: &PgPool) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"WITH before AS (SELECT cron_on FROM pgboss.version), seen AS (
            UPDATE pgboss.version SET cron_on = now()
            WHERE cron_on IS NULL OR cron_on < now() - interval '45 seconds'
        )
        SELECT cron_on FROM before"#
    )
    .fetch_one(pool)
    .await
}
