//! The outbox: events on their way into the log, written last in the transaction of the data that they tell of.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use contracts::{AccountId, Lane, NewEvent, Position};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::consumer::store;
use crate::access::{AccessError, Cause, truncate_to_micros};

/// An event on its way, with its body.
#[derive(Debug)]
struct Row {
    event: NewEvent,
    /// Which of the transaction's [`Ground`]s it stands on, from 1.
    ground: i32,
    occurred_at: DateTime<Utc>,
    salt: [u8; 16],
    body: Vec<u8>,
    body_hash: [u8; 32],
}

/// What events of one transaction usually have in common. The database reads each once instead of once a row, which
/// is a good part of the cost of a large commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Ground {
    kind: &'static str,
    version: i16,
    actor: String,
    lane: Lane,
    cause: Cause,
}

/// How far a consumer has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moved {
    pub(crate) consumer: &'static str,
    pub(crate) lane: Lane,
    /// From where; if it isn't there any more, nothing is to happen.
    pub(crate) from: Position,
    pub(crate) to: Position,
}

/// The events of one transaction, which are of one account and one moment.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    rows: Vec<Row>,
    grounds: Vec<Ground>,
    known: HashMap<Ground, i32>,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether one of them follows from no other event: something happened outside of the hub.
    pub(crate) fn begins_a_chain(&self) -> bool {
        self.grounds.iter().any(|ground| ground.cause.depth == 0)
    }

    /// Takes an event in, to be written by [`Outbox::insert`].
    pub(crate) fn push(
        &mut self,
        event: NewEvent,
        actor: String,
        cause: &Cause,
        now: DateTime<Utc>,
    ) -> Result<(), AccessError> {
        let body = serde_json::to_vec(&event.body)?;
        let salt: [u8; 16] = rand::random();
        let ground = self.ground(Ground {
            kind: event.kind,
            version: event.version,
            actor,
            lane: event.lane.unwrap_or(cause.lane),
            cause: *cause,
        });
        self.rows.push(Row {
            ground,
            occurred_at: truncate_to_micros(event.occurred_at.unwrap_or(now)),
            body_hash: body_hash(&salt, &body),
            salt,
            body,
            event,
        });
        Ok(())
    }

    fn ground(&mut self, ground: Ground) -> i32 {
        if let Some(known) = self.known.get(&ground) {
            return *known;
        }
        self.grounds.push(ground.clone());
        let number = i32::try_from(self.grounds.len()).unwrap_or(i32::MAX);
        self.known.insert(ground, number);
        number
    }

    /// Writes all rows and bodies, and how far a consumer has come, in one statement. False: the consumer is not where
    /// it was.
    pub(crate) async fn insert(
        &self,
        conn: &mut PgConnection,
        account: AccountId,
        now: DateTime<Utc>,
        moved: Option<Moved>,
    ) -> Result<bool, sqlx::Error> {
        if self.is_empty() {
            return match moved {
                Some(Moved {
                    consumer,
                    lane,
                    from,
                    to,
                }) => store::position_move(conn, consumer, lane, to, from).await,
                None => Ok(true),
            };
        }
        macro_rules! column {
            ($of:ident, |$one:ident| $value:expr) => {
                &self.$of.iter().map(|$one| $value).collect::<Vec<_>>()
            };
        }
        // The rows come out of unnest in the order of the arrays, and nothing sorts them: `seq` counts in the order of
        // publishing.
        let found = sqlx::query_scalar!(
            r#"
            WITH bodies AS (
                INSERT INTO spine.event_body (event, account, salt, body)
                SELECT id, $1, salt, body FROM unnest($3::uuid[], $4::bytea[], $5::bytea[]) AS fresh (id, salt, body)
            ), moved AS (
                UPDATE spine.consumer_position SET position = $21
                WHERE consumer = $18 AND lane = $19 AND position = $20 RETURNING 1
            ), written AS (
            INSERT INTO spine.outbox (id, account, recorded_at, body_hash, occurred_at, subject, subject_version,
                type, version, actor, lane, correlation, causation, depth)
            SELECT id, $1, $2, body_hash, occurred_at, subject, subject_version,
                ($11::text[])[ground], ($12::smallint[])[ground], ($13::text[])[ground], ($14::text[])[ground],
                ($15::uuid[])[ground], ($16::uuid[])[ground], ($17::smallint[])[ground]
            FROM unnest($3::uuid[], $6::bytea[], $7::timestamptz[], $8::text[], $9::bigint[], $10::integer[])
                AS fresh (id, body_hash, occurred_at, subject, subject_version, ground)
            )
            SELECT EXISTS (SELECT FROM moved) AS "moved!"
            "#,
            account.0,
            now,
            column!(rows, |row| row.event.id.0),
            column!(rows, |row| row.salt.as_slice()) as &[&[u8]],
            column!(rows, |row| row.body.as_slice()) as &[&[u8]],
            column!(rows, |row| row.body_hash.as_slice()) as &[&[u8]],
            column!(rows, |row| row.occurred_at),
            column!(rows, |row| row.event.subject.as_deref()) as &[Option<&str>],
            column!(rows, |row| row.event.subject_version) as &[Option<i64>],
            column!(rows, |row| row.ground),
            column!(grounds, |ground| ground.kind) as &[&str],
            column!(grounds, |ground| ground.version),
            column!(grounds, |ground| ground.actor.as_str()) as &[&str],
            column!(grounds, |ground| ground.lane.as_str()) as &[&str],
            column!(grounds, |ground| ground.cause.correlation.0),
            column!(grounds, |ground| ground.cause.causation.map(|id| id.0)) as &[Option<uuid::Uuid>],
            column!(grounds, |ground| ground.cause.depth),
            moved.map(|moved| moved.consumer),
            moved.map(|moved| moved.lane.as_str()),
            moved.map(|moved| moved.from),
            moved.map(|moved| moved.to),
        )
        .fetch_one(conn)
        .await?;
        Ok(found || moved.is_none())
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
