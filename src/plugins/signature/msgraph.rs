//! Change notifications of Microsoft Graph: no signature, but a `clientState` in each notification that only the
//! subscriber knows, and a `validationToken` that is to be given back when a subscription is made.

use serde_json::Value;
use url::form_urlencoded;

use super::{Signed, same};

const TOKEN_BYTES_MAX: usize = 2048;

/// True if every notification of the body bears the secret, and there is one.
pub(super) fn verify(signed: &Signed<'_>, secret: &[u8]) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(signed.body) else {
        return false;
    };
    let Some(notifications) = body.get("value").and_then(Value::as_array) else {
        return false;
    };
    let mut right = !notifications.is_empty();
    for notification in notifications {
        let state = notification.get("clientState").and_then(Value::as_str);
        right &= same(state.unwrap_or_default().as_bytes(), secret);
    }
    right
}

/// What is to be given back as plain text, if the request asks whether the address is the hub's.
pub(super) fn handshake(signed: &Signed<'_>) -> Option<String> {
    let (_, query) = signed.path_and_query.split_once('?')?;
    let mut tokens = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "validationToken");
    let (_, token) = tokens.next()?;
    let is_plain =
        !token.is_empty() && token.len() <= TOKEN_BYTES_MAX && !token.chars().any(char::is_control);
    (is_plain && signed.body.is_empty() && tokens.next().is_none()).then(|| token.into_owned())
}
