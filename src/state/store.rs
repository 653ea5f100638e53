//! All SQL of the state service.

use chrono::{DateTime, Utc};
use contracts::{EntityId, Lane, Position};
use spine::{AccessError, ScopedTx};

use crate::model::{KeptFact, Whereabouts};

/// The fact as of a position of the log.
pub(crate) async fn fact_as_of(
    tx: &mut ScopedTx,
    key: &str,
    as_of: Position,
) -> Result<Option<KeptFact>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        KeptFact,
        r#"
        SELECT key, value, since, source, confidence, observed_at, position FROM state.fact
        WHERE account = $1 AND key = $2 AND position <= $3 ORDER BY position DESC LIMIT 1
        "#,
        account.0,
        key,
        as_of
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// The current facts by key, at most 1,000.
pub(crate) async fn fact_list(tx: &mut ScopedTx) -> Result<Vec<KeptFact>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        KeptFact,
        r#"
        SELECT DISTINCT ON (key) key, value, since, source, confidence, observed_at, position FROM state.fact
        WHERE account = $1 ORDER BY key, position DESC LIMIT 1000
        "#,
        account.0
    )
    .fetch_all(tx.conn())
    .await?)
}

/// What a fact was before a position, newest first.
pub(crate) async fn fact_history(
    tx: &mut ScopedTx,
    key: &str,
    before: Position,
    limit: i64,
) -> Result<Vec<KeptFact>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        KeptFact,
        r#"
        SELECT key, value, since, source, confidence, observed_at, position FROM state.fact
        WHERE account = $1 AND key = $2 AND position < $3 ORDER BY position DESC LIMIT $4
        "#,
        account.0,
        key,
        before,
        limit
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Writes what a fact is from its position on.
pub(crate) async fn fact_insert(tx: &mut ScopedTx, fact: &KeptFact) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        r#"
        INSERT INTO state.fact (account, key, position, value, since, source, confidence, observed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (account, key, position) DO UPDATE SET value = excluded.value, since = excluded.since,
            source = excluded.source, confidence = excluded.confidence, observed_at = excluded.observed_at
        "#,
        account.0,
        fact.key,
        fact.position,
        fact.value,
        fact.since,
        fact.source,
        fact.confidence,
        fact.observed_at
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes that the fact was seen to hold still.
pub(crate) async fn fact_confirm(
    tx: &mut ScopedTx,
    key: &str,
    position: Position,
    observed_at: DateTime<Utc>,
) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        "UPDATE state.fact SET observed_at = $4 WHERE account = $1 AND key = $2 AND position = $3",
        account.0,
        key,
        position,
        observed_at
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What the fold remembers of the account, locked until the commit.
pub(crate) async fn whereabouts_lock(tx: &mut ScopedTx) -> Result<Whereabouts, AccessError> {
    let account = tx.account();
    let row = sqlx::query!(
        r#"
        INSERT INTO state.whereabouts (account) VALUES ($1)
        ON CONFLICT (account) DO UPDATE SET account = excluded.account RETURNING places, fix_at, battery_at
        "#,
        account.0
    )
    .fetch_one(tx.conn())
    .await?;
    let places = row.places.into_iter().map(EntityId).collect();
    Ok(Whereabouts {
        places,
        fix_at: row.fix_at,
        battery_at: row.battery_at,
    })
}

/// Keeps what the fold remembers.
pub(crate) async fn whereabouts_update(tx: &mut ScopedTx, now: &Whereabouts) -> Result<(), AccessError> {
    let account = tx.account();
    let places: Vec<_> = now.places.iter().map(|place| place.0).collect();
    sqlx::query!(
        "UPDATE state.whereabouts SET places = $2, fix_at = $3, battery_at = $4 WHERE account = $1",
        account.0,
        &places,
        now.fix_at,
        now.battery_at
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Up to which position the fold has come on the live lane, so that an event which is retried later is known by it.
pub(crate) async fn fold_position(tx: &mut ScopedTx, consumer: &str) -> Result<Position, AccessError> {
    tx.consumer_position(consumer, Lane::Live).await
}
