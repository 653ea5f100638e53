//! `intentions.request`: answers to requests that carried an Idempotency-Key.

use chrono::Duration;
use spine::{AccessError, ScopedTx};
use uuid::Uuid;

/// How long an answer is kept.
const KEPT_FOR: Duration = Duration::hours(24);

/// A request that was made before under the same key.
#[derive(Debug)]
pub(crate) struct EarlierRequest {
    pub(crate) request: Vec<u8>,
    pub(crate) answer: Option<Uuid>,
}

/// Claims the key for this request: `None`. Else the request that has it; waits for one that is under way.
pub(crate) async fn request_claim(
    tx: &mut ScopedTx,
    key: &[u8],
    request: &[u8],
) -> Result<Option<EarlierRequest>, AccessError> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        "DELETE FROM intentions.request WHERE account = $1 AND at < $2",
        account.0,
        now - KEPT_FOR
    )
    .execute(tx.conn())
    .await?;
    let done = sqlx::query!(
        "INSERT INTO intentions.request (account, key, request, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        account.0,
        key,
        request,
        now
    )
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 1 {
        return Ok(None);
    }
    Ok(sqlx::query_as!(
        EarlierRequest,
        "SELECT request, answer FROM intentions.request WHERE account = $1 AND key = $2",
        account.0,
        key
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// What the request led to.
pub(crate) async fn request_answer(tx: &mut ScopedTx, key: &[u8], answer: Uuid) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        "UPDATE intentions.request SET answer = $3 WHERE account = $1 AND key = $2",
        account.0,
        key,
        answer
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
