//! `graph.raw_record`.

use chrono::{DateTime, Utc};
use contracts::RawRecordId;
use spine::ScopedTx;
use spine::edge::DATABASE_TIME_MAX;
use spine::ports::ParkedRecord;
use uuid::Uuid;

/// A record that is written down, sealed already.
#[derive(Debug)]
pub(crate) struct RawRow {
    pub(crate) id: RawRecordId,
    pub(crate) connection: Option<Uuid>,
    pub(crate) source: String,
    pub(crate) stream: String,
    pub(crate) remote_key: Vec<u8>,
    pub(crate) revision: String,
    pub(crate) media_type: String,
    pub(crate) remote_id: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) body_key: Vec<u8>,
    /// `received`, `processed` or `parked`.
    pub(crate) status: &'static str,
    /// Why it is parked.
    pub(crate) reason: Option<String>,
}

/// What became of a record that was there already.
#[derive(Debug)]
pub(crate) struct KnownRaw {
    pub(crate) id: RawRecordId,
    pub(crate) parked: bool,
    /// Another revision took its place.
    pub(crate) superseded: bool,
    pub(crate) reason: Option<String>,
}

/// A record with its sealed bytes.
#[derive(Debug)]
pub(crate) struct SealedRaw {
    pub(crate) connection: Option<Uuid>,
    pub(crate) source: String,
    pub(crate) stream: String,
    pub(crate) revision: String,
    pub(crate) media_type: String,
    pub(crate) remote_id: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) reason: Option<String>,
    pub(crate) superseded: bool,
}

/// A record without its bytes.
#[derive(Debug)]
pub(crate) struct RawHead {
    pub(crate) id: Uuid,
    pub(crate) connection: Option<Uuid>,
    pub(crate) source: String,
    pub(crate) stream: String,
    pub(crate) media_type: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) tries: i32,
    pub(crate) received_at: DateTime<Utc>,
}

impl From<RawHead> for ParkedRecord {
    fn from(head: RawHead) -> Self {
        Self {
            id: head.id.into(),
            connection: head.connection.map(Into::into),
            source: head.source,
            stream: head.stream,
            reason: head.reason.unwrap_or_default(),
            tries: head.tries,
            received_at: head.received_at,
        }
    }
}

/// Writes a record down, as its source's word from now on. `None`: it is there already; else the one whose place it takes,
/// if there was another revision. Waits for another transaction that is writing it.
pub(crate) async fn raw_insert(
    tx: &mut ScopedTx,
    row: &RawRow,
) -> Result<Option<Option<RawRecordId>>, sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    let done = sqlx::query!(
        r#"
        WITH fresh AS (
            INSERT INTO graph.raw_record (account, id, connection, source, stream, remote_key, revision, media_type,
                remote_id, body, body_key, received_at, status, reason, settled_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $12)
            ON CONFLICT (account, source, stream, remote_key, revision) DO NOTHING
            RETURNING id
        ), before AS (
            UPDATE graph.raw_record SET superseded_at = $12
            WHERE EXISTS (SELECT FROM fresh) AND account = $1 AND source = $4 AND stream = $5 AND remote_key = $6
                AND superseded_at IS NULL
            RETURNING id
        )
        SELECT EXISTS (SELECT FROM fresh) AS "fresh!", (SELECT id FROM before ORDER BY id DESC LIMIT 1) AS before
        "#,
        account.0,
        row.id.0,
        row.connection,
        row.source,
        row.stream,
        row.remote_key,
        row.revision,
        row.media_type,
        row.remote_id,
        row.body,
        row.body_key,
        now,
        row.status,
        row.reason
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(done.fresh.then(|| done.before.map(Into::into)))
}

/// Makes a revision that is there the word of its source again; the one whose place it takes.
pub(crate) async fn raw_reinstate(
    tx: &mut ScopedTx,
    id: RawRecordId,
) -> Result<Option<RawRecordId>, sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    let before = sqlx::query_scalar!(
        r#"
        WITH again AS (
            UPDATE graph.raw_record SET superseded_at = NULL WHERE account = $1 AND id = $2
            RETURNING source, stream, remote_key
        ), before AS (
            UPDATE graph.raw_record r SET superseded_at = $3 FROM again
            WHERE r.account = $1 AND r.source = again.source AND r.stream = again.stream
                AND r.remote_key = again.remote_key AND r.id <> $2 AND r.superseded_at IS NULL
            RETURNING r.id
        )
        SELECT (SELECT id FROM before ORDER BY id DESC LIMIT 1)
        "#,
        account.0,
        id.0,
        now
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(before.map(Into::into))
}

/// The record that stands in the way of this one, held.
pub(crate) async fn raw_by_key(tx: &mut ScopedTx, row: &RawRow) -> Result<KnownRaw, sqlx::Error> {
    let account = tx.account();
    let found = sqlx::query!(
        r#"
        SELECT id, status = 'parked' AS "parked!", superseded_at IS NOT NULL AS "superseded!", reason
        FROM graph.raw_record
        WHERE account = $1 AND source = $2 AND stream = $3 AND remote_key = $4 AND revision = $5
        FOR NO KEY UPDATE
        "#,
        account.0,
        row.source,
        row.stream,
        row.remote_key,
        row.revision
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(KnownRaw {
        id: found.id.into(),
        parked: found.parked,
        superseded: found.superseded,
        reason: found.reason,
    })
}

/// Holds a record. False: it isn't there.
pub(crate) async fn raw_hold(tx: &mut ScopedTx, id: RawRecordId) -> Result<bool, sqlx::Error> {
    let account = tx.account();
    let row = sqlx::query_scalar!(
        "SELECT id FROM graph.raw_record WHERE account = $1 AND id = $2 FOR NO KEY UPDATE",
        account.0,
        id.0
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.is_some())
}

/// Parks a record that was received; its source, and why it had been parked before.
pub(crate) async fn raw_park(
    tx: &mut ScopedTx,
    id: RawRecordId,
    reason: &str,
) -> Result<Option<(String, Option<String>)>, sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    let row = sqlx::query!(
        r#"
        WITH before AS (
            SELECT id, reason FROM graph.raw_record WHERE account = $1 AND id = $2 FOR NO KEY UPDATE
        )
        UPDATE graph.raw_record r SET status = 'parked', reason = $3, tries = tries + 1, settled_at = $4
        FROM before WHERE r.account = $1 AND r.id = before.id
        RETURNING r.source, before.reason
        "#,
        account.0,
        id.0,
        reason,
        now
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| (row.source, row.reason)))
}

