//! SQL of the life of a job, and in [`upkeep`] of what goes on around it. What changes states in several steps
//! stands in the functions of schema `mq`.
//!
//! Where an attempt is meant, the state is compared as text: the planner, which believes that hardly any job is
//! active, would otherwise go through all active ones for each that is meant.

mod upkeep;
mod wire;

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::enqueue::Retry;
use super::model::RateLimit;
use super::runner::settle::Fence;
pub(super) use upkeep::*;
pub(super) use wire::{Place, Text};

/// The channel on which hubs tell each other of new work.
pub(super) const CHANNEL: &str = "allod_jobs";
/// On [`CHANNEL`]: look which jobs were cancelled.
pub(super) const CANCELLED: &str = "cancelled";

/// What `mq.send` takes.
pub(super) struct Send<'a> {
    pub(super) queue: &'a str,
    pub(super) ids: &'a [Uuid],
    /// JSON, as it goes over the wire.
    pub(super) data: &'a [Text],
    pub(super) priority: i32,
    pub(super) start_after: Option<DateTime<Utc>>,
    pub(super) singleton_key: Option<&'a str>,
    pub(super) slot: Option<i32>,
    pub(super) next_slot: bool,
    pub(super) retry: Retry,
    pub(super) heartbeat: Option<i32>,
    pub(super) rate: Option<&'a RateLimit>,
}

pub(super) async fn send(conn: &mut PgConnection, send: Send<'_>) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT id AS "id!" FROM mq.send($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) AS id"#,
        send.queue,
        send.ids,
        send.data as _,
        send.priority,
        send.start_after,
        send.singleton_key,
        send.slot,
        send.next_slot,
        send.retry.limit,
        send.retry.delay,
        send.retry.delay_max,
        send.retry.expire,
        send.heartbeat,
        send.rate.map(|rate| rate.key.as_str()),
        send.rate.map(|rate| i32::try_from(rate.count).unwrap_or(i32::MAX)),
        send.rate.map(|rate| rate.period.as_secs_f64()),
    )
    .fetch_all(conn)
    .await
}

/// What `mq.send_active` takes.
pub(super) struct Order {
    pub(super) queue: &'static str,
    pub(super) id: Uuid,
    pub(super) data: Text,
    pub(super) priority: i32,
    pub(super) retry: Retry,
    pub(super) hub: i32,
}

/// Puts a job in as the first attempt of this hub. `None`: the queue isn't there or has a policy of its own.
pub(super) async fn send_active(
    conn: &mut PgConnection,
    order: Order,
) -> Result<Option<Fetched>, sqlx::Error> {
    let retry = order.retry;
    let put = sqlx::query!(
        r#"
        SELECT place AS "place!: Place", started AS "started!"
        FROM mq.send_active($1, $2, $3, $4, $5, $6, $7, $8, $9)
        "#,
        order.queue,
        order.id,
        &order.data as _,
        order.priority,
        retry.limit,
        retry.delay,
        retry.delay_max,
        retry.expire,
        order.hub,
    )
    .fetch_optional(conn)
    .await?;
    Ok(put.map(|put| Fetched {
        id: order.id,
        name: order.queue.to_owned(),
        data: Some(order.data),
        priority: order.priority,
        retry_count: 0,
        retry_limit: retry.limit,
        expire_seconds: retry.expire,
        started_on: put.started,
        place: put.place,
    }))
}

