//! Positions of consumers, and the events that they parked.

use contracts::{Event, EventId, Lane, Position};
use sqlx::{PgExecutor, PgPool};

use crate::access::{AccessError, ScopedTx};

/// Where the consumer stands on this lane; the first time it is put at the beginning.
pub(super) async fn position_or_start(
    pool: &PgPool,
    consumer: &str,
    lane: Lane,
) -> Result<Position, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        WITH fresh AS (
            INSERT INTO spine.consumer_position (consumer, lane, position) VALUES ($1, $2, 0)
            ON CONFLICT DO NOTHING RETURNING position
        )
        SELECT position AS "position!" FROM fresh
        UNION ALL SELECT position FROM spine.consumer_position WHERE consumer = $1 AND lane = $2
        "#,
        consumer,
        lane.as_str()
    )
    .fetch_one(pool)
    .await
}

/// Moves the position, in a transaction with the effects or alone. False: it doesn't stand at `from` any more.
pub(in crate::log) async fn position_move(
    on: impl PgExecutor<'_>,
    consumer: &str,
    lane: Lane,
    to: Position,
    from: Position,
) -> Result<bool, sqlx::Error> {
    let moved = sqlx::query!(
        "UPDATE spine.consumer_position SET position = $3 WHERE consumer = $1 AND lane = $2 AND position = $4",
        consumer,
        lane.as_str(),
        to,
        from
    )
    .execute(on)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Sets the position back to `after`, or leaves it where it is when it hasn't come so far. False: no such consumer.
pub(crate) async fn position_rewind(
    on: impl PgExecutor<'_>,
    consumer: &str,
    lane: Lane,
    after: Position,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query!(
        "UPDATE spine.consumer_position SET position = least(position, $3) WHERE consumer = $1 AND lane = $2",
        consumer,
        lane.as_str(),
        after.max(0)
    )
    .execute(on)
    .await?;
    Ok(found.rows_affected() == 1)
}

/// Parks an event with the reason why it could not be handled; the second time counts another try.
pub(super) async fn parked_upsert(
    tx: &mut ScopedTx,
    consumer: &str,
    event: &Event,
    reason: &str,
) -> Result<(), AccessError> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        INSERT INTO spine.parked_event (consumer, event, position, account, reason, tries, parked_at)
        VALUES ($1, $2, $3, $4, $5, 1, $6)
        ON CONFLICT (consumer, event) DO UPDATE SET reason = excluded.reason, tries = spine.parked_event.tries + 1
        "#,
        consumer,
        event.id.0,
        event.position,
        account.0,
        reason,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes a parked event away, to be handled again in this transaction. False: that consumer has not parked it.
pub(super) async fn parked_delete(
    tx: &mut ScopedTx,
    consumer: &str,
    event: EventId,
) -> Result<bool, AccessError> {
    let taken = sqlx::query!(
        "DELETE FROM spine.parked_event WHERE consumer = $1 AND event = $2",
        consumer,
        event.0
    )
    .execute(tx.conn())
    .await?;
    Ok(taken.rows_affected() == 1)
}
