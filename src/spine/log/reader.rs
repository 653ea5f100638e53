//! Reading the log: a stretch of a lane with its bodies, for consumers and for people.

use chrono::{DateTime, Utc};
use contracts::{AccountId, CorrelationId, Event, EventId, Lane, Position};
use sqlx::PgPool;

use super::chain;
use crate::access::{AccessError, ScopedTx};

/// Which events a consumer or a person wants.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Full type names; empty: all.
    pub types: Vec<String>,
    /// Only what one occurrence set off.
    pub correlation: Option<CorrelationId>,
}

/// A row of the log beside its body, as the queries return it.
#[derive(Debug, sqlx::FromRow)]
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
    body: Option<Vec<u8>>,
}

impl From<Row> for Event {
    fn from(row: Row) -> Self {
        Self {
            position: row.position,
            id: EventId(row.id),
            kind: row.kind,
            version: row.version,
            account: AccountId(row.account),
            lane: Lane::from_name(&row.lane),
            subject: row.subject,
            subject_version: row.subject_version,
            actor: row.actor,
            occurred_at: row.occurred_at,
            recorded_at: row.recorded_at,
            correlation: CorrelationId(row.correlation),
            causation: row.causation.map(EventId),
            depth: row.depth,
            body: row.body.and_then(|body| serde_json::from_slice(&body).ok()),
        }
    }
}

/// A row that is being sealed at this position, with its body, as the log will give it.
pub(super) fn event_of(row: &chain::Row, position: Position, body: Option<Vec<u8>>) -> Event {
    let row = row.clone();
    Event::from(Row {
        position,
        id: row.id,
        kind: row.kind,
        version: row.version,
        account: row.account,
        lane: row.lane,
        subject: row.subject,
        subject_version: row.subject_version,
        actor: row.actor,
        occurred_at: row.occurred_at,
        recorded_at: row.recorded_at,
        correlation: row.correlation,
        causation: row.causation,
        depth: row.depth,
        body,
    })
}

/// Events of a lane after a position, across accounts: for consumers. Types empty: all.
pub(crate) async fn events_for_consumer(
    pool: &PgPool,
    lane: Lane,
    after: Position,
    up_to: Position,
    types: &[String],
    limit: i64,
) -> Result<Vec<Event>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT log.position, log.id, log.type AS kind, log.version, log.account, log.lane, log.subject,
            log.subject_version, log.actor, log.occurred_at, log.recorded_at, log.correlation, log.causation,
            log.depth, body.body AS "body?"
        FROM spine.event_log AS log LEFT JOIN spine.event_body AS body ON body.event = log.id
        WHERE log.position > $1 AND log.position <= $2 AND log.lane = $3
            AND (cardinality($4::text[]) = 0 OR log.type = ANY($4))
        ORDER BY log.position LIMIT $5
        "#,
        after,
        up_to,
        lane.as_str(),
        types,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Event::from).collect())
}

/// The account's events after a position, oldest first.
///
/// # Errors
/// [`AccessError::Database`].
pub async fn event_list(
    tx: &mut ScopedTx,
    filter: &Filter,
    after: Position,
    limit: i64,
) -> Result<Vec<Event>, AccessError> {
    let account = tx.account();
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT log.position, log.id, log.type AS kind, log.version, log.account, log.lane, log.subject,
            log.subject_version, log.actor, log.occurred_at, log.recorded_at, log.correlation, log.causation,
            log.depth, body.body AS "body?"
        FROM spine.event_log AS log LEFT JOIN spine.event_body AS body ON body.event = log.id
        WHERE log.account = $5 AND log.position > $1
            AND (cardinality($2::text[]) = 0 OR log.type = ANY($2))
            AND ($3::uuid IS NULL OR log.correlation = $3)
        ORDER BY log.position LIMIT $4
        "#,
        after,
        &filter.types,
        filter.correlation.map(|id| id.0),
        limit,
        account.0
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Event::from).collect())
}

/// The account's newest events before a position, newest first.
///
/// # Errors
/// [`AccessError::Database`].
pub async fn event_tail(
    tx: &mut ScopedTx,
    filter: &Filter,
    before: Position,
    limit: i64,
) -> Result<Vec<Event>, AccessError> {
    let account = tx.account();
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT log.position, log.id, log.type AS kind, log.version, log.account, log.lane, log.subject,
            log.subject_version, log.actor, log.occurred_at, log.recorded_at, log.correlation, log.causation,
            log.depth, body.body AS "body?"
        FROM spine.event_log AS log LEFT JOIN spine.event_body AS body ON body.event = log.id
        WHERE log.account = $4 AND (cardinality($1::text[]) = 0 OR log.type = ANY($1))
            AND ($2::uuid IS NULL OR log.correlation = $2) AND log.position < $5
        ORDER BY log.position DESC LIMIT $3
        "#,
        &filter.types,
        filter.correlation.map(|id| id.0),
        limit,
        account.0,
        before
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Event::from).collect())
}

/// One event of the account, by id.
///
/// # Errors
/// [`AccessError::Database`].
pub async fn event_by_id(tx: &mut ScopedTx, id: EventId) -> Result<Option<Event>, AccessError> {
    let account = tx.account();
    let row = sqlx::query_as!(
        Row,
        r#"
        SELECT log.position, log.id, log.type AS kind, log.version, log.account, log.lane, log.subject,
            log.subject_version, log.actor, log.occurred_at, log.recorded_at, log.correlation, log.causation,
            log.depth, body.body AS "body?"
        FROM spine.event_log AS log LEFT JOIN spine.event_body AS body ON body.event = log.id
        WHERE log.account = $2 AND log.id = $1
        "#,
        id.0,
        account.0
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Event::from))
}
