//! What was taken in already: idempotency keys, as keyed hashes, by account and source.
//!
//! Invariant: of all who claim a key one is told that it is new, in whichever order and from wherever they come.

use std::collections::HashSet;

use super::{AccessError, ScopedTx};

/// Writes the keys that are not there yet, in one statement, and returns these.
pub(super) async fn insert(
    tx: &mut ScopedTx,
    source: &str,
    keys: &[[u8; 32]],
) -> Result<HashSet<[u8; 32]>, AccessError> {
    let (account, now) = (tx.account(), tx.now());
    let mut keys: Vec<&[u8]> = keys.iter().map(<[u8; 32]>::as_slice).collect();
    // All take their locks in the same order, or two batches with keys in common could wait for each other.
    keys.sort_unstable();
    keys.dedup();
    let fresh = sqlx::query_scalar!(
        r#"
        WITH fresh AS (
            INSERT INTO spine.idempotency (account, source, key, at)
            SELECT $1, $2, key, $4 FROM unnest($3::bytea[]) AS key
            ON CONFLICT DO NOTHING RETURNING key
        )
        SELECT coalesce(array_agg(key), '{}') AS "keys!" FROM fresh
        "#,
        account.0,
        source,
        &keys as &[&[u8]],
        now
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(fresh.into_iter().filter_map(|key| key.try_into().ok()).collect())
}
