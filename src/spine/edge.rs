//! What routes share: who calls, from where, in which request; requests that are repeated ([`once`]), lists by the page
//! ([`page`]), and how the spine's errors become problems.

mod once;
mod page;

pub use once::{Once, REPLAYED, RequestKey, forget_requests, once};
pub use page::{Cursor, DATABASE_TIME_MAX, DATABASE_TIME_MIN, page, page_by, page_size, unknown_cursor};

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use contracts::{CorrelationId, Problem};

use crate::access::{AccessError, Principal, Scope, TokenKind};
use crate::ports::GraphError;

/// Who calls an `/api/v1` route, put there by the edge after it checked the credential.
#[derive(Debug, Clone)]
pub struct Caller(pub Scope);

impl Caller {
    /// True for the person at the control socket.
    pub fn is_operator(&self) -> bool {
        matches!(self.0.principal(), Principal::Operator)
    }

    /// Refuses everybody but the person at the control socket.
    ///
    /// # Errors
    /// 403.
    pub fn require_operator(&self) -> Result<(), Problem> {
        if self.is_operator() {
            return Ok(());
        }
        Err(Problem::forbidden("only the operator may do this")
            .hint("use the allod command on the hub's machine"))
    }

    /// Refuses programs with an API token: what makes or ends keys, people and accounts is for people.
    ///
    /// # Errors
    /// 403.
    pub fn require_person(&self) -> Result<(), Problem> {
        match self.0.principal() {
            Principal::Operator
            | Principal::Token {
                kind: TokenKind::Session,
                ..
            } => Ok(()),
            _ => Err(Problem::forbidden("an API token may not do this")
                .hint("sign in (POST /api/v1/sessions), or use the allod command on the hub's machine")),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::unauthorized("sign in first"))
    }
}

tokio::task_local! {
    static CORRELATION: CorrelationId;
}

/// Answers a request: whatever it publishes bears this id.
pub async fn with_correlation<F: Future>(id: CorrelationId, request: F) -> F::Output {
    CORRELATION.scope(id, request).await
}

/// The id of the request that is being answered; `None` outside of one.
pub fn request_correlation() -> Option<CorrelationId> {
    CORRELATION.try_with(|id| *id).ok()
}

/// The peer's address as the hub's socket saw it, or as a proxy that the owner trusts gives it; never what a stranger's
/// header claims. `None` on the control socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub Option<IpAddr>);

impl Peer {
    /// The peer of the request with these extensions.
    pub fn of(extensions: &axum::http::Extensions) -> Self {
        extensions
            .get::<Self>()
            .copied()
            .unwrap_or_else(|| Self::of_socket(extensions))
    }

    /// The other end of the socket, whoever it speaks for.
    pub fn of_socket(extensions: &axum::http::Extensions) -> Self {
        Self(
            extensions
                .get::<ConnectInfo<SocketAddr>>()
                .map(|peer| peer.0.ip().to_canonical()),
        )
    }

    /// By what limits count: the address, or the /64 of IPv6, since one household has that many addresses.
    pub fn limit_key(&self) -> String {
        match self.0.map(|ip| ip.to_canonical()) {
            None => "local".to_owned(),
            Some(IpAddr::V4(ip)) => ip.to_string(),
            Some(IpAddr::V6(ip)) => {
                let [a, b, c, d, ..] = ip.segments();
                format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(ip) => ip.fmt(f),
            None => f.write_str("local"),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.extensions))
    }
}

/// Reads a JSON body; what is wrong with it becomes a problem that says where.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: serde::de::DeserializeOwned> axum::extract::FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Problem> {
        let bytes = axum::body::Bytes::from_request(request, state)
            .await
            .map_err(|error| Problem::new(error.status(), error.body_text()))?;
        if holds_nul(&bytes) {
            return Err(Problem::bad_request("the body has a NUL character (\\u0000)"));
        }
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Problem::bad_request(format!("the body is not the expected JSON: {error}")))
    }
}

/// True for the escape of the one character that PostgreSQL's text can't hold.
fn holds_nul(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        if rest[at..].starts_with(b"\\u0000") {
            return true;
        }
        // What follows a backslash begins no escape of its own.
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    false
}

impl<T: serde::Serialize> axum::response::IntoResponse for Json<T> {
    fn into_response(self) -> axum::response::Response {
        axum::Json(self.0).into_response()
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        if error.is_transient() {
            tracing::warn!(%error, cause = std::error::Error::source(&error).map(ToString::to_string), "answered 503");
            if matches!(error, AccessError::Store(_)) {
                return Self::unavailable("the hub's media store is not available right now", 60)
                    .hint("the hub's log says why; `allod doctor` on its machine says what to do");
            }
            if is_disk_full(&error) {
                return Self::unavailable("the hub's disk is full; nothing was taken in", 60)
                    .hint("`allod doctor` on the hub's machine says what to do");
            }
            return Self::unavailable(
                "the hub's database is not available right now; nothing was taken in",
                5,
            );
        }
        if matches!(error, AccessError::Erased) {
            return Self::not_found(error.to_string());
        }
        Self::internal(&error)
    }
}

/// PostgreSQL's `disk_full`.
fn is_disk_full(error: &AccessError) -> bool {
    let AccessError::Database(sqlx::Error::Database(error)) = error else {
        return false;
    };
    error.code().is_some_and(|code| code == "53100")
}

impl From<GraphError> for Problem {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Access(error) => error.into(),
            GraphError::Invalid(_) => Self::unprocessable(error.to_string()),
            GraphError::NotFound(_) => Self::not_found(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_escape_of_nul_is_found_and_a_text_about_it_is_not() {
        for nul in [r#"{"a":"\u0000"}"#, r#"{"a":"b\\\u0000"}"#, r#"{"\u0000":1}"#] {
            assert!(holds_nul(nul.as_bytes()), "{nul}");
        }
        for none in [r#"{"a":"\\u0000"}"#, r#"{"a":"\u0001"}"#, r#"{"a":"\"#, ""] {
            assert!(!holds_nul(none.as_bytes()), "{none}");
        }
    }

    #[test]
    fn who_the_edge_found_behind_a_proxy_is_the_peer() {
        let mut extensions = axum::http::Extensions::new();
        assert_eq!(Peer::of(&extensions), Peer(None));
        extensions.insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4711))));
        assert_eq!(Peer::of(&extensions).to_string(), "127.0.0.1");
        extensions.insert(Peer(Some([192, 0, 2, 1].into())));
        assert_eq!(Peer::of(&extensions).to_string(), "192.0.2.1");
        assert_eq!(Peer::of_socket(&extensions).to_string(), "127.0.0.1");
    }
}
