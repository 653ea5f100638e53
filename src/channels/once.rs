//! `Idempotency-Key`: a message that is asked for again under its key is the message that it led to, and is not sent
//! again.
//!
//! Invariant: the key commits with its message; a refused request doesn't use its key up; the same key on another
//! request is refused; a day later the key is free.

use axum::http::HeaderMap;
use contracts::{EntityId, Problem};
use serde::Serialize;
use spine::{AccessError, ScopedTx};

use crate::store;

const KEY_LEN_MAX: usize = 255;

/// Tells the caller that this is the answer to an earlier request.
pub(crate) const REPLAYED: [(&str, &str); 1] = [("idempotency-replayed", "true")];

/// Claims the request's key for `message`; `Some`: the message that an earlier request led to. Two at once wait for
/// each other.
pub(crate) async fn once<T: Serialize + Sync>(
    tx: &mut ScopedTx,
    headers: &HeaderMap,
    request: &T,
    message: EntityId,
) -> Result<Option<EntityId>, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
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
    let request = serde_json::to_vec(request).map_err(AccessError::from)?;
    let key = tx.pseudonym("channels.request/key", key.as_bytes());
    let request = tx.pseudonym("channels.request/body", &request);
    match store::request_claim(tx, &key, &request, message).await? {
        None => Ok(None),
        Some((earlier, message)) if earlier == request => Ok(Some(message)),
        Some(_) => Err(
            Problem::unprocessable("this Idempotency-Key was used for another request")
                .hint("take a new key for each request, and the same one only to repeat it"),
        ),
    }
}
