//! The sealer: moves events from the outbox into the log, gapless, in batches, each one link of the signed chain.
//!
//! Invariant: one sealer at a time (an advisory lock), which numbers only what it deleted from the outbox in the
//! same transaction. A transaction that commits late is sealed later: no gaps, no waiting, nothing lost.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::Lane;
use sqlx::{PgPool, Postgres, Transaction};
use tokio_util::sync::CancellationToken;

use super::anchor::AnchorFile;
use super::chain::{self, ChainKey};
use super::wake::{SealedBatch, Wake};
use crate::backoff::Backoff;

/// Rows a batch at the most.
const BATCH_ROWS: i64 = 5000;
/// The floor when no wake-up comes, such as for rows that another process wrote.
const POLL: Duration = Duration::from_millis(500);
/// Rows that were put before others and committed so much later are found by the next look from the start.
const LATE_ROWS: i64 = 50_000;
/// "allod" in ASCII, so that other users of advisory locks don't meet it by accident.
const LOCK: i64 = 0x0061_6c6c_6f64;
/// The partition after next is made this many rows before it is needed.
const PARTITION_MARGIN: i64 = 1_000_000;

/// What the sealer works with.
#[derive(Clone)]
pub(crate) struct Sealer {
    pub(crate) pool: PgPool,
    pub(crate) key: ChainKey,
    pub(crate) clock: Arc<dyn contracts::Clock>,
    pub(crate) wake: Wake,
    /// Where the anchor lies.
    pub(crate) anchor: PathBuf,
    pub(crate) stop: CancellationToken,
}

/// Runs until it is stopped; waits and recovers when the database goes away.
pub(crate) async fn run(sealer: Sealer) {
    let Sealer {
        pool,
        key,
        clock,
        wake,
        anchor,
        stop,
    } = sealer;
    let mut backoff = Backoff::default();
    let mut anchor = loop {
        match AnchorFile::open(anchor.clone(), &pool).await {
            Ok(anchor) => break anchor,
            Err(_) if stop.is_cancelled() => return,
            Err(error) => backoff.failed("sealer", &error, &stop).await,
        }
    };
    let mut look = Look::new();
    while !stop.is_cancelled() {
        match seal(&pool, &key, clock.as_ref(), look.next()).await {
            Ok(sealed) => {
                look.moved(sealed.last_seq);
                backoff.succeeded("sealer");
                if let Some(batch) = sealed.batch {
                    wake.batch_sealed(batch);
                }
                wake.head_moved(sealed.head);
                anchor.head_is((sealed.before.0, &sealed.before.1), (sealed.head, &sealed.link));
                if sealed.rows > 0 {
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
    anchor.finish().await;
}

/// What one pass did.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// How many rows moved.
    pub(crate) rows: i64,
    /// Where the log ended before, and the link of that row.
    before: (i64, Vec<u8>),
    /// Where the log ends now.
    pub(crate) head: i64,
    /// The link of the last row.
    pub(crate) link: Vec<u8>,
    /// Where the last row lay in the outbox.
    last_seq: i64,
    /// What moved, if anything did.
    batch: Option<SealedBatch>,
}

/// Where to begin looking in the outbox. What was moved leaves dead entries in its index until the next vacuum, by the
/// million under load, and walking over them from the start would be most of a batch's work.
struct Look {
    begin: i64,
    from_start: Instant,
}

impl Look {
    fn new() -> Self {
        Self {
            begin: 0,
            from_start: Instant::now(),
        }
    }

    /// Every [`POLL`] from the start, since a transaction that took its place before many others may commit last.
    fn next(&mut self) -> i64 {
        if self.from_start.elapsed() >= POLL {
            *self = Self::new();
        }
        self.begin
    }

    /// Usually those who commit later stand close by: they are found at once.
    fn moved(&mut self, last_seq: i64) {
        self.begin = self.begin.max(last_seq - LATE_ROWS);
    }
}

/// Moves up to one batch of what lies in the outbox after `begin`. Returns at once when that is nothing.
pub(crate) async fn seal(
    pool: &PgPool,
    key: &ChainKey,
    clock: &dyn contracts::Clock,
    begin: i64,
) -> Result<Sealed, sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", LOCK)
        .execute(&mut *tx)
        .await?;
    // Under the lock, with a snapshot of its own: what the sealer before us committed is seen.
    let head = sqlx::query!("SELECT position, batch, hash FROM spine.log_head")
        .fetch_one(&mut *tx)
        .await?;
    let waiting = read(&mut tx, begin).await?;
    if waiting.is_empty() {
        return Ok(Sealed {
            rows: 0,
            before: (head.position, head.hash.clone()),
            head: head.position,
            link: head.hash,
            last_seq: 0,
            batch: None,
        });
    }
    let started = Instant::now();
    let holds = kinds(&waiting);
    let Linked { seqs, links, link } = link_all(waiting, head.position, &head.hash);
    let count = i64::try_from(seqs.len()).unwrap_or(i64::MAX);
    let (batch, position) = (head.batch + 1, head.position + count);
    if position / PARTITION_MARGIN != head.position / PARTITION_MARGIN || head.position == 0 {
        sqlx::query!(
            "SELECT spine.log_partition_ensure($1)",
            position + PARTITION_MARGIN
        )
        .execute(&mut *tx)
        .await?;
    }
    move_rows(&mut tx, batch, head.position, &seqs, &links).await?;
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
        &link[..],
        key.id(),
        key.sign(batch, position, &link),
        clock.now(),
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    metrics::counter!("allod_events_sealed_total").increment(seqs.len() as u64);
    metrics::histogram!("allod_seal_seconds").record(started.elapsed().as_secs_f64());
    Ok(Sealed {
        rows: count,
        before: (head.position, head.hash),
        head: position,
        link: link.to_vec(),
        last_seq: seqs.last().copied().unwrap_or_default(),
        batch: Some(SealedBatch {
            after: head.position,
            last: position,
            holds,
        }),
    })
}

fn kinds(rows: &[(i64, chain::Row)]) -> Vec<(Lane, String)> {
    let mut kinds: Vec<(Lane, String)> = Vec::new();
    for (_, row) in rows {
        let lane = Lane::from_name(&row.lane);
        if !kinds.iter().any(|(of, kind)| *of == lane && *kind == row.kind) {
            kinds.push((lane, row.kind.clone()));
        }
    }
    kinds
}

/// The first rows after `begin`, in order, with where they lie. They stay there until they are moved.
async fn read(tx: &mut Transaction<'_, Postgres>, begin: i64) -> Result<Vec<(i64, chain::Row)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT seq, id, type AS kind, version, account, lane, subject, subject_version, actor, occurred_at,
            recorded_at, correlation, causation, depth, body_hash
        FROM spine.outbox WHERE seq > $2 ORDER BY seq LIMIT $1
        "#,
        BATCH_ROWS,
        begin
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|found| (found.seq, chain::row_of!(found, 0))) // their place is known once they are linked
        .collect())
}

