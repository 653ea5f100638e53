//! The routes: accounts and tokens below `/api/v1` for callers, sign-in and set-up for those who have no token yet.

mod accounts;
mod sessions;
mod setup;
mod tokens;

use contracts::{AccountId, Problem};
use spine::Scope;
use spine::access::{Principal, TokenKind};
use spine::edge::Caller;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Accounts;

/// Routes behind a caller.
pub(crate) fn api(state: Accounts) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(accounts::account_list, accounts::account_create))
        .routes(routes!(accounts::account_get))
        .routes(routes!(accounts::password_set))
        .routes(routes!(tokens::token_list, tokens::token_issue))
        .routes(routes!(tokens::token_revoke))
        .routes(routes!(setup::setup_link_issue))
        .with_state(state)
}

/// Routes for those who have no token yet.
pub(crate) fn public(state: Accounts) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(sessions::sign_in))
        .routes(routes!(setup::setup_json))
        .routes(routes!(setup::setup_page, setup::setup_form))
        .with_state(state)
}

/// Refuses programs with an API token: what makes or changes keys and people is for people.
fn require_person(caller: &Caller) -> Result<(), Problem> {
    match caller.0.principal() {
        Principal::Operator | Principal::Token { kind: TokenKind::Session, .. } => Ok(()),
        _ => Err(Problem::forbidden("an API token may not do this")
            .hint("sign in (POST /api/v1/sessions), or use the allod command on the hub's machine")),
    }
}

/// The caller's scope in that account: the operator's in any, everybody else's in their own. The answer to others is
/// the same whether the account exists or not.
fn scope_in(caller: &Caller, account: AccountId) -> Result<Scope, Problem> {
    if caller.0.account() == account {
        return Ok(caller.0.clone());
    }
    caller.0.in_account(account).ok_or_else(no_account)
}

fn no_account() -> Problem {
    Problem::not_found("there is no such account")
}
