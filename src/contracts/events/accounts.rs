//! Accounts and the tokens that speak for them.

use serde::{Deserialize, Serialize};

use super::event;
use crate::{AccountId, TokenId};

/// An account was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountCreated {
    /// The account.
    pub account: AccountId,
}
event!(AccountCreated, "accounts.AccountCreated");

/// The owner of an account lives in another time zone now: local times mean other instants.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ZoneChanged {
    /// The account.
    pub account: AccountId,
}
event!(ZoneChanged, "accounts.ZoneChanged");

/// An account was erased: rows, bodies, jobs, secrets. Published on the instance, since the account is gone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountErased {
    /// The account that was.
    pub account: AccountId,
    /// How many rows went, by table.
    pub rows: std::collections::BTreeMap<String, u64>,
}
event!(AccountErased, "accounts.AccountErased");

/// A token was issued.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenIssued {
    /// The token's id.
    pub token: TokenId,
    /// `device`, `api` or `session`.
    pub kind: String,
}
event!(TokenIssued, "accounts.TokenIssued");

/// A token was revoked and is refused from now on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenRevoked {
    /// The token's id.
    pub token: TokenId,
}
event!(TokenRevoked, "accounts.TokenRevoked");
