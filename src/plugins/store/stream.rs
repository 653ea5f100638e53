//! The tables `plugins.stream` and `plugins.kept`.

use chrono::{DateTime, Utc};
use contracts::ConnectionId;
use serde_json::{Map, Value};
use spine::ScopedTx;
use spine::access::AccessError;
use spine::ports::Mode;

use crate::stream::{Class, Name, Stream};

struct Row {
    id: uuid::Uuid,
    connection: uuid::Uuid,
    name: String,
    part: String,
    mode: String,
    cursor: Option<Value>,
    page: i64,
    under_way: bool,
    done: i64,
    busy_ms: i64,
    estimate: Option<i64>,
    taken: i64,
    known: i64,
    parked: i64,
    read_at: Option<DateTime<Utc>>,
    whole_at: Option<DateTime<Utc>>,
    next_at: Option<DateTime<Utc>>,
    failures: i32,
    class: Option<String>,
    reason: String,
    read_by: String,
}

impl From<Row> for Stream {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: Name {
                connection: ConnectionId(row.connection),
                stream: row.name,
                part: row.part,
            },
            mode: Mode::from_name(&row.mode).unwrap_or(Mode::Full),
            cursor: row.cursor,
            page: row.page,
            under_way: row.under_way,
            done: row.done,
            busy_ms: row.busy_ms,
            estimate: row.estimate,
            taken: row.taken,
            known: row.known,
            parked: row.parked,
            read_at: row.read_at,
            whole_at: row.whole_at,
            next_at: row.next_at,
            failures: row.failures,
            class: row.class.as_deref().and_then(Class::from_name),
            reason: row.reason,
            read_by: row.read_by,
        }
    }
}

/// A connection's streams, in the order of their names.
pub(crate) async fn streams_by_connection(
    tx: &mut ScopedTx,
    connection: ConnectionId,
) -> Result<Vec<Stream>, AccessError> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT id, connection, name, part, mode, cursor, page, under_way, done, busy_ms, estimate, taken, known, parked,
            read_at, whole_at, CASE WHEN isfinite(next_at) THEN next_at END AS next_at, failures, class, reason, read_by
        FROM plugins.stream WHERE connection = $1 ORDER BY name, part
        "#,
        connection.0
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// A stream, held until the commit.
pub(crate) async fn stream_by_id_locked(
    tx: &mut ScopedTx,
    id: uuid::Uuid,
) -> Result<Option<Stream>, AccessError> {
    let row = sqlx::query_as!(
        Row,
        r#"
        SELECT id, connection, name, part, mode, cursor, page, under_way, done, busy_ms, estimate, taken, known, parked,
            read_at, whole_at, CASE WHEN isfinite(next_at) THEN next_at END AS next_at, failures, class, reason, read_by
        FROM plugins.stream WHERE id = $1 FOR UPDATE
        "#,
        id
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Into::into))
}

/// Writes a new stream down; one that is there stays as it is. True if it is new.
pub(crate) async fn stream_insert(tx: &mut ScopedTx, stream: &Stream) -> Result<bool, AccessError> {
    let account = tx.account().0;
    let done = sqlx::query!(
        r#"
        INSERT INTO plugins.stream (id, account, connection, name, part, mode, page, under_way, done, busy_ms, taken, known,
            parked, next_at, failures, reason)
        VALUES ($1, $2, $3, $4, $5, $6, 0, false, 0, 0, 0, 0, 0, coalesce($7, 'infinity'::timestamptz), 0, '')
        ON CONFLICT (connection, name, part) DO NOTHING
        "#,
        stream.id,
        account,
        stream.name.connection.0,
        stream.name.stream,
        stream.name.part,
        stream.mode.as_str(),
        stream.next_at
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes how a stream stands now.
pub(crate) async fn stream_put(tx: &mut ScopedTx, stream: &Stream) -> Result<(), AccessError> {
    sqlx::query!(
        r#"
        UPDATE plugins.stream SET mode = $2, cursor = $3, page = $4, under_way = $5, done = $6, busy_ms = $7,
            estimate = $8, taken = $9, known = $10, parked = $11, read_at = $12, whole_at = $13,
            next_at = coalesce($14, 'infinity'::timestamptz), failures = $15, class = $16, reason = $17, read_by = $18
        WHERE id = $1
        "#,
        stream.id,
        stream.mode.as_str(),
        stream.cursor,
        stream.page,
        stream.under_way,
        stream.done,
        stream.busy_ms,
        stream.estimate,
        stream.taken,
        stream.known,
        stream.parked,
        stream.read_at,
        stream.whole_at,
        stream.next_at,
        stream.failures,
        stream.class.map(Class::as_str),
        stream.reason,
        stream.read_by
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Removes a stream's checkpoint; what it brought stays.
pub(crate) async fn stream_delete(tx: &mut ScopedTx, id: uuid::Uuid) -> Result<(), AccessError> {
    sqlx::query!("DELETE FROM plugins.stream WHERE id = $1", id)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// What the connection keeps for itself.
pub(crate) async fn kept_by_connection(
    tx: &mut ScopedTx,
    connection: ConnectionId,
) -> Result<Map<String, Value>, AccessError> {
    let rows = sqlx::query!(
        "SELECT key, value FROM plugins.kept WHERE connection = $1 ORDER BY key",
        connection.0
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.value)).collect())
}

/// Keeps values by their keys; null forgets.
pub(crate) async fn keep(
    tx: &mut ScopedTx,
    connection: ConnectionId,
    values: &Map<String, Value>,
) -> Result<(), AccessError> {
    let account = tx.account().0;
    for (key, value) in values {
        if value.is_null() {
            sqlx::query!(
                "DELETE FROM plugins.kept WHERE connection = $1 AND key = $2",
                connection.0,
                key
            )
            .execute(tx.conn())
            .await?;
            continue;
        }
        sqlx::query!(
            r#"
            INSERT INTO plugins.kept (account, connection, key, value) VALUES ($1, $2, $3, $4)
            ON CONFLICT (connection, key) DO UPDATE SET value = excluded.value
            "#,
            account,
            connection.0,
            key,
            value
        )
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// Writes down of which moment a provider's word about a thing is, and holds it. False: a word of a later one is known.
pub(crate) async fn told_as_of(
    tx: &mut ScopedTx,
    connection: ConnectionId,
    thing: &[u8],
    as_of: DateTime<Utc>,
) -> Result<bool, AccessError> {
    let account = tx.account().0;
    let done = sqlx::query!(
        r#"
        INSERT INTO plugins.told (account, connection, thing, as_of) VALUES ($1, $2, $3, $4)
        ON CONFLICT (connection, thing) DO UPDATE SET as_of = excluded.as_of WHERE told.as_of <= excluded.as_of
        "#,
        account,
        connection.0,
        thing,
        as_of
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}
