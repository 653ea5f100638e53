//! Proving the log: every link, body and signature is computed again from what the database holds.
//!
//! Invariant: a row that was changed, removed or put elsewhere is found and named, as long as the key is the
//! owner's own: each batch must end with a row whose link is signed, and the next one begin right after it. An end that
//! was cut off is found by the anchor beside the keys. A body that is gone is counted as erased; a body that was changed
//! is named.

use std::path::Path;

use chrono::{DateTime, Utc};
use contracts::Position;
use serde::Serialize;
use sqlx::PgPool;

use super::anchor::{self, Anchor};
use super::chain::{self, ChainKey};
use super::outbox::body_hash;

const PAGE_ROWS: i64 = 5000;

/// What is wrong with the log, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case", tag = "fault")]
pub enum Fault {
    /// Rows are gone.
    Removed {
        /// The first position that is not there.
        from: Position,
        /// The last one.
        to: Position,
    },
    /// A row doesn't match its link: it was changed or stands in another's place.
    Changed {
        /// The row's position.
        position: Position,
        /// The id that stands there now.
        event: uuid::Uuid,
    },
    /// A body doesn't match the hash in its row.
    BodyChanged {
        /// The row's position.
        position: Position,
        /// The event.
        event: uuid::Uuid,
    },
    /// A batch's link was not signed by the hub's key, or its record is gone.
    Unsigned {
        /// The batch.
        batch: i64,
        /// Its last position.
        position: Position,
    },
    /// The anchor, which tells where the log once ended, can't be read.
    AnchorUnreadable {
        /// The file.
        file: String,
    },
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Removed { from, to } if from == to => write!(f, "the row at position {from} was removed"),
            Self::Removed { from, to } => write!(f, "the rows from position {from} to {to} were removed"),
            Self::Changed { position, event } => {
                write!(
                    f,
                    "the row at position {position} (event {event}) was changed or moved"
                )
            }
            Self::BodyChanged { position, event } => {
                write!(f, "the body of event {event} at position {position} was changed")
            }
            Self::Unsigned { batch, position } => {
                write!(
                    f,
                    "batch {batch}, which ends at position {position}, is not signed by this hub's key"
                )
            }
            Self::AnchorUnreadable { file } => {
                write!(
                    f,
                    "{file}, which tells where the log once ended, can't be read: what was cut off is not missed by it"
                )
            }
        }
    }
}

/// The outcome of a proof.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Report {
    /// Rows that were checked.
    pub rows: u64,
    /// Batches that were checked.
    pub batches: u64,
    /// Bodies that were erased.
    pub erased: u64,
    /// The last position.
    pub head: Position,
    /// What is wrong; empty when all is well. At most 100.
    pub faults: Vec<Fault>,
}

#[derive(Debug)]
struct Row {
    position: i64,
    id: uuid::Uuid,
    kind: String,
    version: i16,
    account: uuid::Uuid,
    lane: String,
    subject: Option<String>,
    subject_version: Option<i64>,
    actor: String,
    occurred_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
    correlation: uuid::Uuid,
    causation: Option<uuid::Uuid>,
    depth: i16,
    body_hash: Vec<u8>,
    hash: Vec<u8>,
    salt: Option<Vec<u8>>,
    body: Option<Vec<u8>>,
    batch_end: Option<i64>,
    batch: i64,
    batch_hash: Option<Vec<u8>>,
    key_id: Option<String>,
    signature: Option<Vec<u8>>,
}

/// Checks the whole log.
///
/// # Errors
/// When the database is away.
pub async fn verify(pool: &PgPool, key: &ChainKey, anchor: &Path) -> Result<Report, sqlx::Error> {
    // Before the head, which only grows.
    let (anchors, faults) = anchors(anchor);
    let head = sqlx::query!("SELECT position, batch, hash FROM spine.log_head")
        .fetch_one(pool)
        .await?;
    let mut report = Report {
        rows: 0,
        batches: 0,
        erased: 0,
        head: head.position,
        faults,
    };
    let mut last = Seen::default();
    loop {
        let rows = page(pool, last.position, head.position).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let mut anchored = anchors.iter().filter(|anchor| anchor.position == row.position);
            if anchored.any(|anchor| anchor.link != hex::encode(&row.hash)) {
                report.faults.push(Fault::Changed {
                    position: row.position,
                    event: row.id,
                });
            }
            last = check(&mut report, row, last, key);
        }
        if report.faults.len() >= 100 {
            report.faults.truncate(100);
            return Ok(report);
        }
    }
    let anchored = anchors.iter().map(|anchor| anchor.position).max();
    let end = head.position.max(anchored.unwrap_or(0));
    if last.position < end {
        report.faults.push(Fault::Removed {
            from: last.position + 1,
            to: end,
        });
    } else if last.link != head.hash || last.batch != head.batch || !last.signed {
        report.faults.push(Fault::Unsigned {
            batch: head.batch,
            position: head.position,
        });
    }
    Ok(report)
}

