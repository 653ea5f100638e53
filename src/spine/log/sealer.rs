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
use tokio_util::sync::CancellationToken;

use super::anchor::AnchorFile;
use super::chain::{self, ChainKey};
use super::reader;
use super::wake::{SealedBatch, Wake};
use crate::backoff::Backoff;

/// Rows a batch at the most.
const BATCH_ROWS: i64 = 5000;
/// The floor when no wake-up comes, such as for rows that another process wrote.
const POLL: Duration = Duration::from_millis(500);
/// Rows that were put before others and committed so much later are found by the next look from the start.
const LATE_ROWS: i64 = 50_000;
/// Batches of so many events are handed to the consumers with what they tell; larger ones are read from the log.
const TOLD_EVENTS: i64 = 200;
/// And of so many bytes.
const TOLD_BYTES: usize = 256 * 1024;
/// Tries for one batch, while other sealers are quicker.
const TRIES: u32 = 20;
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
    for _ in 0..TRIES {
        if let Some(sealed) = try_seal(pool, key, clock, begin).await? {
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
    begin: i64,
) -> Result<Option<Sealed>, sqlx::Error> {
    let Waiting { head, rows, bodies } = read(pool, begin).await?;
    if rows.is_empty() {
        return Ok(Some(Sealed {
            rows: 0,
            before: (head.position, head.hash.clone()),
            head: head.position,
            link: head.hash,
            last_seq: 0,
            batch: None,
        }));
    }
    let started = Instant::now();
    let holds = kinds(&rows);
    let events = told(&rows, bodies, head.position);
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
    if rows.len() as i64 > TOLD_EVENTS || bytes > TOLD_BYTES {
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

/// The first rows after `begin`. They stay where they are until they are moved.
async fn read(pool: &PgPool, begin: i64) -> Result<Waiting, sqlx::Error> {
    let found = sqlx::query!(
        r#"
        SELECT head.position, head.batch, head.hash, waiting.seq AS "seq?", waiting.id AS "id?",
            waiting.type AS "kind?", waiting.version AS "version?", waiting.account AS "account?",
            waiting.lane AS "lane?", waiting.subject AS "subject?", waiting.subject_version AS "subject_version?",
            waiting.actor AS "actor?", waiting.occurred_at AS "occurred_at?", waiting.recorded_at AS "recorded_at?",
            waiting.correlation AS "correlation?", waiting.causation AS "causation?", waiting.depth AS "depth?",
            waiting.body_hash AS "body_hash?",
            -- Many are read from the log by who wants them: their bodies are not even looked for.
            (SELECT body FROM spine.event_body WHERE event = waiting.id AND waiting.together <= $3) AS "body?"
        FROM spine.log_head AS head
        LEFT JOIN LATERAL (
            SELECT *, count(*) OVER () AS together
            FROM (SELECT * FROM spine.outbox WHERE seq > $2 ORDER BY seq LIMIT $1) AS first
        ) AS waiting ON true
        ORDER BY waiting.seq
        "#,
        BATCH_ROWS,
        begin,
        TOLD_EVENTS
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
