//! Tokens for devices and programs: issue (the secret is shown once), list, revoke.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use contracts::events::accounts::{TokenIssued, TokenRevoked};
use contracts::{AccountId, Problem, TokenId};
use serde::{Deserialize, Serialize};
use spine::Cause;
use spine::access::TokenKind;
use spine::edge::{Caller, Json};
use utoipa::ToSchema;

use crate::Accounts;
use crate::create::AccountError;
use crate::model::{self, IssuedKind, IssuedToken, Token};
use crate::store::{self, Revoked};

/// A token that is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenWish {
    /// Which door it opens; it opens no other.
    kind: IssuedKind,
    /// What its owner calls it, such as "phone".
    name: String,
    /// Seconds until it ends; without it, never.
    expires_in: Option<i64>,
}

/// A list of tokens.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenList {
    /// Newest first, at most 500; neither revoked nor ended.
    items: Vec<Token>,
}

/// The account's tokens, without their secrets.
#[utoipa::path(get, path = "/tokens", tag = "accounts", responses(
    (status = 200, body = TokenList),
    (status = 401, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn token_list(
    State(accounts): State<Accounts>,
    caller: Caller,
) -> Result<Json<TokenList>, Problem> {
    let mut tx = accounts.context.access.begin(&caller.0, Cause::outside()).await?;
    Ok(Json(TokenList {
        items: store::token_list(&mut tx).await?,
    }))
}

/// Issues a token. Its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/tokens", tag = "accounts", request_body = TokenWish, responses(
    (status = 201, body = IssuedToken),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn token_issue(
    State(accounts): State<Accounts>,
    caller: Caller,
    Json(wish): Json<TokenWish>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_person()?;
    if caller.0.account() == AccountId::INSTANCE {
        return Err(Problem::unprocessable("a token speaks for an account")
            .hint("name the account: header Allod-Account, or --account on the command line"));
    }
    let kind = TokenKind::from(wish.kind);
    let name = model::name("name", &wish.name).map_err(AccountError::from)?;
    let secret = model::token_secret(kind);
    let mut tx = accounts.context.access.begin(&caller.0, Cause::outside()).await?;
    let expires_at = model::expiry(tx.now(), wish.expires_in).map_err(AccountError::from)?;
    let token = store::token_insert(&mut tx, kind, &name, &secret, expires_at).await?;
    tx.publish_about(
        token.id,
        &TokenIssued {
            token: token.id,
            kind: token.kind.clone(),
        },
    )?;
    tx.audit("write", format!("token/{}", token.id), None)?;
    tx.commit().await?;
    let no_store = AppendHeaders([(header::CACHE_CONTROL, "no-store")]);
    Ok((StatusCode::CREATED, no_store, Json(IssuedToken { token, secret })))
}

/// Revokes a token, which is refused from now on. Doing it twice is doing it once.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "accounts", params(("id" = TokenId, Path)), responses(
    (status = 204, description = "The token is revoked."),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn token_revoke(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(token): Path<TokenId>,
) -> Result<StatusCode, Problem> {
    caller.require_person()?;
    let mut tx = accounts.context.access.begin(&caller.0, Cause::outside()).await?;
    match store::token_revoke(&mut tx, token).await? {
        Revoked::Unknown => return Err(Problem::not_found("there is no such token")),
        Revoked::Before => {}
        Revoked::Now => {
            tx.publish_about(token, &TokenRevoked { token })?;
            tx.audit("write", format!("token/{token}"), None)?;
        }
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
