//! All SQL of the state service.

pub(crate) mod forget;

use chrono::{DateTime, Utc};
use contracts::{EntityId, Lane, Position};
use spine::{AccessError, ScopedTx};

use crate::model::{KeptFact, PastFact, Whereabouts};
use crate::signal::Signal;

/// The fact as it reads as of a position of the log: at the time when the account's last event up to there was written
/// down; now, if that is the log's end.
pub(crate) async fn fact_as_of(
    tx: &mut ScopedTx,
    key: &str,
    as_of: Position,
) -> Result<Option<KeptFact>, AccessError> {
    let (account, now) = (tx.account(), tx.now());
    let row = sqlx::query!(
        r#"
        SELECT value, unit, since, source, confidence, observed_at, position, expires_at, expiry_told, retracted
        FROM state.fact WHERE account = $1 AND key = $2 AND position <= $3 ORDER BY position DESC LIMIT 1
        "#,
        account.0,
        key,
        as_of
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(None) };
    // Only what may have expired needs to know when that was.
    let moment = match row.expires_at {
        Some(_) if as_of < Position::MAX => tx.recorded_at_by(as_of).await?,
        _ => None,
    };
    let fact = KeptFact {
        key: key.to_owned(),
        value: row.value,
        unit: row.unit,
        since: row.since,
        source: row.source,
        confidence: row.confidence,
        observed_at: row.observed_at,
        position: row.position,
        expires_at: row.expires_at,
        expired_at: None,
        expiry_told: row.expiry_told,
        retracted: row.retracted,
    };
    Ok(Some(fact.read_at(moment.unwrap_or(now))))
}

/// The newest row of a fact as it is kept, whether it has expired or not.
pub(crate) async fn fact_newest(tx: &mut ScopedTx, key: &str) -> Result<Option<KeptFact>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        KeptFact,
        r#"
        SELECT key, value, unit, since, source, confidence, observed_at, position, expires_at,
            NULL::timestamptz AS expired_at, expiry_told, retracted
        FROM state.fact WHERE account = $1 AND key = $2 ORDER BY position DESC LIMIT 1
        "#,
        account.0,
        key
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// The present by key: facts whose keys begin so, after one of them. Goes from key to key, whatever each one's past.
pub(crate) async fn fact_list(
    tx: &mut ScopedTx,
    prefix: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<KeptFact>, AccessError> {
    let (account, now) = (tx.account(), tx.now());
    let rows = sqlx::query_as!(
        KeptFact,
        r#"
        WITH RECURSIVE keys AS (
            (SELECT key FROM state.fact WHERE account = $1 AND key > $3 ORDER BY key LIMIT 1)
            UNION ALL
            SELECT next.key FROM keys CROSS JOIN LATERAL
                (SELECT f.key FROM state.fact f WHERE f.account = $1 AND f.key > keys.key ORDER BY f.key LIMIT 1) next
        )
        SELECT newest.key AS "key!", newest.value AS "value!", newest.unit, newest.since AS "since!",
            newest.source AS "source!", newest.confidence AS "confidence!", newest.observed_at AS "observed_at!",
            newest.position AS "position!", newest.expires_at, NULL::timestamptz AS expired_at,
            newest.expiry_told AS "expiry_told!", newest.retracted AS "retracted!"
        FROM (SELECT key FROM keys WHERE starts_with(key, $2) LIMIT $4) wanted
        CROSS JOIN LATERAL (SELECT * FROM state.fact f WHERE f.account = $1 AND f.key = wanted.key
            ORDER BY f.position DESC LIMIT 1) newest
        ORDER BY newest.key
        "#,
        account.0,
        prefix,
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|fact| fact.read_at(now)).collect())
}

/// Which part of a history is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    /// What held after this moment.
    pub(crate) since: Option<DateTime<Utc>>,
    /// What held before this moment.
    pub(crate) until: Option<DateTime<Utc>>,
    /// What holds from an earlier position of the log on.
    pub(crate) before: Position,
}

