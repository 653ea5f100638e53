//! The tables `plugins.connection` and `plugins.secret`; the others below.

mod stream;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contracts::ConnectionId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spine::ScopedTx;
use spine::access::AccessError;
use uuid::Uuid;

use crate::model::{Connection, Health};
pub(crate) use stream::*;

/// Connections of one account.
const CONNECTIONS_MAX: i64 = 500;

struct Row {
    id: Uuid,
    plugin: String,
    name: String,
    settings: Value,
    allowed_ranges: Vec<String>,
    health: String,
    reason: String,
    paused: bool,
    created_at: DateTime<Utc>,
    asked_at: Option<DateTime<Utc>>,
    synced_to: DateTime<Utc>,
    secret_names: Vec<String>,
    secret_values: Vec<Vec<u8>>,
}

impl From<Row> for Connection {
    fn from(row: Row) -> Self {
        let settings = match row.settings {
            Value::Object(settings) => settings,
            _ => Map::new(),
        };
        let secrets: BTreeMap<_, _> = row.secret_names.into_iter().zip(row.secret_values).collect();
        Self {
            id: row.id.into(),
            plugin: row.plugin,
            name: row.name,
            settings,
            allowed_ranges: row.allowed_ranges,
            health: Health::from_name(&row.health),
            reason: row.reason,
            paused: row.paused,
            created_at: row.created_at,
            asked_at: row.asked_at,
            synced_to: row.synced_to,
            secrets,
        }
    }
}

/// The connection with its sealed secrets.
pub(crate) async fn connection_by_id(
    tx: &mut ScopedTx,
    id: ConnectionId,
) -> Result<Option<Connection>, AccessError> {
    let row = sqlx::query_as!(
        Row,
        r#"
        SELECT id, plugin, name, settings, allowed_ranges, health, reason, paused, created_at, asked_at, synced_to,
            ARRAY(SELECT s.name FROM plugins.secret AS s WHERE s.connection = c.id ORDER BY s.name) AS "secret_names!",
            ARRAY(SELECT s.sealed FROM plugins.secret AS s WHERE s.connection = c.id ORDER BY s.name) AS "secret_values!"
        FROM plugins.connection AS c WHERE id = $1
        "#,
        id.0
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Into::into))
}

/// As [`connection_by_id`], locked until the commit.
pub(crate) async fn connection_by_id_locked(
    tx: &mut ScopedTx,
    id: ConnectionId,
) -> Result<Option<Connection>, AccessError> {
    sqlx::query!("SELECT id FROM plugins.connection WHERE id = $1 FOR UPDATE", id.0)
        .fetch_optional(tx.conn())
        .await?;
    connection_by_id(tx, id).await
}

/// All connections, oldest first.
pub(crate) async fn connection_list(tx: &mut ScopedTx) -> Result<Vec<Connection>, AccessError> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT id, plugin, name, settings, allowed_ranges, health, reason, paused, created_at, asked_at, synced_to,
            ARRAY(SELECT s.name FROM plugins.secret AS s WHERE s.connection = c.id ORDER BY s.name) AS "secret_names!",
            ARRAY(SELECT s.sealed FROM plugins.secret AS s WHERE s.connection = c.id ORDER BY s.name) AS "secret_values!"
        FROM plugins.connection AS c ORDER BY created_at, id LIMIT $1
        "#,
        CONNECTIONS_MAX
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// The connection that messages of these plugins go by: the one wished for, else the oldest one that works; only where
/// none does, the oldest that may work again. A paused one never.
pub(crate) async fn connection_for_channel(
    tx: &mut ScopedTx,
    plugins: &[String],
    wish: Option<ConnectionId>,
) -> Result<Option<Connection>, AccessError> {
    let row = sqlx::query_as!(
        Row,
        r#"
        SELECT id, plugin, name, settings, allowed_ranges, health, reason, paused, created_at, asked_at, synced_to,
            ARRAY(SELECT s.name FROM plugins.secret AS s WHERE s.connection = c.id ORDER BY s.name) AS "secret_names!",
            ARRAY(SELECT s.sealed FROM plugins.secret AS s WHERE s.connection = c.id ORDER BY s.name) AS "secret_values!"
        FROM (
            SELECT * FROM plugins.connection
            WHERE plugin = ANY ($1) AND NOT paused AND ($2::uuid IS NULL OR id = $2)
            ORDER BY array_position(ARRAY['active', 'retrying'], health) NULLS LAST, created_at, id LIMIT 1
        ) AS c
        "#,
        plugins,
        wish.map(Uuid::from)
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Into::into))
}

