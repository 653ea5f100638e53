//! `Idempotency-Key`: a write that is repeated under its key answers what it led to and does nothing.
//!
//! Invariant: key and answer commit with what was written; a refused request doesn't use its key up; the same key on
//! another request is refused.

use axum::http::HeaderMap;
use contracts::Problem;
use serde::Serialize;
use spine::{AccessError, ScopedTx};
use uuid::Uuid;

use crate::store;

const KEY_LEN_MAX: usize = 255;

/// Tells the caller that this is the answer to an earlier request.
pub(super) const REPLAYED: [(&str, &str); 1] = [("idempotency-replayed", "true")];

/// Whether a request is new.
pub(super) enum Once {
    /// Do it, then write the answer under this key, if it has one.
    First(Option<Vec<u8>>),
    /// It led to this before.
    Again(Uuid),
}

/// Claims the request's key. Two at once wait for each other.
pub(super) async fn once<T: Serialize + Sync>(
    tx: &mut ScopedTx,
    headers: &HeaderMap,
    route: &str,
    body: &T,
) -> Result<Once, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(Once::First(None));
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
    let body = serde_json::to_vec(body).map_err(AccessError::from)?;
    let key = tx.pseudonym("intentions.request/key", format!("{route}\n{key}").as_bytes());
    let request = tx.pseudonym("intentions.request/body", &body);
    match store::request::request_claim(tx, &key, &request).await? {
        None => Ok(Once::First(Some(key.to_vec()))),
        Some(earlier) if earlier.request != request => Err(Problem::unprocessable(
            "this Idempotency-Key was used for another request",
        )
        .hint("take a new key for each request, and the same one only to repeat it")),
        Some(earlier) => earlier.answer.map(Once::Again).ok_or_else(|| {
            Problem::conflict("the request of this Idempotency-Key left no answer; take a new key")
        }),
    }
}
