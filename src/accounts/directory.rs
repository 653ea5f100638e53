//! The port by which others learn whom a name means and in which zone an account lives.

use async_trait::async_trait;
use contracts::AccountId;
use spine::ports::AccountDirectory;
use spine::{AccessError, Cause, Context, ScopedTx};

use crate::store;

/// Answers from the accounts' own tables.
pub(crate) struct Directory(pub(crate) Context);

impl Directory {
    async fn look(&self) -> Result<ScopedTx, AccessError> {
        self.0
            .access
            .begin(&self.0.access.scope_of_stranger("directory"), Cause::outside())
            .await
    }
}

#[async_trait]
impl AccountDirectory for Directory {
    async fn account_by_name(&self, handle_or_id: &str) -> Result<Option<AccountId>, AccessError> {
        store::account_lookup(&mut self.look().await?, handle_or_id).await
    }

    async fn account_by_default(&self) -> Result<Option<AccountId>, AccessError> {
        let accounts = store::account_list(&mut self.look().await?).await?;
        let only = if let [only] = &accounts[..] {
            Some(only.id)
        } else {
            None
        };
        Ok(accounts
            .iter()
            .find(|account| account.is_owner)
            .map(|owner| owner.id)
            .or(only))
    }

    async fn account_of_owner(&self) -> Result<Option<AccountId>, AccessError> {
        let accounts = store::account_list(&mut self.look().await?).await?;
        let owner = accounts.iter().find(|account| account.is_owner);
        Ok(owner.map(|owner| owner.id))
    }

    async fn zone(&self, tx: &mut ScopedTx) -> Result<chrono_tz::Tz, AccessError> {
        let account = store::account_own(tx).await?;
        Ok(account
            .and_then(|account| account.zone.parse().ok())
            .unwrap_or(chrono_tz::UTC))
    }
}