pub(crate) async fn connection_insert(tx: &mut ScopedTx, connection: &Connection) -> Result<(), AccessError> {
    let account = tx.account().0;
    sqlx::query!(
        r#"
        INSERT INTO plugins.connection
            (id, account, plugin, name, settings, allowed_ranges, health, reason, paused, created_at, asked_at, synced_to)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        "#,
        connection.id.0,
        account,
        connection.plugin,
        connection.name,
        Value::Object(connection.settings.clone()),
        &connection.allowed_ranges,
        connection.health.as_str(),
        connection.reason,
        connection.paused,
        connection.created_at,
        connection.asked_at,
        connection.synced_to
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Changes name, settings and ranges.
pub(crate) async fn connection_update(tx: &mut ScopedTx, connection: &Connection) -> Result<(), AccessError> {
    sqlx::query!(
        "UPDATE plugins.connection SET name = $2, settings = $3, allowed_ranges = $4 WHERE id = $1",
        connection.id.0,
        connection.name,
        Value::Object(connection.settings.clone()),
        &connection.allowed_ranges
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(crate) async fn connection_pause(
    tx: &mut ScopedTx,
    id: ConnectionId,
    paused: bool,
) -> Result<(), AccessError> {
    sqlx::query!(
        "UPDATE plugins.connection SET paused = $2 WHERE id = $1",
        id.0,
        paused
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// True if it changed.
pub(crate) async fn connection_health(
    tx: &mut ScopedTx,
    id: ConnectionId,
    health: Health,
    reason: &str,
) -> Result<bool, AccessError> {
    let done = sqlx::query!(
        "UPDATE plugins.connection SET health = $2, reason = $3 WHERE id = $1 AND (health, reason) <> ($2, $3)",
        id.0,
        health.as_str(),
        reason
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The provider was asked at this moment (whatever came of it).
pub(crate) async fn connection_asked(
    tx: &mut ScopedTx,
    id: ConnectionId,
    at: DateTime<Utc>,
) -> Result<(), AccessError> {
    sqlx::query!(
        "UPDATE plugins.connection SET asked_at = $2 WHERE id = $1",
        id.0,
        at
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Everything up to this moment was taken in. Never goes back.
pub(crate) async fn connection_synced(
    tx: &mut ScopedTx,
    id: ConnectionId,
    to: DateTime<Utc>,
) -> Result<(), AccessError> {
    sqlx::query!(
        "UPDATE plugins.connection SET synced_to = greatest(synced_to, $2) WHERE id = $1",
        id.0,
        to
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Removes the connection with its secrets; what it brought stays. False: it was not there.
pub(crate) async fn connection_delete(tx: &mut ScopedTx, id: ConnectionId) -> Result<bool, AccessError> {
    sqlx::query!("DELETE FROM plugins.secret WHERE connection = $1", id.0)
        .execute(tx.conn())
        .await?;
    sqlx::query!("DELETE FROM plugins.stream WHERE connection = $1", id.0)
        .execute(tx.conn())
        .await?;
    sqlx::query!("DELETE FROM plugins.kept WHERE connection = $1", id.0)
        .execute(tx.conn())
        .await?;
    let done = sqlx::query!("DELETE FROM plugins.connection WHERE id = $1", id.0)
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes a sealed secret, in place of an older one.
pub(crate) async fn secret_put(
    tx: &mut ScopedTx,
    connection: ConnectionId,
    name: &str,
    sealed: &[u8],
) -> Result<(), AccessError> {
    let (account, now) = (tx.account().0, tx.now());
    sqlx::query!(
        r#"
        INSERT INTO plugins.secret (account, connection, name, sealed, set_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (connection, name) DO UPDATE SET sealed = excluded.sealed, set_at = excluded.set_at
        "#,
        account,
        connection.0,
        name,
        sealed,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A history that is being read: since when, up to when it will have been, and the pack's own word for where to go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reading {
    pub(crate) since: DateTime<Utc>,
    pub(crate) until: DateTime<Utc>,
    pub(crate) next: Value,
}

/// The reading that is under way. One of another shape is as none: the history is read from its beginning.
pub(crate) async fn reading_by_connection(
    tx: &mut ScopedTx,
    id: ConnectionId,
) -> Result<Option<Reading>, AccessError> {
    let reading = sqlx::query_scalar!("SELECT reading FROM plugins.connection WHERE id = $1", id.0)
        .fetch_optional(tx.conn())
        .await?;
    Ok(reading
        .flatten()
        .and_then(|reading| Reading::deserialize(reading).ok()))
}

/// Where to go on; `None`: the reading is at its end, or begins anew.
pub(crate) async fn reading_put(
    tx: &mut ScopedTx,
    id: ConnectionId,
    reading: Option<&Reading>,
) -> Result<(), AccessError> {
    let reading = reading.map(serde_json::to_value).transpose()?;
    sqlx::query!(
        "UPDATE plugins.connection SET reading = $2 WHERE id = $1",
        id.0,
        reading
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
