//! Signing in.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use contracts::Problem;
use serde::Deserialize;
use spine::edge::{Json, Peer};
use utoipa::ToSchema;

use crate::model::IssuedToken;
use crate::{Accounts, sign_in as on_sign_in};

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    /// The account's handle.
    handle: String,
    /// Its password.
    password: String,
}

/// Signs in. The secret is the session's bearer token for 30 days; revoking the token signs out.
#[utoipa::path(post, path = "/api/v1/sessions", tag = "accounts", request_body = SignIn, security(()), responses(
    (status = 201, body = IssuedToken),
    (status = 401, description = "Handle or password is wrong.", body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn sign_in(
    State(accounts): State<Accounts>,
    peer: Peer,
    Json(who): Json<SignIn>,
) -> Result<impl IntoResponse, Problem> {
    let session = on_sign_in::sign_in(&accounts, peer, &who.handle, &who.password).await?;
    let no_store = AppendHeaders([(header::CACHE_CONTROL, "no-store")]);
    Ok((StatusCode::CREATED, no_store, Json(session)))
}
