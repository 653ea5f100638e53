//! The routes: accounts and tokens below `/api/v1` for callers, sign-in and set-up for those who have no token yet.

mod accounts;
mod change;
mod sessions;
mod setup;
mod tokens;

use contracts::Problem;
use spine::Scope;
use spine::edge::Caller;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Accounts;

/// Routes behind a caller.
pub(crate) fn api(state: Accounts) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(accounts::account_list, accounts::account_create))
        .routes(routes!(accounts::account_get, change::account_change))
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

/// The caller's scope in the account with that handle or id: the operator's in any, everybody else's in their own. The
/// answer to others is the same whether the account exists or not.
async fn scope_in(accounts: &Accounts, caller: &Caller, handle_or_id: &str) -> Result<Scope, Problem> {
    let directory = accounts.context.ports.account_directory();
    let account = directory
        .account_by_name(handle_or_id)
        .await?
        .ok_or_else(no_account)?;
    if caller.0.account() == account {
        return Ok(caller.0.clone());
    }
    caller.0.in_account(account).ok_or_else(no_account)
}

fn no_account() -> Problem {
    Problem::not_found("there is no such account")
}
