//! All SQL of the channels service.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use contracts::{AttemptId, ConnectionId, CorrelationId, EntityId, EventId};
use spine::ports::Route;
use spine::{AccessError, Cause, ScopedTx};

use crate::model::{Attempt, AttemptState};

/// A row as the queries return it.
struct Row {
    id: uuid::Uuid,
    connection: uuid::Uuid,
    plugin: String,
    created_at: DateTime<Utc>,
    state: String,
    remote_id: Option<String>,
    reason: Option<String>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<Row> for Attempt {
    fn from(row: Row) -> Self {
        Self {
            id: AttemptId(row.id),
            connection: ConnectionId(row.connection),
            plugin: row.plugin,
            created_at: row.created_at,
            state: AttemptState::from_name(&row.state),
            remote_id: row.remote_id,
            reason: row.reason,
            finished_at: row.finished_at,
        }
    }
}

/// The attempts of a message, oldest first, at most 100.
pub(crate) async fn attempt_list(tx: &mut ScopedTx, message: EntityId) -> Result<Vec<Attempt>, AccessError> {
    let account = tx.account();
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT id, connection, plugin, created_at, state, remote_id, reason, finished_at FROM channels.attempt
        WHERE account = $1 AND message = $2
        -- The open or successful one first, so that no limit hides it.
        ORDER BY (state IN ('refused', 'disproved')), created_at, id LIMIT 100
        "#,
        account.0,
        message.0
    )
    .fetch_all(tx.conn())
    .await?;
    let mut attempts: Vec<_> = rows.into_iter().map(Attempt::from).collect();
    attempts.sort_by_key(|attempt| (attempt.created_at, attempt.id));
    Ok(attempts)
}

/// As [`attempt_list`], for the one that counts, locked until the commit: an open or successful one, if there is any.
pub(crate) async fn attempt_list_locked(
    tx: &mut ScopedTx,
    message: EntityId,
) -> Result<Vec<Attempt>, AccessError> {
    let account = tx.account();
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT id, connection, plugin, created_at, state, remote_id, reason, finished_at FROM channels.attempt
        WHERE account = $1 AND message = $2 AND state IN ('started', 'unknown', 'accepted', 'adopted')
        ORDER BY id FOR UPDATE
        "#,
        account.0,
        message.0
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Attempt::from).collect())
}

/// The attempt of a message that a provider speaks of: by the attempt's id where the callback's address told, else by
/// the provider's id. Locked until the commit.
pub(crate) async fn attempt_spoken_of(
    tx: &mut ScopedTx,
    message: EntityId,
    attempt: Option<AttemptId>,
    remote_id: &str,
) -> Result<Option<Attempt>, AccessError> {
    let account = tx.account();
    let row = sqlx::query_as!(
        Row,
        r#"
        SELECT id, connection, plugin, created_at, state, remote_id, reason, finished_at FROM channels.attempt
        WHERE account = $1 AND message = $2 AND (id = $3 OR ($3::uuid IS NULL AND remote_id = $4))
        LIMIT 1 FOR UPDATE
        "#,
        account.0,
        message.0,
        attempt.map(|id| id.0),
        remote_id
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Attempt::from))
}

/// Because of what the provider speaks of a message; `None` if it is of no attempt, or of one that knows no cause.
pub(crate) async fn attempt_cause(
    tx: &mut ScopedTx,
    message: EntityId,
    attempt: Option<AttemptId>,
    remote_id: &str,
) -> Result<Option<Cause>, AccessError> {
    let (account, lane) = (tx.account(), tx.cause().lane);
    let row = sqlx::query!(
        r#"
        SELECT correlation AS "correlation!", causation, depth AS "depth!" FROM channels.attempt
        WHERE account = $1 AND message = $2 AND (id = $3 OR ($3::uuid IS NULL AND remote_id = $4))
            AND correlation IS NOT NULL AND depth IS NOT NULL
        LIMIT 1
        "#,
        account.0,
        message.0,
        attempt.map(|id| id.0),
        remote_id
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Cause {
        correlation: CorrelationId(row.correlation),
        causation: row.causation.map(EventId),
        depth: row.depth,
        lane,
    }))
}

