//! The sealer: moves events from the outbox into the log, gapless, in batches, each one link of the signed chain.
//!
//! Invariant: one sealer at a time (an advisory lock), which numbers only what it deleted from the outbox in the
//! same transaction. A transaction that commits late is sealed later: no gaps, no waiting, nothing lost.

use std::time::Duration;

use sqlx::{PgPool, Postgres, Transaction};
use tokio_util::sync::CancellationToken;

use super::anchor::AnchorFile;
use super::chain::{self, ChainKey};
use super::wake::Wake;
use crate::backoff::Backoff;

/// Rows a batch at the most.
const BATCH_ROWS: i64 = 5000;
/// The floor when no wake-up comes, such as for rows that another process wrote.
const POLL: Duration = Duration::from_millis(500);
/// "allod" in ASCII, so that other users of advisory locks don't meet it by accident.
const LOCK: i64 = 0x0061_6c6c_6f64;
/// The partition after next is made this many rows before it is needed.
const PARTITION_MARGIN: i64 = 1_000_000;

/// Runs until it is stopped; waits and recovers when the database goes away.
pub(crate) async fn run(
    pool: PgPool,
    key: ChainKey,
    clock: std::sync::Arc<dyn contracts::Clock>,
    wake: Wake,
    mut anchor: AnchorFile,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() {
        match seal(&pool, &key, clock.as_ref()).await {
            Ok(sealed) => {
                backoff.succeeded("sealer");
                wake.head_moved(sealed.head);
                if sealed.rows > 0 {
                    anchor.head_is(sealed.head, &sealed.link);
                    contracts::failpoint::hit("sealed");
                }
                if sealed.rows == BATCH_ROWS {
                    continue;
                }
                tokio::select! {
                    () = wake.sealer_called() => {}
                    () = tokio::time::sleep(POLL) => anchor.flush(),
                    () = stop.cancelled() => {}
                }
            }
            Err(error) => backoff.failed("sealer", &error, &stop).await,
        }
    }
    anchor.flush();
}

/// What one pass did.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// How many rows moved.
    pub(crate) rows: i64,
    /// Where the log ends now.
    pub(crate) head: i64,
    /// The link of the last row.
    pub(crate) link: Vec<u8>,
}

/// Moves up to one batch. Returns at once when the outbox is empty.
pub(crate) async fn seal(
    pool: &PgPool,
    key: &ChainKey,
    clock: &dyn contracts::Clock,
) -> Result<Sealed, sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", LOCK)
        .execute(&mut *tx)
        .await?;
    // Under the lock, with a snapshot of its own: what the sealer before us committed is seen.
    let head = sqlx::query!("SELECT position, batch, hash FROM spine.log_head")
        .fetch_one(&mut *tx)
        .await?;
    let mut rows = take(&mut tx).await?;
    if rows.is_empty() {
        return Ok(Sealed {
            rows: 0,
            head: head.position,
            link: head.hash,
        });
    }
    let batch = head.batch + 1;
    let mut links = Vec::with_capacity(rows.len());
    let mut position = head.position;
    let mut before = head.hash;
    for row in &mut rows {
        position += 1;
        row.position = position;
        before = chain::link(&before, row).to_vec();
        links.push(before.clone());
    }
    let started = std::time::Instant::now();
    if position / PARTITION_MARGIN != head.position / PARTITION_MARGIN || head.position == 0 {
        sqlx::query!(
            "SELECT spine.log_partition_ensure($1)",
            position + PARTITION_MARGIN
        )
        .execute(&mut *tx)
        .await?;
    }
    append(&mut tx, batch, &rows, &links).await?;
    sqlx::query!(
        r#"
        WITH link AS (
            INSERT INTO spine.chain_batch (batch, first_position, last_position, hash, key_id, signature, sealed_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
        ), told AS (
            SELECT pg_notify('allod_sealed', $3::text)
        )
        UPDATE spine.log_head SET position = $3, batch = $1, hash = $4 FROM told
        "#,
        batch,
        head.position + 1,
        position,
        before,
        key.id(),
        key.sign(batch, position, &before),
        clock.now(),
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    metrics::counter!("allod_events_sealed_total").increment(rows.len() as u64);
    metrics::histogram!("allod_seal_seconds").record(started.elapsed().as_secs_f64());
    Ok(Sealed {
        rows: count,
        head: position,
        link: before,
    })
}

async fn take(tx: &mut Transaction<'_, Postgres>) -> Result<Vec<chain::Row>, sqlx::Error> {
    let mut rows = sqlx::query!(
        r#"
        DELETE FROM spine.outbox WHERE seq IN (SELECT seq FROM spine.outbox ORDER BY seq LIMIT $1)
        RETURNING seq, id, type AS kind, version, account, lane, subject, subject_version, actor, occurred_at,
            recorded_at, correlation, causation, depth, body_hash
        "#,
        BATCH_ROWS
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.sort_unstable_by_key(|row| row.seq);
    Ok(rows
        .into_iter()
        .map(|row| chain::Row {
            position: 0,
            id: row.id,
            kind: row.kind,
            version: row.version,
            account: row.account,
            lane: row.lane,
            subject: row.subject,
            subject_version: row.subject_version,
            actor: row.actor,
            occurred_at: row.occurred_at,
            recorded_at: row.recorded_at,
            correlation: row.correlation,
            causation: row.causation,
            depth: row.depth,
            body_hash: row.body_hash,
        })
        .collect())
}

async fn append(
    tx: &mut Transaction<'_, Postgres>,
    batch: i64,
    rows: &[chain::Row],
    links: &[Vec<u8>],
) -> Result<(), sqlx::Error> {
    macro_rules! column {
        (|$row:ident| $value:expr) => {
            &rows.iter().map(|$row| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        r#"
        INSERT INTO spine.event_log (position, id, type, version, account, lane, subject, subject_version, actor,
            occurred_at, recorded_at, correlation, causation, depth, body_hash, hash, batch)
        SELECT *, $17::bigint FROM unnest(
            $1::bigint[], $2::uuid[], $3::text[], $4::smallint[], $5::uuid[], $6::text[], $7::text[], $8::bigint[],
            $9::text[], $10::timestamptz[], $11::timestamptz[], $12::uuid[], $13::uuid[], $14::smallint[],
            $15::bytea[], $16::bytea[]
        )
        "#,
        column!(|row| row.position),
        column!(|row| row.id),
        column!(|row| row.kind.clone()),
        column!(|row| row.version),
        column!(|row| row.account),
        column!(|row| row.lane.clone()),
        column!(|row| row.subject.clone()) as &[Option<String>],
        column!(|row| row.subject_version) as &[Option<i64>],
        column!(|row| row.actor.clone()),
        column!(|row| row.occurred_at),
        column!(|row| row.recorded_at),
        column!(|row| row.correlation),
        column!(|row| row.causation) as &[Option<uuid::Uuid>],
        column!(|row| row.depth),
        column!(|row| row.body_hash.clone()),
        links,
        batch,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
