//! `Idempotency-Key`: a write that is repeated under its key answers what it led to and does nothing.
//!
//! Invariant: key and answer commit with what was written; a refused request doesn't use its key up; the same key on
//! another request is refused; a day later the key is free.

use axum::http::HeaderMap;
use chrono::Duration;
use contracts::Problem;
use serde::Serialize;
use uuid::Uuid;

use crate::access::{AccessError, ScopedTx};

const KEY_LEN_MAX: usize = 255;

/// How long an answer is kept.
const KEPT_FOR: Duration = Duration::hours(24);

/// Tells the caller that this is the answer to an earlier request.
pub const REPLAYED: [(&str, &str); 1] = [("idempotency-replayed", "true")];

/// Whether a request is new.
#[derive(Debug)]
pub enum Once {
    /// Do it, and write down with [`RequestKey::answer`] what it led to.
    First(RequestKey),
    /// It led to this before.
    Again(Uuid),
}

/// The key that a request came with, claimed in the transaction that carries the request out.
#[derive(Debug)]
#[must_use = "without an answer the key is used up and leads nowhere"]
pub struct RequestKey(Option<[u8; 32]>);

/// Claims the request's key among those of a route of a service, such as `graph` and `POST /entities`. A service's
/// only such route may be empty. Two at once wait for each other.
///
/// # Errors
/// 400 when the key isn't 1 to 255 visible ASCII characters; 422 when it was used for another request.
pub async fn once<T: Serialize + Sync>(
    tx: &mut ScopedTx,
    headers: &HeaderMap,
    service: &str,
    route: &str,
    body: &T,
) -> Result<Once, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(Once::First(RequestKey(None)));
    };
    let key = key
        .to_str()
        .ok()
        .filter(|key| !key.is_empty() && key.len() <= KEY_LEN_MAX)
        .ok_or_else(|| {
            Problem::bad_request(format!(
                "Idempotency-Key is 1 to {KEY_LEN_MAX} visible ASCII characters, such as a UUID"
            ))
        })?;
    let named = if route.is_empty() {
        key.to_owned()
    } else {
        format!("{route}\n{key}")
    };
    let body = serde_json::to_vec(body).map_err(AccessError::from)?;
    let key = tx.pseudonym(&format!("{service}.request/key"), named.as_bytes());
    let request = tx.pseudonym(&format!("{service}.request/body"), &body);
    match claim(tx, &key, &request).await? {
        None => Ok(Once::First(RequestKey(Some(key)))),
        Some(earlier) if earlier.request != request => Err(Problem::unprocessable(
            "this Idempotency-Key was used for another request",
        )
        .hint("take a new key for each request, and the same one only to repeat it")),
        Some(earlier) => earlier.answer.map(Once::Again).ok_or_else(|| {
            Problem::conflict("the request of this Idempotency-Key left no answer; take a new key")
        }),
    }
}

impl RequestKey {
    /// Writes down what the request led to.
    ///
    /// # Errors
    /// [`AccessError::Database`] when the database is away.
    pub async fn answer(self, tx: &mut ScopedTx, answer: Uuid) -> Result<(), AccessError> {
        let (Some(key), account) = (self.0, tx.account()) else {
            return Ok(());
        };
        sqlx::query!(
            "UPDATE spine.request SET answer = $3 WHERE account = $1 AND key = $2",
            account.0,
            &key[..],
            answer
        )
        .execute(tx.conn())
        .await?;
        Ok(())
    }
}

/// Forgets the requests that led to any of these, which are being erased; how many.
///
/// # Errors
/// [`AccessError::Database`] when the database is away.
pub async fn forget_requests(tx: &mut ScopedTx, answers: &[Uuid]) -> Result<u64, AccessError> {
    let account = tx.account();
    let gone = sqlx::query!(
        "DELETE FROM spine.request WHERE account = $1 AND answer = ANY($2)",
        account.0,
        answers
    )
    .execute(tx.conn())
    .await?;
    Ok(gone.rows_affected())
}

/// A request that was made before under the same key.
struct Earlier {
    request: Vec<u8>,
    answer: Option<Uuid>,
}

/// Claims the key for this request: `None`. Else the request that has it; waits for one that is under way.
async fn claim(
    tx: &mut ScopedTx,
    key: &[u8; 32],
    request: &[u8; 32],
) -> Result<Option<Earlier>, AccessError> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        "DELETE FROM spine.request WHERE account = $1 AND at < $2",
        account.0,
        now - KEPT_FOR
    )
    .execute(tx.conn())
    .await?;
    let done = sqlx::query!(
        "INSERT INTO spine.request (account, key, request, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        account.0,
        &key[..],
        &request[..],
        now
    )
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 1 {
        return Ok(None);
    }
    Ok(sqlx::query_as!(
        Earlier,
        "SELECT request, answer FROM spine.request WHERE account = $1 AND key = $2",
        account.0,
        &key[..]
    )
    .fetch_optional(tx.conn())
    .await?)
}