pub(super) async fn queue_create(
    pool: impl PgExecutor<'_>,
    queue: &str,
    retry: Retry,
) -> Result<(), sqlx::Error> {
    let Retry {
        limit,
        delay,
        delay_max,
        expire,
    } = retry;
    sqlx::query!(
        "SELECT mq.queue_create($1, $2, $3, $4, $5)",
        queue,
        limit,
        delay,
        delay_max,
        expire
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// A job that was just made active by us.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) data: Option<Text>,
    pub(super) priority: i32,
    pub(super) retry_count: i32,
    pub(super) retry_limit: i32,
    pub(super) expire_seconds: i32,
    pub(super) started_on: DateTime<Utc>,
    pub(super) place: Place,
}

/// Makes up to `limit` jobs of these queues active, most urgent and oldest first, and marks them as this hub's.
pub(super) async fn fetch(
    pool: &PgPool,
    queues: &[String],
    hub: i32,
    limit: i64,
) -> Result<Vec<Fetched>, sqlx::Error> {
    sqlx::query_as!(
        Fetched,
        r#"WITH due AS (
            SELECT c.part, c.place, c.attempt
            FROM unnest($1::text[]) AS q (name)
            CROSS JOIN LATERAL (
                SELECT j.tableoid AS part, j.ctid AS place, j.priority, j.created_on,
                    j.retry_count + (j.started_on IS NOT NULL)::int AS attempt
                FROM pgboss.job j
                WHERE j.name = q.name AND j.state < 'active' AND NOT j.blocked AND j.start_after <= now()
                    -- Policies that a Node program may have given to a queue: one active a key; strictly in order.
                    AND (j.policy IS NULL OR j.policy IN ('standard', 'exclusive', 'short')
                        OR j.policy IN ('singleton', 'stately') AND NOT EXISTS (
                            SELECT FROM pgboss.job a
                            WHERE a.name = q.name AND a.policy = j.policy AND a.id <> j.id
                                AND coalesce(a.singleton_key, '') = coalesce(j.singleton_key, '')
                                AND (a.state = 'active' OR a.state < 'active' AND a.start_after <= now()
                                    AND NOT a.blocked
                                    AND (-a.priority, a.created_on, a.id) < (-j.priority, j.created_on, j.id)))
                        OR j.policy = 'key_strict_fifo' AND NOT EXISTS (
                            SELECT FROM pgboss.job a
                            WHERE a.name = q.name AND a.policy = 'key_strict_fifo' AND a.id <> j.id
                                AND a.singleton_key = j.singleton_key
                                AND (a.state IN ('active', 'retry', 'failed')
                                    OR j.state = 'created' AND a.state = 'created' AND NOT a.blocked
                                    AND a.start_after <= now() AND (a.created_on, a.id) < (j.created_on, j.id))))
                ORDER BY j.priority DESC, j.created_on
                LIMIT $2
                FOR UPDATE OF j SKIP LOCKED
            ) c
            ORDER BY c.priority DESC, c.created_on
            LIMIT $2
        )
        UPDATE pgboss.job j
        SET state = 'active', started_on = now(), heartbeat_on = now(), retry_count = due.attempt,
            output = jsonb_build_object('hub', $3::int, 'attempt', due.attempt)
        FROM due
        WHERE j.tableoid = due.part AND j.ctid = due.place
        RETURNING j.id, j.name, j.data AS "data: Text", j.priority, j.retry_count, j.retry_limit, j.expire_seconds,
            j.started_on AS "started_on!", j.ctid AS "place!: Place""#,
        queues,
        limit,
        hub,
    )
    .fetch_all(pool)
    .await
}

/// The columns that say which attempt of which job is meant, as arrays for `unnest`.
struct Fences {
    queues: Vec<String>,
    ids: Vec<Uuid>,
    attempts: Vec<i32>,
    started: Vec<DateTime<Utc>>,
    places: Vec<Place>,
}

impl<'a> FromIterator<&'a Fence> for Fences {
    fn from_iter<I: IntoIterator<Item = &'a Fence>>(fences: I) -> Self {
        let mut all = Self {
            queues: vec![],
            ids: vec![],
            attempts: vec![],
            started: vec![],
            places: vec![],
        };
        for fence in fences {
            all.queues.push(fence.queue.to_string());
            all.ids.push(fence.id);
            all.attempts.push(fence.attempt);
            all.started.push(fence.started_on);
            all.places.push(fence.place);
        }
        all
    }
}

/// Completes what still runs under these fences; returns the ids of what did.
pub(super) async fn complete(pool: &PgPool, done: &[(Fence, Value)]) -> Result<Vec<Uuid>, sqlx::Error> {
    let mut held = complete_in_place(pool, done).await?;
    if held.len() < done.len() {
        let found: HashSet<Uuid> = held.iter().copied().collect();
        let moved: Vec<_> = done
            .iter()
            .filter(|(fence, _)| !found.contains(&fence.id))
            .cloned()
            .collect();
        held.extend(complete_anywhere(pool, &moved).await?);
    }
    Ok(held)
}

/// Of those whose row is where the fetch left it, which needs no index: all but what made progress or beat meanwhile.
async fn complete_in_place(pool: &PgPool, done: &[(Fence, Value)]) -> Result<Vec<Uuid>, sqlx::Error> {
    let fences: Fences = done.iter().map(|(fence, _)| fence).collect();
    let outputs: Vec<&Value> = done.iter().map(|(_, output)| output).collect();
    sqlx::query_scalar!(
        "UPDATE pgboss.job j
        SET state = 'completed', completed_on = now(), output = nullif(d.output, 'null'::jsonb)
        FROM unnest($1::text[], $2::uuid[], $3::int[], $4::timestamptz[], $5::jsonb[], $6::tid[])
            AS d (name, id, attempt, started_on, output, place)
        WHERE j.ctid = d.place AND j.name = d.name AND j.id = d.id AND j.state::text = 'active'
            AND j.retry_count = d.attempt AND j.started_on = d.started_on
        RETURNING j.id",
        &fences.queues,
        &fences.ids,
        &fences.attempts,
        &fences.started,
        outputs as _,
        fences.places as _,
    )
    .fetch_all(pool)
    .await
}

async fn complete_anywhere(pool: &PgPool, done: &[(Fence, Value)]) -> Result<Vec<Uuid>, sqlx::Error> {
    let fences: Fences = done.iter().map(|(fence, _)| fence).collect();
    let outputs: Vec<&Value> = done.iter().map(|(_, output)| output).collect();
    sqlx::query_scalar!(
        "UPDATE pgboss.job j
        SET state = 'completed', completed_on = now(), output = nullif(d.output, 'null'::jsonb)
        FROM unnest($1::text[], $2::uuid[], $3::int[], $4::timestamptz[], $5::jsonb[])
            AS d (name, id, attempt, started_on, output)
        WHERE j.name = d.name AND j.id = d.id AND j.state::text = 'active' AND j.retry_count = d.attempt
            AND j.started_on = d.started_on
        RETURNING j.id",
        &fences.queues,
        &fences.ids,
        &fences.attempts,
        &fences.started,
        outputs as _,
    )
    .fetch_all(pool)
    .await
}