/// The anchor and, if one was not borne out, that one too; and what of them can't be read.
fn anchors(path: &Path) -> (Vec<Anchor>, Vec<Fault>) {
    let (mut anchors, mut faults) = (Vec::new(), Vec::new());
    for path in [path.to_owned(), anchor::fault_path(path)] {
        match anchor::read(&path) {
            Ok(anchor) => anchors.extend(anchor),
            Err(_) => faults.push(Fault::AnchorUnreadable {
                file: path.display().to_string(),
            }),
        }
    }
    (anchors, faults)
}

/// Where the last row stood, and its link.
#[derive(Debug)]
struct Seen {
    position: Position,
    batch: i64,
    link: Vec<u8>,
    /// Its link was the one that the key signed for its batch, so another batch may begin after it.
    signed: bool,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            position: 0,
            batch: 0,
            link: Vec::new(),
            signed: true, // before the first batch there is nothing to sign
        }
    }
}

/// Checks one row after the one before it.
fn check(report: &mut Report, row: Row, last: Seen, key: &ChainKey) -> Seen {
    let before = last.position;
    let (position, event) = (row.position, row.id);
    report.rows += 1;
    if position != before + 1 {
        report.faults.push(Fault::Removed {
            from: before + 1,
            to: position - 1,
        });
    }
    match (&row.salt, &row.body) {
        (Some(salt), Some(body)) => {
            if body_hash(salt, body)[..] != row.body_hash {
                report.faults.push(Fault::BodyChanged { position, event });
            }
        }
        _ => report.erased += 1,
    }
    let gap = position != before + 1;
    let stored = row.hash.clone();
    let batch = (
        row.batch,
        row.batch_end,
        row.batch_hash.clone(),
        row.key_id.clone(),
        row.signature.clone(),
    );
    let computed = chain::link(&last.link, &envelope(row));
    // After a gap the link before is unknown: the gap is named, and the row is taken on from its own link.
    if !gap && computed[..] != stored {
        report.faults.push(Fault::Changed { position, event });
    }
    if !gap && batch.0 != last.batch && (!last.signed || batch.0 != last.batch + 1) {
        report.faults.push(Fault::Unsigned {
            batch: last.batch,
            position: before,
        });
    }
    let mut seen = Seen {
        position,
        batch: batch.0,
        link: stored,
        signed: false,
    };
    match batch {
        (batch, Some(end), Some(hash), Some(key_id), Some(signature)) => {
            if end == position {
                report.batches += 1;
                let good =
                    hash == seen.link && key_id == key.id() && key.verify(batch, end, &hash, &signature);
                if !good {
                    report.faults.push(Fault::Unsigned { batch, position });
                }
                seen.signed = true; // or named, which is enough of it
            }
        }
        (batch, ..) => report.faults.push(Fault::Unsigned { batch, position }),
    }
    seen
}

fn envelope(row: Row) -> chain::Row {
    let position = row.position;
    chain::row_of!(row, position)
}

async fn page(pool: &PgPool, after: Position, up_to: Position) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT log.position, log.id, log.type AS kind, log.version, log.account, log.lane, log.subject,
            log.subject_version, log.actor, log.occurred_at, log.recorded_at, log.correlation, log.causation,
            log.depth, log.body_hash, log.hash, body.salt AS "salt?", body.body AS "body?",
            link.last_position AS "batch_end?", log.batch, link.hash AS "batch_hash?", link.key_id AS "key_id?",
            link.signature AS "signature?"
        FROM spine.event_log AS log
        LEFT JOIN spine.event_body AS body ON body.event = log.id
        LEFT JOIN spine.chain_batch AS link ON link.batch = log.batch
        WHERE log.position > $1 AND log.position <= $2 ORDER BY log.position LIMIT $3
        "#,
        after,
        up_to,
        PAGE_ROWS
    )
    .fetch_all(pool)
    .await
}

/// The first rows as the chain has them, for tests that forge links.
#[cfg(test)]
pub(super) async fn rows(pool: &PgPool) -> Vec<chain::Row> {
    let rows = page(pool, 0, i64::MAX).await;
    rows.unwrap().into_iter().map(envelope).collect()
}
