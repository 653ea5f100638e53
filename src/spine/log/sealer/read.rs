//! What lies in the outbox, and where the log ends at the same moment.

use sqlx::PgPool;

use super::Part;
use crate::log::chain;

/// The end of the log.
pub(super) struct Head {
    pub(super) position: i64,
    pub(super) batch: i64,
    pub(super) hash: Vec<u8>,
}

/// What lies in the outbox, and the end of the log at the same moment.
pub(super) struct Waiting {
    pub(super) head: Head,
    /// In order, with where they lie.
    pub(super) rows: Vec<(i64, chain::Row)>,
    pub(super) bodies: Vec<Option<Vec<u8>>>,
}

/// The first rows of a part. They stay where they are until they are moved.
pub(super) async fn read(pool: &PgPool, part: Part) -> Result<Waiting, sqlx::Error> {
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