/// A parked or received record was understood.
pub(crate) async fn raw_settle(tx: &mut ScopedTx, id: RawRecordId) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        UPDATE graph.raw_record SET status = 'processed', reason = NULL, tries = tries + 1, settled_at = $3
        WHERE account = $1 AND id = $2
        "#,
        account.0,
        id.0,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A parked record was tried again and still isn't understood.
pub(crate) async fn raw_park_again(
    tx: &mut ScopedTx,
    id: RawRecordId,
    reason: &str,
) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        UPDATE graph.raw_record SET reason = $3, tries = tries + 1, settled_at = $4 WHERE account = $1 AND id = $2
        "#,
        account.0,
        id.0,
        reason,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Which entities records spoke of, each with whether the record is all that its source says of it.
pub(crate) async fn record_link_all(
    tx: &mut ScopedTx,
    spoken_of: &[(RawRecordId, Uuid, bool)],
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    let records: Vec<Uuid> = spoken_of.iter().map(|one| one.0.0).collect();
    let entities: Vec<Uuid> = spoken_of.iter().map(|one| one.1).collect();
    let subjects: Vec<bool> = spoken_of.iter().map(|one| one.2).collect();
    sqlx::query!(
        r#"
        INSERT INTO graph.record_entity AS link (account, raw_record, entity, subject)
        SELECT $1, said.record, said.entity, bool_or(said.subject)
        FROM unnest($2::uuid[], $3::uuid[], $4::bool[]) AS said (record, entity, subject)
        GROUP BY said.record, said.entity
        ON CONFLICT (account, entity, raw_record) DO UPDATE SET subject = true WHERE excluded.subject AND NOT link.subject
        "#,
        account.0,
        &records,
        &entities,
        &subjects
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Of records to come, by their places, those of which their source said something else before, or says so now: other
/// revisions are there, and this one isn't its word already.
pub(crate) async fn raw_revised(
    tx: &mut ScopedTx,
    source: &str,
    rows: &[RawRow],
) -> Result<Vec<usize>, sqlx::Error> {
    let account = tx.account();
    let streams: Vec<String> = rows.iter().map(|row| row.stream.clone()).collect();
    let keys: Vec<Vec<u8>> = rows.iter().map(|row| row.remote_key.clone()).collect();
    let revisions: Vec<String> = rows.iter().map(|row| row.revision.clone()).collect();
    let places = sqlx::query_scalar!(
        r#"
        SELECT said.place AS "place!"
        FROM unnest($3::text[], $4::bytea[], $5::text[]) WITH ORDINALITY AS said (stream, key, revision, place)
        WHERE EXISTS (SELECT FROM graph.raw_record r WHERE r.account = $1 AND r.source = $2
                AND r.stream = said.stream AND r.remote_key = said.key)
            AND NOT EXISTS (SELECT FROM graph.raw_record r WHERE r.account = $1 AND r.source = $2
                AND r.stream = said.stream AND r.remote_key = said.key AND r.revision = said.revision
                AND r.superseded_at IS NULL)
        "#,
        account.0,
        source,
        &streams,
        &keys,
        &revisions
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(places
        .into_iter()
        .filter_map(|place| usize::try_from(place - 1).ok())
        .collect())
}

pub(crate) async fn raw_by_id(tx: &mut ScopedTx, id: RawRecordId) -> Result<Option<SealedRaw>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_as!(
        SealedRaw,
        r#"
        SELECT connection, source, stream, revision, media_type, remote_id, body, reason,
            superseded_at IS NOT NULL AS "superseded!"
        FROM graph.raw_record WHERE account = $1 AND id = $2
        "#,
        account.0,
        id.0
    )
    .fetch_optional(tx.conn())
    .await
}

/// Which records to list.
#[derive(Debug, Default)]
pub(crate) struct RawFilter<'a> {
    /// `parked` or `processed`.
    pub(crate) status: Option<&'a str>,
    /// Of sources that begin so.
    pub(crate) source: Option<&'a str>,
    /// Only those that came before this moment and id.
    pub(crate) before: Option<(DateTime<Utc>, Uuid)>,
    pub(crate) limit: i64,
}

/// Records without their bytes, newest first.
pub(crate) async fn raw_list(tx: &mut ScopedTx, filter: &RawFilter<'_>) -> Result<Vec<RawHead>, sqlx::Error> {
    let account = tx.account();
    let (at, id) = filter.before.unwrap_or((DATABASE_TIME_MAX, Uuid::max()));
    sqlx::query_as!(
        RawHead,
        r#"
        SELECT id, connection, source, stream, media_type, status, reason, tries, received_at
        FROM graph.raw_record
        WHERE account = $1 AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR starts_with(source, $3))
            AND (received_at, id) < ($4, $5)
        ORDER BY received_at DESC, id DESC LIMIT $6
        "#,
        account.0,
        filter.status,
        filter.source,
        at,
        id,
        filter.limit
    )
    .fetch_all(tx.conn())
    .await
}
