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

use super::anchor::AnchorFile;
use super::chain::{self, ChainKey};
use super::reader;
use super::wake::{CHANNEL, SealedBatch, Wake};
use crate::backoff::Backoff;

/// Rows a batch at the most, when many wait.
const BATCH_ROWS: i64 = 5000;
/// The floor when no wake-up comes, such as for rows that another process wrote.
const POLL: Duration = Duration::from_millis(500);
/// Rows that were put before others and committed so much later are found by the next look from the start.
const LATE_ROWS: i64 = 50_000;
/// Rows a batch at the most otherwise. Such a batch is handed to the consumers with what its events tell; of larger ones
/// that is read from the log.
const TOLD_EVENTS: i64 = 200;
/// And of so many bytes.
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
                look.moved(&sealed);
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

/// What of the outbox a pass looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// What lies after this.
    pub(crate) begin: i64,
    /// A large batch instead of one that is handed on with its bodies.
    pub(crate) many: bool,
}

impl Part {
    fn rows(self) -> i64 {
        if self.many { BATCH_ROWS } else { TOLD_EVENTS }
    }
}

/// Where to begin looking in the outbox. What was moved leaves dead entries in its index until the next vacuum, by the
/// million under load, and walking over them from the start would be most of a batch's work.
struct Look {
    begin: i64,
    from_start: Instant,
    many: bool,
}

impl Look {
    fn new() -> Self {
        Self {
            begin: 0,
            from_start: Instant::now(),
            many: false,
        }
    }

    /// Every [`POLL`] from the start, since a transaction that took its place before many others may commit last.
    fn next(&mut self) -> Part {
        if self.from_start.elapsed() >= POLL {
            (self.begin, self.from_start) = (0, Instant::now());
        }
        Part {
            begin: self.begin,
            many: self.many,
        }
    }

    /// Usually those who commit later stand close by: they are found at once. Who met many at once meets many again.
    fn moved(&mut self, sealed: &Sealed) {
        self.begin = self.begin.max(sealed.last_seq - LATE_ROWS);
        self.many = sealed.rows >= TOLD_EVENTS;
    }
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

/// The end of the log.
struct Head {
    position: i64,
    batch: i64,
    hash: Vec<u8>,
}

/// What lies in the outbox, and the end of the log at the same moment.
struct Waiting {
    head: Head,
    /// In order, with where they lie.
    rows: Vec<(i64, chain::Row)>,
    bodies: Vec<Option<Vec<u8>>>,
}

/// The first rows of a part. They stay where they are until they are moved.
async fn read(pool: &PgPool, part: Part) -> Result<Waiting, sqlx::Error> {
    let found = sqlx::query!(
        r#"
        SELECT head.position, head.batch, head.hash, waiting.seq AS "seq?", waiting.id AS "id?",
            waiting.type AS "kind?", waiting.version AS "version?", waiting.account AS "account?",
            waiting.lane AS "lane?", waiting.subject AS "subject?", waiting.subject_version AS "subject_version?",
            waiting.actor AS "actor?", waiting.occurred_at AS "occurred_at?", waiting.recorded_at AS "recorded_at?",
            waiting.correlation AS "correlation?", waiting.causation AS "causation?", waiting.depth AS "depth?",
            waiting.body_hash AS "body_hash?",
            -- Many are read from the log by who wants them: their bodies are not even looked for.
            CASE WHEN NOT $3 THEN (SELECT body FROM spine.event_body WHERE event = waiting.id) END AS "body?"
        FROM spine.log_head AS head
        LEFT JOIN LATERAL (SELECT * FROM spine.outbox WHERE seq > $2 ORDER BY seq LIMIT $1) AS waiting ON true
        ORDER BY waiting.seq
        "#,
        part.rows(),
        part.begin,
        part.many
    )
    .fetch_all(pool)
    .await?;
    let mut waiting: Option<Waiting> = None;
    for found in found {
        let to = waiting.get_or_insert_with(|| Waiting {
            head: Head {
                position: found.position,
                batch: found.batch,
                hash: found.hash,
            },
            rows: Vec::new(),
            bodies: Vec::new(),
        });
        let row = (|| {
            let row = chain::Row {
                position: 0, // known once they are linked
                id: found.id?,
                kind: found.kind?,
                version: found.version?,
                account: found.account?,
                lane: found.lane?,
                subject: found.subject,
                subject_version: found.subject_version,
                actor: found.actor?,
                occurred_at: found.occurred_at?,
                recorded_at: found.recorded_at?,
                correlation: found.correlation?,
                causation: found.causation,
                depth: found.depth?,
                body_hash: found.body_hash?,
            };
            Some((found.seq?, row))
        })();
        if let Some(row) = row {
            to.rows.push(row);
            to.bodies.push(found.body);
        }
    }
    waiting.ok_or(sqlx::Error::RowNotFound)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sealer_looks_close_behind_what_it_moved_and_now_and_then_from_the_start() {
        let mut look = Look::new();
        look.moved(&sealed(1, LATE_ROWS + 7));
        assert_eq!(look.next().begin, 7);
        look.moved(&sealed(0, 0)); // an empty pass, or a late row
        assert_eq!(look.next().begin, 7, "it doesn't go back for one");
        look.from_start -= POLL;
        assert_eq!(look.next().begin, 0);
        look.moved(&sealed(1, LATE_ROWS - 1));
        assert_eq!(look.next().begin, 0, "few rows are all close by");
    }

    #[test]
    fn large_batches_follow_on_one_that_was_full_until_few_wait() {
        let mut look = Look::new();
        let mut after = |rows| {
            look.moved(&sealed(rows, 0));
            look.next().rows()
        };
        assert_eq!(after(1), TOLD_EVENTS);
        assert_eq!(after(TOLD_EVENTS), BATCH_ROWS);
        assert_eq!(after(BATCH_ROWS), BATCH_ROWS);
        assert_eq!(after(0), TOLD_EVENTS);
    }

    fn sealed(rows: i64, last_seq: i64) -> Sealed {
        Sealed {
            rows,
            before: (0, Vec::new()),
            head: rows,
            link: Vec::new(),
            last_seq,
            more: false,
            batch: None,
        }
    }
}
