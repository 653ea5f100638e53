//! Who calls: a bearer token on the network, the operator at the control socket.
//!
//! Invariant: a device's token opens no route here, and a header that the control socket believes means nothing on
//! the network.

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use contracts::{AccountId, Problem};
use spine::Scope;
use spine::access::TokenKind;
use spine::edge::{Caller, Peer};

use crate::State;

/// Names the account that the operator acts in: a handle or an id.
const ACCOUNT_HEADER: &str = "allod-account";
/// In its place: the hub itself, whose audit tells of strangers' wrong tokens and of accounts made and erased. No
/// account may take this handle.
const INSTANCE: &str = "instance";

/// By which door a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// The network.
    Network,
    /// The control socket.
    Control,
}

/// Lets only callers through.
pub(crate) fn guard(api: Router, state: State, door: Door) -> Router {
    match door {
        Door::Network => api.route_layer(from_fn_with_state(state, by_token)),
        Door::Control => api.route_layer(from_fn_with_state(state, by_socket)),
    }
}

async fn by_token(Shared(state): Shared<State>, peer: Peer, mut request: Request, next: Next) -> Response {
    match token_scope(&state, peer, request.headers()).await {
        Ok(scope) => {
            request.extensions_mut().insert(Caller(scope));
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// The scope of the bearer token of a program or of somebody who signed in.
pub(crate) async fn token_scope(state: &State, peer: Peer, headers: &HeaderMap) -> Result<Scope, Problem> {
    let Some(secret) = bearer(headers) else {
        return Err(Problem::unauthorized("this needs a token")
            .hint("send Authorization: Bearer with an API token or a session (POST /api/v1/sessions)"));
    };
    // A right token opens whatever strangers tried from the same address: failures alone are limited.
    for kind in [TokenKind::Api, TokenKind::Session] {
        if let Some(scope) = state.context.access.scope_by_token(kind, secret).await? {
            return Ok(scope);
        }
    }
    state.context.access.sign_in_refused(&peer.to_string());
    state.refusals.hit(&peer.limit_key(), state.context.clock.now())?;
    Err(Problem::unauthorized(
        "the token is wrong, revoked or expired, or opens another door",
    ))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| secret.trim())
        .filter(|secret| !secret.is_empty())
}

async fn by_socket(Shared(state): Shared<State>, mut request: Request, next: Next) -> Response {
    match operator_scope(&state, request.headers()).await {
        Ok(scope) => {
            request.extensions_mut().insert(Caller(scope));
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// The operator in the account that the header names; else in the owner's; on a hub without accounts on the instance.
async fn operator_scope(state: &State, headers: &HeaderMap) -> Result<Scope, Problem> {
    let directory = state.context.ports.account_directory();
    let account = match headers.get(ACCOUNT_HEADER) {
        Some(name) if name == INSTANCE => AccountId::INSTANCE,
        Some(name) => {
            let name = name.to_str().unwrap_or_default();
            let found = directory.account_by_name(name).await?;
            found.ok_or_else(|| {
                Problem::not_found(format!("there is no account {name:?}"))
                    .hint("`allod account list` names them")
            })?
        }
        None => directory
            .account_by_default()
            .await?
            .unwrap_or(AccountId::INSTANCE),
    };
    Ok(state.gate.operator(account))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn only_a_bearer_token_counts() {
        assert_eq!(bearer(&headers("Bearer allod_api_x")), Some("allod_api_x"));
        assert_eq!(bearer(&headers("bearer  allod_api_x")), Some("allod_api_x"));
        for other in ["Basic YTpi", "Bearer", "Bearer ", "allod_api_x", "\u{e9}"] {
            assert_eq!(bearer(&headers(other)), None, "{other}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
