//! The sealer: moves events from the outbox into the log, gapless, in batches, each one link of the signed chain.
//!
//! Invariant: a batch is written only behind the end of the log that it was linked to (the head's row decides between
//! two sealers), and numbers only what left the outbox in the same transaction. A transaction that commits late is
//! sealed later: no gaps, no waiting, nothing lost.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::Lane;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

mod look;
mod read;

use look::Look;
pub(crate) use look::Part;
use read::{Waiting, read};

use super::anchor::AnchorFile;
use super::chain::{self, ChainKey};
use super::reader;
use super::wake::{CHANNEL, SealedBatch, Wake};
use crate::backoff::Backoff;

/// The floor when no wake-up comes, such as for rows that another process wrote.
const POLL: Duration = Duration::from_millis(500);
/// What the events of a batch tell is handed to the consumers up to so many bytes.
const TOLD_BYTES: usize = 256 * 1024;
/// Tries for one batch, while other sealers are quicker.
const TRIES: u32 = 20;
/// After a batch, events that only follow from others wait for so long, so that they share the next one.
const GATHER: Duration = Duration::from_millis(4);
/// Other processes hear of new batches so long after the first of them.
const TELL: Duration = Duration::from_millis(20);
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
    let sealed = watch::Sender::new(0);
    let (pool, told) = (sealer.pool.clone(), sealed.subscribe());
    tokio::join!(keep_sealing(sealer, sealed), keep_telling(pool, told));
}

/// Tells other processes how far the log is sealed, until nobody seals any more. What is not told they find by polling.
async fn keep_telling(pool: PgPool, mut sealed: watch::Receiver<i64>) {
    while sealed.changed().await.is_ok() {
        tokio::time::sleep(TELL).await;
        let head = sealed.borrow_and_update().to_string();
        let told = sqlx::query!("SELECT pg_notify($1, $2)", CHANNEL, head)
            .execute(&pool)
            .await;
        if let Err(error) = told {
            tracing::debug!(%error, "other processes are not told of what was sealed");
        }
    }
}

async fn keep_sealing(sealer: Sealer, own: watch::Sender<i64>) {
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
    let pool = like(&pool);
    let mut look = Look::new();
    while !stop.is_cancelled() {
        match seal(&pool, &key, clock.as_ref(), look.next()).await {
            Ok(sealed) => {
                look.moved(sealed.rows, sealed.last_seq);
                backoff.succeeded("sealer");
                if let Some(batch) = sealed.batch {
                    wake.batch_sealed(batch);
                }
                wake.head_moved(sealed.head);
                anchor.head_is((sealed.before.0, &sealed.before.1), (sealed.head, &sealed.link));
                if sealed.rows > 0 {
                    contracts::failpoint::hit("sealed");
                    own.send_replace(sealed.head);
                }
                if sealed.more {
                    continue;
                }
                let gather = (sealed.rows > 0).then(|| tokio::time::Instant::now() + GATHER);
                tokio::select! {
                    () = wake.sealer_called(gather) => {}
                    () = tokio::time::sleep(POLL) => anchor.flush(),
                    () = stop.cancelled() => {}
                }
            }
            Err(error) => backoff.failed("sealer", &error, &stop).await,
        }
    }
    anchor.finish().await;
    pool.close().await;
}

/// A connection of the sealer's own: the same two statements again and again are at home there, planned once and by
/// index.
fn like(pool: &PgPool) -> PgPool {
    let connect = PgConnectOptions::clone(&pool.connect_options()).options([
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("plan_cache_mode", "force_generic_plan"),
    ]);
    PgPoolOptions::new()
        .max_connections(1)
        .test_before_acquire(false)
        .connect_lazy_with(connect)
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
    /// Whether more may wait.
    more: bool,
    /// What moved, if anything did.
    batch: Option<SealedBatch>,
}

/// Moves up to one batch of this part of the outbox. Returns at once when that is nothing.
pub(crate) async fn seal(
    pool: &PgPool,
    key: &ChainKey,
    clock: &dyn contracts::Clock,
    part: Part,
) -> Result<Sealed, sqlx::Error> {
    for _ in 0..TRIES {
        if let Some(sealed) = try_seal(pool, key, clock, part).await? {
            return Ok(sealed);
        }
    }
    Err(sqlx::Error::Protocol(
        "other sealers moved the log's end each time".into(),
    ))
}

/// `None`: another sealer moved the end of the log meanwhile.
async fn try_seal(
    pool: &PgPool,
    key: &ChainKey,
    clock: &dyn contracts::Clock,
    part: Part,
) -> Result<Option<Sealed>, sqlx::Error> {
    let Waiting { head, rows, bodies } = read(pool, part).await?;
    if rows.is_empty() {
        return Ok(Some(Sealed {
            rows: 0,
            before: (head.position, head.hash.clone()),
            head: head.position,
            link: head.hash,
            last_seq: 0,
            more: false,
            batch: None,
        }));
    }
    let started = Instant::now();
    let holds = kinds(&rows);
    let events = if part.many {
        None
    } else {
        told(&rows, bodies, head.position)
    };
    let Linked { seqs, links, link } = link_all(rows, head.position, &head.hash);
    let count = i64::try_from(seqs.len()).unwrap_or(i64::MAX);
    let (batch, position) = (head.batch + 1, head.position + count);
    if position / PARTITION_MARGIN != head.position / PARTITION_MARGIN || head.position == 0 {
        let at = position + PARTITION_MARGIN;
        sqlx::query!("SELECT spine.log_partition_ensure($1)", at)
            .execute(pool)
            .await?;
    }
    let moved = sqlx::query_scalar!(
        r#"SELECT spine.seal($1, $2, $3, $4, $5, $6, $7) AS "moved!""#,
        head.position,
        head.batch,
        &seqs,
        &links,
        key.id(),
        &key.sign(batch, position, &link)[..],
        clock.now(),
    )
    .fetch_one(pool)
    .await?;
    if !moved {
        return Ok(None);
    }
    metrics::counter!("allod_events_sealed_total").increment(seqs.len() as u64);
    metrics::histogram!("allod_seal_seconds").record(started.elapsed().as_secs_f64());
    let batch = SealedBatch::new(head.position, position, holds, events);
    Ok(Some(Sealed {
        rows: count,
        before: (head.position, head.hash),
        head: position,
        link: link.to_vec(),
        last_seq: seqs.last().copied().unwrap_or_default(),
        more: count == part.rows(),
        batch: Some(batch),
    }))
}

/// What the events tell, for who follows closely; `None` if that is more than should lie in memory.
fn told(
    rows: &[(i64, chain::Row)],
    bodies: Vec<Option<Vec<u8>>>,
    head: i64,
) -> Option<Vec<Arc<contracts::Event>>> {
    let bytes: usize = bodies.iter().flatten().map(Vec::len).sum();
    if bytes > TOLD_BYTES {
        return None;
    }
    let events = rows.iter().zip(bodies).zip(head + 1..);
    Some(
        events
            .map(|(((_, row), body), position)| Arc::new(reader::event_of(row, position, body)))
            .collect(),
    )
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
