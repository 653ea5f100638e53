//! Forgetting: idempotency keys that nobody will present again.
//!
//! Invariant: in small batches, each a commit of its own, so that nobody waits for it; twice or by two processes at once
//! it does no harm.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::access::{Access, AccessError};

/// How long a key is known. Providers repeat what was not acknowledged for hours, the most patient for a few days; what
/// comes again a month later is taken in again.
const KEYS_KEPT_DAYS: i64 = 30;
/// Keys a commit at the most.
const BATCH_KEYS: i64 = 5000;
/// First a minute after the start, when there are more urgent things no more, then so often.
const EVERY: Duration = Duration::from_secs(3600);
const FIRST: Duration = Duration::from_secs(60);

/// Forgets old keys now and then, until it is stopped.
pub(crate) async fn run(pool: PgPool, access: Access, stop: CancellationToken) {
    let mut pause = FIRST;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        pause = EVERY;
        match forget(&pool, &access, &stop).await {
            Ok(0) => {}
            Ok(keys) => tracing::debug!(keys, "old idempotency keys are forgotten"),
            Err(error) => tracing::debug!(%error, "old idempotency keys will be forgotten later"),
        }
    }
}

async fn forget(pool: &PgPool, access: &Access, stop: &CancellationToken) -> Result<u64, AccessError> {
    let before = access.now() - chrono::Duration::days(KEYS_KEPT_DAYS);
    let mut forgotten = 0;
    while !stop.is_cancelled() {
        let keys = sqlx::query!(
            "DELETE FROM spine.idempotency WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM spine.idempotency WHERE at < $1 LIMIT $2))",
            before,
            BATCH_KEYS
        )
        .execute(pool)
        .await?
        .rows_affected();
        forgotten += keys;
        if keys < BATCH_KEYS as u64 {
            break;
        }
    }
    Ok(forgotten)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_key_is_forgotten_after_its_days_and_not_before() {
        let hub = crate::testing::hub(|_| Vec::new()).await;
        let (alice, pool) = (hub.somebody(), hub.database.db.spine());
        let mut tx = hub.begin(&alice).await;
        let keys: Vec<[u8; 4]> = (0..6000_u32).map(u32::to_be_bytes).collect();
        tx.claim_all("test", &keys).await.unwrap();
        tx.commit().await.unwrap();
        let (access, stop) = (&hub.context.access, CancellationToken::new());
        assert_eq!(forget(pool, access, &stop).await.unwrap(), 0);
        sqlx::query(
            "UPDATE spine.idempotency SET at = at - interval '31 days' WHERE key NOT IN
             (SELECT key FROM spine.idempotency LIMIT 7)",
        )
        .execute(&mut hub.database.superuser().await)
        .await
        .unwrap();
        assert_eq!(forget(pool, access, &stop).await.unwrap(), 5993, "in two batches");
        assert_eq!(
            forget(pool, access, &stop).await.unwrap(),
            0,
            "the second time finds nothing"
        );
    }
}
