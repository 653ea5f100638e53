//! Forgetting what was erased.

use contracts::EntityId;
use serde_json::Value;
use spine::{AccessError, ScopedTx};

/// The owner isn't in these places any more: there are none.
pub(crate) async fn place_forget(tx: &mut ScopedTx, gone: &[EntityId]) -> Result<(), AccessError> {
    let account = tx.account();
    let gone: Vec<_> = gone.iter().map(|id| id.0).collect();
    sqlx::query!(
        r#"
        UPDATE state.whereabouts SET places = ARRAY(SELECT place FROM unnest(places) AS place WHERE place <> ALL($2))
        WHERE account = $1 AND places && $2
        "#,
        account.0,
        &gone
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What facts and signals say in words, each once.
pub(crate) async fn text_values(tx: &mut ScopedTx) -> Result<Vec<Value>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_scalar!(
        r#"
        SELECT value AS "value!" FROM state.fact
        WHERE account = $1 AND jsonb_typeof(value) IN ('string', 'array', 'object')
        UNION SELECT value FROM state.signal
        WHERE account = $1 AND jsonb_typeof(value) IN ('string', 'array', 'object')
        "#,
        account.0
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Empties the facts whose source or value holds one of these ids, or whose value is one of these: they read as unknown.
/// Gives the keys of which nothing is known now.
pub(crate) async fn facts_empty(
    tx: &mut ScopedTx,
    ids: &[String],
    values: &[Value],
) -> Result<Vec<String>, AccessError> {
    let account = tx.account();
    sqlx::query!(
        r#"
        UPDATE state.fact SET value = 'null', unit = NULL, source = 'erased', confidence = 0, retracted = true,
            expires_at = NULL
        WHERE account = $1 AND (value = ANY($3) OR EXISTS (SELECT FROM unnest($2::text[]) AS gone (id)
            WHERE position(gone.id IN source) > 0 OR position(gone.id IN value::text) > 0))
        "#,
        account.0,
        ids,
        values
    )
    .execute(tx.conn())
    .await?;
    Ok(sqlx::query_scalar!(
        r#"
        SELECT key AS "key!" FROM (SELECT DISTINCT ON (key) key, source FROM state.fact WHERE account = $1
            ORDER BY key, position DESC) newest
        WHERE source = 'erased'
        "#,
        account.0
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Removes the words of sources that bear one of these ids, and words that hold one of them or are one of `values`.
pub(crate) async fn signals_remove(
    tx: &mut ScopedTx,
    ids: &[String],
    values: &[Value],
) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        r#"
        DELETE FROM state.signal
        WHERE account = $1 AND (value = ANY($3) OR EXISTS (SELECT FROM unnest($2::text[]) AS gone (id)
            WHERE position(gone.id IN source) > 0 OR position(gone.id IN voice) > 0
                OR position(gone.id IN value::text) > 0))
        "#,
        account.0,
        ids,
        values
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