/// An attempt without success: what it says, whether and when to try again.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) fence: Fence,
    pub(super) output: Value,
    pub(super) again: bool,
    pub(super) after: Option<f64>,
}

/// Ends these attempts; returns id and `retry`, `failed` or `lost` of each.
pub(super) async fn fail(pool: &PgPool, failures: &[Failure]) -> Result<Vec<(Uuid, String)>, sqlx::Error> {
    let fences: Fences = failures.iter().map(|failure| &failure.fence).collect();
    let outputs: Vec<Value> = failures.iter().map(|failure| failure.output.clone()).collect();
    let again: Vec<bool> = failures.iter().map(|failure| failure.again).collect();
    let after: Vec<f64> = failures
        .iter()
        .map(|failure| failure.after.unwrap_or(-1.0))
        .collect();
    let rows = sqlx::query!(
        r#"SELECT f.id AS "id!", mq.fail(f.name, f.id, f.attempt, f.started_on, f.output, f.again, nullif(f.after, -1))
            AS "outcome!"
        FROM unnest($1::text[], $2::uuid[], $3::int[], $4::timestamptz[], $5::jsonb[], $6::bool[], $7::float8[])
            AS f (name, id, attempt, started_on, output, again, after)"#,
        &fences.queues,
        &fences.ids,
        &fences.attempts,
        &fences.started,
        &outputs,
        &again,
        &after,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.outcome)).collect())
}

/// Gives back what a stopping hub can't finish; the attempts don't count.
pub(super) async fn give_back(pool: &PgPool, fences: &[Fence]) -> Result<(), sqlx::Error> {
    let all: Fences = fences.iter().collect();
    sqlx::query!(
        "SELECT mq.give_back(f.name, f.id, f.attempt, f.started_on)
        FROM unnest($1::text[], $2::uuid[], $3::int[], $4::timestamptz[]) AS f (name, id, attempt, started_on)",
        &all.queues,
        &all.ids,
        &all.attempts,
        &all.started,
    )
    .fetch_all(pool)
    .await?;
    Ok(())
}

/// Shows progress; returns the ids of the attempts that still run.
pub(super) async fn progress(pool: &PgPool, said: &[(Fence, Value)]) -> Result<Vec<Uuid>, sqlx::Error> {
    let fences: Fences = said.iter().map(|(fence, _)| fence).collect();
    let values: Vec<Value> = said.iter().map(|(_, value)| value.clone()).collect();
    sqlx::query_scalar!(
        "UPDATE pgboss.job j
        SET output = j.output || jsonb_build_object('progress', p.value), heartbeat_on = now()
        FROM unnest($1::text[], $2::uuid[], $3::int[], $4::timestamptz[], $5::jsonb[])
            AS p (name, id, attempt, started_on, value)
        WHERE j.name = p.name AND j.id = p.id AND j.state::text = 'active' AND j.retry_count = p.attempt
            AND j.started_on = p.started_on
        RETURNING j.id",
        &fences.queues,
        &fences.ids,
        &fences.attempts,
        &fences.started,
        &values,
    )
    .fetch_all(pool)
    .await
}

/// Lets the hearts of long jobs beat; returns those that don't run under their fences any more.
pub(super) async fn watch(pool: &PgPool, running: &[Fence]) -> Result<Vec<Uuid>, sqlx::Error> {
    let all: Fences = running.iter().collect();
    sqlx::query_scalar!(
        r#"WITH mine AS (
            SELECT * FROM unnest($1::text[], $2::uuid[], $3::int[], $4::timestamptz[])
                AS m (name, id, attempt, started_on)
        ), beat AS (
            UPDATE pgboss.job j SET heartbeat_on = now()
            FROM mine m
            WHERE j.name = m.name AND j.id = m.id AND j.state::text = 'active' AND j.retry_count = m.attempt
                AND j.started_on = m.started_on
                AND j.heartbeat_on + make_interval(secs => j.heartbeat_seconds / 3.0) < now()
        )
        SELECT m.id AS "id!" FROM mine m
        WHERE NOT EXISTS (
            SELECT FROM pgboss.job j
            WHERE j.name = m.name AND j.id = m.id AND j.state::text = 'active' AND j.retry_count = m.attempt
                AND j.started_on = m.started_on
        )"#,
        &all.queues,
        &all.ids,
        &all.attempts,
        &all.started,
    )
    .fetch_all(pool)
    .await
}

pub(super) async fn notify(pool: impl PgExecutor<'_>, payload: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT pg_notify($1, $2)", CHANNEL, payload)
        .execute(pool)
        .await?;
    Ok(())
}