/// What the provider says of the attempt from now on follows from this event, published just now.
pub(crate) async fn attempt_followed_by(
    tx: &mut ScopedTx,
    attempt: AttemptId,
    event: EventId,
) -> Result<(), AccessError> {
    let (account, cause) = (tx.account(), tx.cause());
    sqlx::query!(
        "UPDATE channels.attempt SET correlation = $3, causation = $4, depth = $5 WHERE account = $1 AND id = $2",
        account.0,
        attempt.0,
        cause.correlation.0,
        event.0,
        cause.depth.saturating_add(1)
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Begins the first attempt; `None` if the message had one, however that ended.
pub(crate) async fn attempt_start_first(
    tx: &mut ScopedTx,
    message: EntityId,
    route: &Route,
) -> Result<Option<Attempt>, AccessError> {
    let (account, now, id, cause) = (tx.account(), tx.now(), AttemptId::new(), tx.cause());
    let row = sqlx::query_as!(
        Row,
        r#"
        INSERT INTO channels.attempt (account, id, message, connection, plugin, created_at, state, correlation,
            causation, depth)
        SELECT $1, $2, $3, $4, $5, $6, 'started', $7, $8, $9
        WHERE NOT EXISTS (SELECT FROM channels.attempt WHERE account = $1 AND message = $3)
        ON CONFLICT (account, message) WHERE state IN ('started', 'unknown', 'accepted', 'adopted') DO NOTHING
        RETURNING id, connection, plugin, created_at, state, remote_id, reason, finished_at
        "#,
        account.0,
        id.0,
        message.0,
        route.connection.0,
        route.plugin,
        now,
        cause.correlation.0,
        cause.causation.map(|event| event.0),
        cause.depth
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Attempt::from))
}

/// Begins an attempt; `None` if the message has one that is open or successful.
pub(crate) async fn attempt_start(
    tx: &mut ScopedTx,
    message: EntityId,
    route: &Route,
) -> Result<Option<Attempt>, AccessError> {
    let (account, now, id, cause) = (tx.account(), tx.now(), AttemptId::new(), tx.cause());
    let row = sqlx::query_as!(
        Row,
        r#"
        INSERT INTO channels.attempt (account, id, message, connection, plugin, created_at, state, correlation,
            causation, depth)
        VALUES ($1, $2, $3, $4, $5, $6, 'started', $7, $8, $9)
        ON CONFLICT (account, message) WHERE state IN ('started', 'unknown', 'accepted', 'adopted') DO NOTHING
        RETURNING id, connection, plugin, created_at, state, remote_id, reason, finished_at
        "#,
        account.0,
        id.0,
        message.0,
        route.connection.0,
        route.plugin,
        now,
        cause.correlation.0,
        cause.causation.map(|event| event.0),
        cause.depth
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Attempt::from))
}

/// The provider has the message of an attempt whose outcome was open, and this event will tell of it: what the provider
/// says of the attempt from now on follows from it. False: somebody else settled it before.
pub(crate) async fn attempt_prove(
    tx: &mut ScopedTx,
    attempt: AttemptId,
    state: AttemptState,
    remote_id: &str,
    event: EventId,
) -> Result<bool, AccessError> {
    let (account, now, cause) = (tx.account(), tx.now(), tx.cause());
    let done = sqlx::query!(
        r#"
        UPDATE channels.attempt SET state = $3, remote_id = $4, reason = NULL, finished_at = $5,
            correlation = $6, causation = $7, depth = $8
        WHERE account = $1 AND id = $2 AND state IN ('started', 'unknown')
        "#,
        account.0,
        attempt.0,
        state.as_str(),
        remote_id,
        now,
        cause.correlation.0,
        event.0,
        cause.depth.saturating_add(1)
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The provider has the message of an attempt that was given up. It counts as sent, unless a later attempt is open or
/// successful: then only the provider's id is kept. True: it counts.
pub(crate) async fn attempt_prove_late(
    tx: &mut ScopedTx,
    attempt: AttemptId,
    remote_id: &str,
) -> Result<bool, AccessError> {
    let (account, now) = (tx.account(), tx.now());
    let state = sqlx::query_scalar!(
        r#"
        UPDATE channels.attempt AS late SET remote_id = $3, finished_at = $4,
            reason = 'the provider spoke of it after it was given up',
            state = CASE WHEN EXISTS (
                SELECT 1 FROM channels.attempt AS other WHERE other.account = late.account
                    AND other.message = late.message AND other.state IN ('started', 'unknown', 'accepted', 'adopted')
            ) THEN late.state ELSE 'adopted' END
        WHERE late.account = $1 AND late.id = $2 AND late.state IN ('refused', 'disproved')
        RETURNING late.state
        "#,
        account.0,
        attempt.0,
        remote_id,
        now
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(state.as_deref() == Some(AttemptState::Adopted.as_str()))
}

/// An open attempt did not succeed, or its outcome can't be known from its answer. False: somebody else settled it.
pub(crate) async fn attempt_end(
    tx: &mut ScopedTx,
    attempt: AttemptId,
    state: AttemptState,
    reason: &str,
) -> Result<bool, AccessError> {
    let (account, now) = (tx.account(), tx.now());
    let done = sqlx::query!(
        r#"
        UPDATE channels.attempt SET state = $3, reason = $4, finished_at = $5
        WHERE account = $1 AND id = $2 AND state IN ('started', 'unknown')
        "#,
        account.0,
        attempt.0,
        state.as_str(),
        reason,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Those of the provider's ids that an attempt bears already.
pub(crate) async fn remote_id_list_taken(
    tx: &mut ScopedTx,
    connection: ConnectionId,
    remote_ids: &[String],
) -> Result<BTreeSet<String>, AccessError> {
    let account = tx.account();
    let taken = sqlx::query_scalar!(
        r#"
        SELECT remote_id AS "remote_id!" FROM channels.attempt
        WHERE account = $1 AND connection = $2 AND remote_id = ANY($3)
        "#,
        account.0,
        connection.0,
        remote_ids
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(taken.into_iter().collect())
}

/// Removes a message's attempts.
pub(crate) async fn attempts_erase(tx: &mut ScopedTx, message: EntityId) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        "DELETE FROM channels.attempt WHERE account = $1 AND message = $2",
        account.0,
        message.0
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
