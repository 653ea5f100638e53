//! SQL of [`super::QueueAdmin`]. The account is a condition in every statement; `None` is the instance's operator.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{JobFilter, JobState};

#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) state: String,
    pub(super) data: Option<Value>,
    pub(super) output: Option<Value>,
    pub(super) priority: i32,
    pub(super) retry_count: i32,
    pub(super) retry_limit: i32,
    pub(super) created_on: DateTime<Utc>,
    pub(super) start_after: DateTime<Utc>,
    pub(super) started_on: Option<DateTime<Utc>>,
    pub(super) completed_on: Option<DateTime<Utc>>,
    pub(super) source_name: Option<String>,
    pub(super) source_id: Option<Uuid>,
}

pub(super) async fn job_list(
    pool: &PgPool,
    account: Option<Uuid>,
    filter: &JobFilter,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Row>, sqlx::Error> {
    // A page of each queue by its own index, then the newest of them all.
    sqlx::query_as!(
        Row,
        r#"SELECT j.id AS "id!", j.name AS "name!", j.state AS "state!", j.data, j.output, j.priority AS "priority!",
            j.retry_count AS "retry_count!", j.retry_limit AS "retry_limit!", j.created_on AS "created_on!",
            j.start_after AS "start_after!", j.started_on, j.completed_on, j.source_name, j.source_id
        FROM pgboss.queue q
        CROSS JOIN LATERAL (
            SELECT j.id, j.name, j.state::text, j.data, j.output, j.priority, j.retry_count, j.retry_limit,
                j.created_on, j.start_after, j.started_on, j.completed_on, j.source_name, j.source_id
            FROM pgboss.job j
            WHERE j.name = q.name AND ($1::uuid IS NULL OR j.data ->> 'account' = $1::text)
                AND ($3::text IS NULL OR j.state = $3::text::pgboss.job_state)
                AND ($5::timestamptz IS NULL OR (j.created_on, j.id) < ($5, $6::uuid))
            ORDER BY j.created_on DESC, j.id DESC
            LIMIT $7
        ) j
        WHERE q.name NOT LIKE '\_\_pgboss\_\_%' AND ($2::text IS NULL OR q.name = $2)
            AND ($4::bool IS NULL OR $4 = EXISTS (SELECT FROM pgboss.queue s WHERE s.dead_letter = q.name))
        ORDER BY j.created_on DESC, j.id DESC
        LIMIT $7"#,
        account,
        filter.queue.as_deref(),
        filter.state.map(JobState::as_str),
        filter.dead_letters,
        after.map(|(at, _)| at),
        after.map(|(_, id)| id),
        limit,
    )
    .fetch_all(pool)
    .await
}

pub(super) async fn job_by_id(
    pool: &PgPool,
    account: Option<Uuid>,
    id: Uuid,
) -> Result<Option<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"SELECT j.id, j.name, j.state::text AS "state!", j.data, j.output, j.priority, j.retry_count, j.retry_limit,
            j.created_on, j.start_after, j.started_on, j.completed_on, j.source_name, j.source_id
        FROM pgboss.queue q JOIN pgboss.job j ON j.name = q.name
        WHERE j.id = $1 AND ($2::uuid IS NULL OR j.data ->> 'account' = $2::text)"#,
        id,
        account,
    )
    .fetch_optional(pool)
    .await
}

/// Of a dead letter: the failed job runs again if it is still there, else a new one takes the dead letter's place.
/// Of a failed job: it runs again, and its dead letter goes. The id of what runs, if anything does.
pub(super) async fn job_retry(
    conn: &mut PgConnection,
    queue: &str,
    id: Uuid,
) -> Result<Option<Uuid>, sqlx::Error> {
    let again = sqlx::query_scalar!(
        "WITH letter AS (
            SELECT source_name, source_id FROM pgboss.job
            WHERE name = $1 AND id = $2 AND source_id IS NOT NULL AND state < 'active' FOR UPDATE
        )
        UPDATE pgboss.job j
        SET state = 'retry', retry_limit = greatest(retry_limit, retry_count) + 1, completed_on = NULL,
            start_after = now()
        WHERE j.state = 'failed' AND (j.name = $1 AND j.id = $2
            OR (j.name, j.id) = (SELECT source_name, source_id FROM letter))
        RETURNING j.id",
        queue,
        id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let again = if again.is_some() {
        again
    } else {
        sqlx::query_scalar!(
            "INSERT INTO pgboss.job (name, data, priority, retry_limit, retry_delay, retry_backoff, retry_delay_max,
                expire_seconds, deletion_seconds, keep_until, singleton_key, policy, dead_letter, heartbeat_seconds)
            SELECT q.name, l.data, l.priority, q.retry_limit, q.retry_delay, q.retry_backoff, q.retry_delay_max,
                q.expire_seconds, q.deletion_seconds, now() + make_interval(secs => q.retention_seconds),
                l.singleton_key, q.policy, q.dead_letter, q.heartbeat_seconds
            FROM pgboss.job l JOIN pgboss.queue q ON q.name = l.source_name
            WHERE l.name = $1 AND l.id = $2 AND l.state < 'active'
                -- The failed job may have been tried again, and be running or done, since.
                AND NOT EXISTS (SELECT FROM pgboss.job s WHERE s.name = l.source_name AND s.id = l.source_id)
            RETURNING id",
            queue,
            id,
        )
        .fetch_optional(&mut *conn)
        .await?
    };
    if let Some(again) = again {
        sqlx::query!(
            "DELETE FROM pgboss.job
            WHERE name IN (SELECT dead_letter FROM pgboss.queue WHERE dead_letter IS NOT NULL)
                AND (source_id = $1 OR id = $2) AND state < 'active'",
            again,
            id,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(again)
}

pub(super) async fn job_cancel(
    conn: &mut PgConnection,
    account: Option<Uuid>,
    id: Uuid,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "UPDATE pgboss.job SET state = 'cancelled', completed_on = now()
        WHERE name IN (SELECT name FROM pgboss.queue) AND id = $1 AND state < 'completed'
            AND ($2::uuid IS NULL OR data ->> 'account' = $2::text)",
        id,
        account,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn job_delete(
    conn: &mut PgConnection,
    account: Option<Uuid>,
    id: Uuid,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "DELETE FROM pgboss.job
        WHERE name IN (SELECT name FROM pgboss.queue) AND id = $1 AND state <> 'active'
            AND ($2::uuid IS NULL OR data ->> 'account' = $2::text)",
        id,
        account,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn job_counts(
    pool: &PgPool,
    account: Option<Uuid>,
) -> Result<Vec<(String, String, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT name, state::text AS "state!", count(*) AS "jobs!" FROM pgboss.job
        WHERE name NOT LIKE '\_\_pgboss\_\_%' AND ($1::uuid IS NULL OR data ->> 'account' = $1::text)
        GROUP BY name, state ORDER BY name, state"#,
        account,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.name, row.state, row.jobs))
        .collect())
}

pub(super) async fn account_erase(conn: &mut PgConnection, account: Uuid) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        "DELETE FROM pgboss.schedule WHERE data ->> 'account' = $1::uuid::text",
        account
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("DELETE FROM mq.rate_limit WHERE account = $1", account)
        .execute(&mut *conn)
        .await?;
    // Occurrences of schedules hold the data one level deeper.
    let jobs = sqlx::query!(
        "DELETE FROM pgboss.job
        WHERE data ->> 'account' = $1::uuid::text OR data -> 'data' ->> 'account' = $1::uuid::text",
        account
    )
    .execute(conn)
    .await?;
    Ok(jobs.rows_affected())
}
