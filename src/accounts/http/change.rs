//! Changes an account: the name for people, the time zone, the language.

use axum::extract::{Path, State};
use contracts::Problem;
use contracts::events::accounts::ZoneChanged;
use serde::Deserialize;
use spine::Cause;
use spine::edge::{Caller, Json};
use utoipa::ToSchema;

use super::{no_account, scope_in};
use crate::create::{AccountError, me};
use crate::model::{self, Account};
use crate::{Accounts, store};

/// What is to change; what is not named stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountChange {
    /// The name for people.
    display_name: Option<String>,
    /// An IANA time zone.
    zone: Option<String>,
    /// A language tag.
    locale: Option<String>,
}

/// Changes the account's name, time zone or language. The owner's own Person takes the name on.
#[utoipa::path(patch, path = "/accounts/{account}", tag = "accounts",
    params(("account" = String, Path, description = "The handle or id.")), request_body = AccountChange, responses(
    (status = 200, body = Account),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn account_change(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(account): Path<String>,
    Json(wish): Json<AccountChange>,
) -> Result<Json<Account>, Problem> {
    caller.require_person()?;
    let scope = scope_in(&accounts, &caller, &account).await?;
    let name = |name: &String| model::name("display name", name);
    let name = wish
        .display_name
        .as_ref()
        .map(name)
        .transpose()
        .map_err(AccountError::from)?;
    let zone = wish
        .zone
        .as_deref()
        .map(model::zone)
        .transpose()
        .map_err(AccountError::from)?;
    let locale = wish
        .locale
        .as_deref()
        .map(model::locale)
        .transpose()
        .map_err(AccountError::from)?;
    let mut tx = accounts.context.access.begin(&scope, Cause::outside()).await?;
    if !store::account_update(&mut tx, name.as_deref(), zone.as_deref(), locale.as_deref()).await? {
        return Err(no_account());
    }
    if let Some(name) = &name {
        accounts
            .context
            .ports
            .graph_write()
            .apply(&mut tx, me(name))
            .await?;
    }
    if zone.is_some() {
        let account = scope.account();
        tx.publish_about(account, &ZoneChanged { account })?;
    }
    tx.audit("write", format!("account/{}", scope.account()), None)?;
    let changed = store::account_own(&mut tx).await?.ok_or_else(no_account)?;
    tx.commit().await?;
    Ok(Json(changed))
}
