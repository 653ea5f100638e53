//! Accounts: whom a name means.

use async_trait::async_trait;
use contracts::AccountId;

use crate::access::{AccessError, ScopedTx};

/// Tells whom a name means and in which zone an account lives.
#[async_trait]
pub trait AccountDirectory: Send + Sync {
    /// The account with this handle or id.
    async fn account_by_name(&self, handle_or_id: &str) -> Result<Option<AccountId>, AccessError>;

    /// Whom the operator means by naming nobody: the hub's owner, else the only account.
    async fn account_by_default(&self) -> Result<Option<AccountId>, AccessError>;

    /// The hub's owner; `None`: the first account was erased, and nobody is.
    async fn account_of_owner(&self) -> Result<Option<AccountId>, AccessError> {
        Ok(None)
    }

    /// The account's time zone, by IANA name; UTC for who has none.
    async fn zone(&self, tx: &mut ScopedTx) -> Result<chrono_tz::Tz, AccessError>;
}
