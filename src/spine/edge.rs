//! What routes share: who calls, and how the spine's errors become problems.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use contracts::Problem;

use crate::access::{AccessError, Principal, Scope};
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
        Err(Problem::forbidden("only the operator may do this").hint("use the allod command on the hub's machine"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::unauthorized("sign in first"))
    }
}

/// The peer's address as the hub's socket saw it: an IP address, or `unknown` where there is none (a unix socket).
/// Never read from a header, which anybody can write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAddress(pub String);

impl PeerAddress {
    /// The peer of the request with these extensions.
    pub fn of(extensions: &axum::http::Extensions) -> Self {
        let peer = extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
        Self(peer.map_or_else(|| "unknown".to_owned(), |peer| peer.0.ip().to_canonical().to_string()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PeerAddress {
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
        let bytes = axum::body::Bytes::from_request(request, state).await.map_err(|error| {
            Problem::new(error.status(), error.body_text())
        })?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Problem::bad_request(format!("the body is not the expected JSON: {error}")))
    }
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
            return Self::unavailable("the hub's database is not available right now; nothing was taken in", 5);
        }
        Self::internal(&error)
    }
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
