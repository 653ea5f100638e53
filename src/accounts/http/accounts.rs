//! Accounts: list, make, look at, change the password.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use contracts::events::accounts::TokenRevoked;
use contracts::{Problem, TokenId};
use serde::{Deserialize, Serialize};
use spine::Cause;
use spine::access::Principal;
use spine::edge::{Caller, Json};
use utoipa::ToSchema;

use super::{no_account, scope_in};
use crate::create::{self, AccountError, Order, Wish};
use crate::model::{self, Account};
use crate::{Accounts, store};

/// A list of accounts.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountList {
    /// Oldest first, at most 1,000.
    items: Vec<Account>,
}

/// The accounts that the caller may see: the operator all of them, everybody else their own.
#[utoipa::path(get, path = "/accounts", tag = "accounts", responses(
    (status = 200, body = AccountList),
    (status = 401, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn account_list(
    State(accounts): State<Accounts>,
    caller: Caller,
) -> Result<Json<AccountList>, Problem> {
    let mut tx = accounts.context.access.begin(&caller.0, Cause::outside()).await?;
    let items = if caller.is_operator() {
        store::account_list(&mut tx).await?
    } else {
        store::account_own(&mut tx).await?.into_iter().collect()
    };
    Ok(Json(AccountList { items }))
}

/// One account.
#[utoipa::path(get, path = "/accounts/{account}", tag = "accounts",
    params(("account" = String, Path, description = "The handle or id.")), responses(
    (status = 200, body = Account),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn account_get(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(account): Path<String>,
) -> Result<Json<Account>, Problem> {
    let scope = scope_in(&accounts, &caller, &account).await?;
    let mut tx = accounts.context.access.begin(&scope, Cause::outside()).await?;
    store::account_own(&mut tx)
        .await?
        .map(Json)
        .ok_or_else(no_account)
}

/// An account that is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountWish {
    /// 1 to 30 ASCII letters, digits, dots, hyphens or underscores.
    handle: String,
    /// The name for people; without one, the handle.
    display_name: Option<String>,
    /// At least 10 characters. Without one nobody signs in, and only the operator acts in the account.
    password: Option<String>,
    /// An IANA time zone; without one, UTC.
    zone: Option<String>,
    /// A language tag; without one, `en`.
    locale: Option<String>,
}

/// Makes an account. For the operator and for the hub's owner, signed in. The first account is the owner's.
#[utoipa::path(post, path = "/accounts", tag = "accounts", request_body = AccountWish, responses(
    (status = 201, body = Account),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The handle is taken.", body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn account_create(
    State(accounts): State<Accounts>,
    caller: Caller,
    Json(wish): Json<AccountWish>,
) -> Result<(StatusCode, Json<Account>), Problem> {
    caller.require_person()?;
    require_owner(&accounts, &caller).await?;
    let wish = Wish {
        handle: &wish.handle,
        display_name: wish.display_name.as_deref().unwrap_or(&wish.handle),
        zone: wish.zone.as_deref(),
        locale: wish.locale.as_deref(),
        password: wish.password.as_deref(),
    };
    let order = Order::new(&accounts, &wish).await?;
    let mut tx = accounts
        .context
        .access
        .begin(&caller.0.in_new_account(), Cause::outside())
        .await?;
    let account = create::account(&accounts, &mut tx, &order).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(account)))
}

async fn require_owner(accounts: &Accounts, caller: &Caller) -> Result<(), Problem> {
    if caller.is_operator() {
        return Ok(());
    }
    let mut tx = accounts.context.access.begin(&caller.0, Cause::outside()).await?;
    match store::account_own(&mut tx).await? {
        Some(account) if account.is_owner => Ok(()),
        _ => Err(Problem::forbidden("only the hub's owner may make accounts").hint("ask the hub's owner")),
    }
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordWish {
    /// The present one; the operator needs none.
    current: Option<String>,
    /// The new one: at least 10 characters.
    new: String,
}

/// Sets the account's password and ends its other sessions. Device and API tokens stay.
#[utoipa::path(put, path = "/accounts/{account}/password", tag = "accounts",
    params(("account" = String, Path, description = "The handle or id.")), request_body = PasswordWish, responses(
    (status = 204, description = "The password is set."),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The present password is wrong.", body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn password_set(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(account): Path<String>,
    Json(wish): Json<PasswordWish>,
) -> Result<StatusCode, Problem> {
    caller.require_person()?;
    let scope = scope_in(&accounts, &caller, &account).await?;
    if !caller.is_operator() {
        require_password(&accounts, &caller, wish.current.as_deref().unwrap_or_default()).await?;
    }
    let new = model::password(&wish.new).map_err(AccountError::from)?;
    let hash = accounts.hasher.hash(new).await.map_err(AccountError::from)?;
    let mut tx = accounts.context.access.begin(&scope, Cause::outside()).await?;
    if !store::account_set_password(&mut tx, &hash).await? {
        return Err(no_account());
    }
    for token in store::session_revoke_others(&mut tx, own_token(&caller)).await? {
        tx.publish_about(token, &TokenRevoked { token })?;
    }
    tx.audit("write", format!("account/{}/password", scope.account()), None)?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A session that somebody stole must not be enough to take the account over. Tries are limited as sign-ins are.
async fn require_password(accounts: &Accounts, caller: &Caller, password: &str) -> Result<(), Problem> {
    let turn = accounts
        .guard
        .turn_of(&accounts.context, caller.0.account())
        .await?;
    let mut tx = accounts.context.access.begin(&caller.0, Cause::outside()).await?;
    let stored = store::account_password_hash(&mut tx).await?;
    tx.commit().await?;
    if accounts
        .hasher
        .verify(password, stored)
        .await
        .map_err(AccountError::from)?
    {
        return Ok(());
    }
    turn.failed()?;
    Err(Problem::forbidden("the present password is wrong"))
}

fn own_token(caller: &Caller) -> Option<TokenId> {
    match caller.0.principal() {
        Principal::Token { id, .. } => Some(*id),
        _ => None,
    }
}
