//! HTTP Basic (RFC 7617), as far as a device needs it.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A device's name must not swell the graph.
const NAME_CHARS: usize = 64;

/// What the header `Authorization` says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// The user name, which names the device; `None` if it is empty.
    pub(crate) device_name: Option<String>,
    /// The password: a device token.
    pub(crate) token: String,
}

/// Reads the header; `None` if it is missing or malformed.
pub(crate) fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, token) = decoded.split_once(':')?;
    Some(Credentials {
        device_name: presentable(user),
        token: token.to_owned(),
    })
}

/// A short name without control characters; `None` if nothing is left.
pub(crate) fn presentable(text: &str) -> Option<String> {
    let clean: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(NAME_CHARS)
        .collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<Credentials> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        credentials(&headers)
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn the_password_is_the_token_and_the_user_the_device() {
        let found = read(&basic("Alice's phone:allod_device_abc:def")).unwrap();
        assert_eq!(found.device_name.as_deref(), Some("Alice's phone"));
        assert_eq!(
            found.token, "allod_device_abc:def",
            "only the first colon separates"
        );
        assert_eq!(read(&basic(":secret")).unwrap().device_name, None);
        assert!(read(&basic("a:b").replace("Basic", "bAsIc")).is_some());
    }

    #[test]
    fn anything_else_is_no_credential() {
        for value in ["", "Basic", "Basic !!!", "Bearer abc", &basic("no colon")] {
            assert_eq!(read(value), None, "{value:?}");
        }
        assert_eq!(
            read(&format!("Basic {}", STANDARD.encode([0xff, b':', b'x']))),
            None
        );
        assert_eq!(credentials(&HeaderMap::new()), None);
    }

    #[test]
    fn names_are_made_presentable() {
        assert_eq!(presentable(" a\0b\nc ").as_deref(), Some("abc"));
        assert_eq!(presentable("\0"), None);
        assert_eq!(presentable(&"é".repeat(500)).unwrap().chars().count(), NAME_CHARS);
    }
}
