//! Erasing an account, over the tables of all services: so it stands here and not with the accounts.

use std::collections::BTreeMap;

use axum::extract::{Path, State as Shared};
use contracts::Problem;
use serde::Serialize;
use spine::edge::{Caller, Json};
use utoipa::ToSchema;

use crate::State;

/// What erasing an account removed.
#[derive(Serialize, ToSchema)]
pub(crate) struct Erased {
    /// How many rows went, by table.
    rows: BTreeMap<String, u64>,
}

/// Erases an account with everything in it, for ever. For the operator, and for the account itself, signed in.
#[utoipa::path(delete, path = "/accounts/{account}", tag = "accounts",
    params(("account" = String, Path, description = "The handle or id.")), responses(
    (status = 200, body = Erased),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn account_erase(
    Shared(state): Shared<State>,
    caller: Caller,
    Path(account): Path<String>,
) -> Result<Json<Erased>, Problem> {
    caller.require_person()?;
    let directory = state.context.ports.account_directory();
    let found = directory.account_by_name(&account).await?;
    let account = found
        .filter(|found| caller.is_operator() || *found == caller.0.account())
        .ok_or_else(|| Problem::not_found("there is no such account"))?;
    Ok(Json(Erased {
        rows: state.admin.erase_account(&caller.0, account).await?,
    }))
}