/// Rows with their places in the chain.
struct Linked {
    /// Where they lie in the outbox, in order.
    seqs: Vec<i64>,
    /// Their links, one after the other.
    links: Vec<u8>,
    /// The last link.
    link: chain::Link,
}

fn link_all(rows: Vec<(i64, chain::Row)>, head: i64, before: &[u8]) -> Linked {
    let mut linked = Linked {
        seqs: Vec::with_capacity(rows.len()),
        links: Vec::with_capacity(rows.len() * size_of::<chain::Link>()),
        link: chain::Link::default(),
    };
    for ((seq, mut row), position) in rows.into_iter().zip(head + 1..) {
        row.position = position;
        linked.link = if linked.seqs.is_empty() {
            chain::link(before, &row)
        } else {
            chain::link(&linked.link, &row)
        };
        linked.seqs.push(seq);
        linked.links.extend_from_slice(&linked.link);
    }
    linked
}

/// Moves the rows within the database: only their numbers and links go there again.
async fn move_rows(
    tx: &mut Transaction<'_, Postgres>,
    batch: i64,
    head: i64,
    seqs: &[i64],
    links: &[u8],
) -> Result<(), sqlx::Error> {
    let moved = sqlx::query!(
        r#"
        WITH taken AS (
            DELETE FROM spine.outbox WHERE seq = ANY($1) RETURNING *
        ), numbered AS (
            SELECT *, row_number() OVER (ORDER BY seq) AS nth FROM taken
        )
        INSERT INTO spine.event_log (position, id, type, version, account, lane, subject, subject_version, actor,
            occurred_at, recorded_at, correlation, causation, depth, body_hash, hash, batch)
        SELECT $2 + nth, id, type, version, account, lane, subject, subject_version, actor,
            occurred_at, recorded_at, correlation, causation, depth, body_hash,
            substr($3::bytea, (32 * (nth - 1) + 1)::integer, 32), $4::bigint
        FROM numbered
        "#,
        seqs,
        head,
        links,
        batch,
    )
    .execute(&mut **tx)
    .await?;
    if moved.rows_affected() == seqs.len() as u64 {
        return Ok(());
    }
    // Nobody but a sealer removes rows, and the lock lets one in; links for other rows than these must never be kept.
    Err(sqlx::Error::Protocol(
        "rows left the outbox while they were being sealed".into(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sealer_looks_close_behind_what_it_moved_and_now_and_then_from_the_start() {
        let mut look = Look::new();
        look.moved(LATE_ROWS + 7);
        assert_eq!(look.next(), 7);
        look.moved(0); // an empty pass, or a late row
        assert_eq!(look.next(), 7, "it doesn't go back for one");
        look.from_start -= POLL;
        assert_eq!(look.next(), 0);
        look.moved(LATE_ROWS - 1);
        assert_eq!(look.next(), 0, "few rows are all close by");
    }
}
