//! The outbox: events on their way into the log, written last in the transaction of the data that they tell of.

use chrono::{DateTime, Utc};
use contracts::NewEvent;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::access::{AccessError, Cause, Scope, truncate_to_micros};

/// A row of the outbox and its body.
#[derive(Debug)]
pub(crate) struct Row {
    event: NewEvent,
    account: uuid::Uuid,
    actor: String,
    lane: &'static str,
    occurred_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
    cause: Cause,
    salt: [u8; 16],
    body: Vec<u8>,
    body_hash: [u8; 32],
}

impl Row {
    pub(crate) fn new(
        event: NewEvent,
        scope: &Scope,
        cause: &Cause,
        now: DateTime<Utc>,
    ) -> Result<Self, AccessError> {
        let body = serde_json::to_vec(&event.body)?;
        let salt: [u8; 16] = rand::random();
        Ok(Self {
            account: scope.account().0,
            actor: scope.principal().to_string(),
            lane: event.lane.unwrap_or(cause.lane).as_str(),
            occurred_at: truncate_to_micros(event.occurred_at.unwrap_or(now)),
            recorded_at: now,
            cause: *cause,
            body_hash: body_hash(&salt, &body),
            salt,
            body,
            event,
        })
    }
}

/// The chain covers this, never the body itself: an erased phone number can't be guessed from it without the salt,
/// which is erased too.
pub(crate) fn body_hash(salt: &[u8], body: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(salt)
        .chain_update(body)
        .finalize()
        .into()
}

/// Writes all rows and bodies in one statement.
pub(crate) async fn insert(conn: &mut PgConnection, rows: &[Row]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        (|$row:ident| $value:expr) => {
            &rows.iter().map(|$row| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        r#"
        WITH fresh AS (
            SELECT * FROM unnest(
                $1::uuid[], $2::text[], $3::smallint[], $4::uuid[], $5::text[], $6::text[], $7::bigint[], $8::text[],
                $9::timestamptz[], $10::timestamptz[], $11::uuid[], $12::uuid[], $13::smallint[], $14::bytea[],
                $15::bytea[], $16::bytea[]
            ) WITH ORDINALITY AS fresh (
                id, type, version, account, lane, subject, subject_version, actor, occurred_at, recorded_at,
                correlation, causation, depth, body_hash, salt, body, ord
            )
        ), bodies AS (
            INSERT INTO spine.event_body (event, account, salt, body) SELECT id, account, salt, body FROM fresh
        )
        INSERT INTO spine.outbox (id, type, version, account, lane, subject, subject_version, actor, occurred_at,
            recorded_at, correlation, causation, depth, body_hash)
        SELECT id, type, version, account, lane, subject, subject_version, actor, occurred_at, recorded_at,
            correlation, causation, depth, body_hash
        FROM fresh ORDER BY ord
        "#,
        column!(|row| row.event.id.0),
        column!(|row| row.event.kind.to_owned()),
        column!(|row| row.event.version),
        column!(|row| row.account),
        column!(|row| row.lane.to_owned()),
        column!(|row| row.event.subject.clone()) as &[Option<String>],
        column!(|row| row.event.subject_version) as &[Option<i64>],
        column!(|row| row.actor.clone()),
        column!(|row| row.occurred_at),
        column!(|row| row.recorded_at),
        column!(|row| row.cause.correlation.0),
        column!(|row| row.cause.causation.map(|id| id.0)) as &[Option<uuid::Uuid>],
        column!(|row| row.cause.depth),
        column!(|row| row.body_hash.to_vec()),
        column!(|row| row.salt.to_vec()),
        column!(|row| row.body.clone()),
    )
    .execute(conn)
    .await?;
    Ok(())
}