/// What a fact was, newest first.
pub(crate) async fn fact_history(
    tx: &mut ScopedTx,
    key: &str,
    stretch: Stretch,
    limit: i64,
) -> Result<Vec<PastFact>, AccessError> {
    let (account, now) = (tx.account(), tx.now());
    Ok(sqlx::query_as!(
        PastFact,
        r#"
        SELECT f.key, f.value, f.unit, f.since, over.at AS until, f.source, f.confidence, f.observed_at, f.position
        FROM state.fact f
        CROSS JOIN LATERAL (SELECT least(CASE WHEN f.expires_at <= $7 THEN f.expires_at END,
            (SELECT next.since FROM state.fact next WHERE next.account = $1 AND next.key = $2
                AND next.position > f.position ORDER BY next.position LIMIT 1)) AS at) over
        WHERE f.account = $1 AND f.key = $2 AND f.position < $3 AND ($4::timestamptz IS NULL OR over.at IS NULL
            OR over.at > $4) AND ($5::timestamptz IS NULL OR f.since < $5)
        ORDER BY f.position DESC LIMIT $6
        "#,
        account.0,
        key,
        stretch.before,
        stretch.since,
        stretch.until,
        limit,
        now
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Writes what a fact is from its position on.
pub(crate) async fn fact_insert(tx: &mut ScopedTx, fact: &KeptFact) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        r#"
        INSERT INTO state.fact (account, key, position, value, unit, since, source, confidence, observed_at, expires_at,
            expiry_told, retracted)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        ON CONFLICT (account, key, position) DO UPDATE SET value = excluded.value, unit = excluded.unit,
            since = excluded.since, source = excluded.source, confidence = excluded.confidence,
            observed_at = excluded.observed_at, expires_at = excluded.expires_at,
            expiry_told = excluded.expiry_told, retracted = excluded.retracted
        "#,
        account.0,
        fact.key,
        fact.position,
        fact.value,
        fact.unit,
        fact.since,
        fact.source,
        fact.confidence,
        fact.observed_at,
        fact.expires_at,
        fact.expiry_told,
        fact.retracted
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes that the fact was seen to hold still, and until when it does; the timekeeper looks at it then.
pub(crate) async fn fact_confirm(
    tx: &mut ScopedTx,
    fact: &KeptFact,
    observed_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        r#"
        WITH gone AS (
            DELETE FROM state.deadline WHERE account = $1 AND key = $2 AND $5::timestamptz IS NULL
        ), due AS (
            INSERT INTO state.deadline (account, key, at) SELECT $1, $2, $5 WHERE $5 IS NOT NULL
            ON CONFLICT (account, key) DO UPDATE SET at = excluded.at, asked = false
                WHERE deadline.at <> excluded.at
        )
        UPDATE state.fact SET observed_at = greatest(observed_at, $4), expires_at = $5
        WHERE account = $1 AND key = $2 AND position = $3
        "#,
        account.0,
        fact.key,
        fact.position,
        observed_at,
        expires_at
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes that the log tells of the fact's expiry.
pub(crate) async fn fact_expiry_told(tx: &mut ScopedTx, fact: &KeptFact) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        "UPDATE state.fact SET expiry_told = true WHERE account = $1 AND key = $2 AND position = $3",
        account.0,
        fact.key,
        fact.position
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The newest word of each source about a key.
pub(crate) async fn signal_list(tx: &mut ScopedTx, key: &str) -> Result<Vec<Signal>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        Signal,
        r#"
        SELECT voice, source, value, unit, taken_at, confidence, expires_at FROM state.signal
        WHERE account = $1 AND key = $2 ORDER BY voice
        "#,
        account.0,
        key
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Of calls, of which any number may run, only those by which is decided who is believed: the one that is asked for,
/// and of the others that run the first, the last, and the one that is heard longest.
pub(crate) async fn signal_list_of_calls(
    tx: &mut ScopedTx,
    key: &str,
    voice: &str,
    now: DateTime<Utc>,
) -> Result<Vec<Signal>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        Signal,
        r#"
        SELECT voice AS "voice!", source AS "source!", value AS "value!", unit, taken_at AS "taken_at!",
            confidence AS "confidence!", expires_at
        FROM (
            (SELECT * FROM state.signal WHERE account = $1 AND key = $2 AND voice = $3)
            UNION
            (SELECT * FROM state.signal WHERE account = $1 AND key = $2 AND value = 'true'
                AND (expires_at IS NULL OR expires_at > $4) AND voice <> $3 ORDER BY taken_at, voice LIMIT 1)
            UNION
            (SELECT * FROM state.signal WHERE account = $1 AND key = $2 AND value = 'true'
                AND (expires_at IS NULL OR expires_at > $4) AND voice <> $3 ORDER BY taken_at DESC LIMIT 1)
            UNION
            (SELECT * FROM state.signal WHERE account = $1 AND key = $2 AND value = 'true'
                AND (expires_at IS NULL OR expires_at > $4) AND voice <> $3 ORDER BY expires_at DESC NULLS FIRST LIMIT 1)
        ) AS signal ORDER BY voice
        "#,
        account.0,
        key,
        voice,
        now
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Keeps a source's newest word, and forgets what others said about the key that expired before a moment, if one is
/// given.
pub(crate) async fn signal_upsert(
    tx: &mut ScopedTx,
    key: &str,
    signal: &Signal,
    forget: Option<DateTime<Utc>>,
) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        r#"
        WITH forgotten AS (
            DELETE FROM state.signal WHERE account = $1 AND key = $2 AND expires_at < $10 AND voice <> $3
        )
        INSERT INTO state.signal (account, key, voice, source, value, unit, taken_at, confidence, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (account, key, voice) DO UPDATE SET source = excluded.source, value = excluded.value,
            unit = excluded.unit, taken_at = excluded.taken_at, confidence = excluded.confidence,
            expires_at = excluded.expires_at
        "#,
        account.0,
        key,
        signal.voice,
        signal.source,
        signal.value,
        signal.unit,
        signal.taken_at,
        signal.confidence,
        signal.expires_at,
        forget
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Nothing that was said about a key by now counts from a moment on.
pub(crate) async fn signals_end(tx: &mut ScopedTx, key: &str, at: DateTime<Utc>) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        r#"
        UPDATE state.signal SET expires_at = least(expires_at, $3)
        WHERE account = $1 AND key = $2 AND taken_at <= $3
        "#,
        account.0,
        key,
        at
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// How long readings of a key hold by the owner's wish, in seconds. Outer `None`: they have none; inner: for ever.
pub(crate) async fn setting_by_key(tx: &mut ScopedTx, key: &str) -> Result<Option<Option<i64>>, AccessError> {
    let account = tx.account();
    let found = sqlx::query!(
        "SELECT valid_for_s FROM state.setting WHERE account = $1 AND key = $2",
        account.0,
        key
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(found.map(|row| row.valid_for_s))
}

/// Keeps how long readings of a key hold, unless a later event said something else.
pub(crate) async fn setting_upsert(
    tx: &mut ScopedTx,
    key: &str,
    valid_for_s: Option<i64>,
    position: Position,
) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        r#"
        INSERT INTO state.setting AS old (account, key, valid_for_s, position) VALUES ($1, $2, $3, $4)
        ON CONFLICT (account, key) DO UPDATE SET valid_for_s = excluded.valid_for_s, position = excluded.position
        WHERE old.position < excluded.position
        "#,
        account.0,
        key,
        valid_for_s,
        position
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Has the timekeeper look at a fact when it expires; `None`: never.
pub(crate) async fn deadline_set(
    tx: &mut ScopedTx,
    key: &str,
    at: Option<DateTime<Utc>>,
) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        r#"
        WITH gone AS (DELETE FROM state.deadline WHERE account = $1 AND key = $2 AND $3::timestamptz IS NULL)
        INSERT INTO state.deadline (account, key, at) SELECT $1, $2, $3 WHERE $3 IS NOT NULL
        ON CONFLICT (account, key) DO UPDATE SET at = excluded.at, asked = false
            WHERE deadline.at <> excluded.at
        "#,
        account.0,
        key,
        at
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes the deadlines that passed by a moment, each once. At most 500.
pub(crate) async fn deadlines_take(
    tx: &mut ScopedTx,
    by: DateTime<Utc>,
) -> Result<Vec<(String, DateTime<Utc>)>, AccessError> {
    let account = tx.account();
    let rows = sqlx::query!(
        r#"
        UPDATE state.deadline SET asked = true WHERE account = $1 AND key IN (
            SELECT key FROM state.deadline WHERE account = $1 AND at <= $2 AND NOT asked ORDER BY at LIMIT 500 FOR UPDATE
        ) RETURNING key, at
        "#,
        account.0,
        by
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.at)).collect())
}

/// What the fold remembers of the account, locked until the commit.
pub(crate) async fn whereabouts_lock(tx: &mut ScopedTx) -> Result<Whereabouts, AccessError> {
    let account = tx.account();
    loop {
        let found = sqlx::query!(
            r#"
            SELECT places, fix_at, battery_at, folded_to FROM state.whereabouts WHERE account = $1 FOR NO KEY UPDATE
            "#,
            account.0
        )
        .fetch_optional(tx.conn())
        .await?;
        if let Some(row) = found {
            return Ok(Whereabouts {
                places: row.places.into_iter().map(EntityId).collect(),
                fix_at: row.fix_at,
                battery_at: row.battery_at,
                folded_to: row.folded_to,
            });
        }
        sqlx::query!(
            "INSERT INTO state.whereabouts (account) VALUES ($1) ON CONFLICT (account) DO NOTHING",
            account.0
        )
        .execute(tx.conn())
        .await?;
    }
}

/// Keeps what the fold remembers.
pub(crate) async fn whereabouts_update(tx: &mut ScopedTx, now: &Whereabouts) -> Result<(), AccessError> {
    let account = tx.account();
    let places: Vec<_> = now.places.iter().map(|place| place.0).collect();
    sqlx::query!(
        "UPDATE state.whereabouts SET places = $2, fix_at = $3, battery_at = $4, folded_to = $5 WHERE account = $1",
        account.0,
        &places,
        now.fix_at,
        now.battery_at,
        now.folded_to
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Up to which position the fold has come on the live lane, so that an event which is retried later is known by it.
pub(crate) async fn fold_position(tx: &mut ScopedTx, consumer: &str) -> Result<Position, AccessError> {
    tx.consumer_position(consumer, Lane::Live).await
}
