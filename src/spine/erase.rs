//! Erasing an account: rows of all services, event bodies, idempotency keys, parked events, jobs.
//!
//! Invariant: from the first commit on nothing is written for the account any more ([`AccessError::Erased`]); what
//! was under way is swept again later; a hub that is killed in the middle goes on at its next start. The log keeps
//! its envelopes, which hold no content, so that the chain still proves itself.

use std::collections::BTreeMap;
use std::time::Duration;

use contracts::events::accounts::AccountErased;
use contracts::{AccountId, NewEvent};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::access::{Access, AccessError, Cause, Principal, Scope};

/// Two sweeps after the first: whatever was running when the account went has ended by then.
const SWEEP_AFTER: Duration = Duration::from_secs(5);

/// What erasing needs.
#[derive(Debug, Clone)]
pub(crate) struct Eraser {
    pub(crate) spine: PgPool,
    pub(crate) access: Access,
    pub(crate) tables: Vec<&'static str>,
}

impl Eraser {
    /// Erases an account; how many rows went, by table. A second call finds nothing more.
    pub(crate) async fn erase(&self, account: AccountId) -> Result<BTreeMap<String, u64>, AccessError> {
        let now = self.access.now();
        sqlx::query!(
            "INSERT INTO spine.erasure (account, asked_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            account.0,
            now
        )
        .execute(&self.spine)
        .await?;
        let rows = self.sweep(account).await?;
        let instance = Scope::new(AccountId::INSTANCE, Principal::System("erasure".to_owned()));
        let mut tx = self.access.begin(&instance, Cause::outside()).await?;
        tx.publish(
            NewEvent::of(&AccountErased {
                account,
                rows: rows.clone(),
            })?
            .about(account),
        )?;
        tx.commit().await?;
        Ok(rows)
    }

    async fn sweep(&self, account: AccountId) -> Result<BTreeMap<String, u64>, AccessError> {
        let mut rows = BTreeMap::new();
        let mut count = |table: &str, removed: u64| {
            if removed > 0 {
                *rows.entry(table.to_owned()).or_default() += removed;
            }
        };
        let scope = Scope::new(account, Principal::System("erasure".to_owned()));
        let mut tx = self.access.begin_erasure(&scope).await?;
        for table in &self.tables {
            // Table names are constants of the services, never input.
            let removed = sqlx::query(&format!("DELETE FROM {table} WHERE account = $1"))
                .bind(account.0)
                .execute(tx.conn())
                .await?;
            count(table, removed.rows_affected());
        }
        tx.commit().await?;
        let mut tx = self.spine.begin().await?;
        let bodies = sqlx::query!("DELETE FROM spine.event_body WHERE account = $1", account.0);
        count(
            "spine.event_body",
            bodies.execute(&mut *tx).await?.rows_affected(),
        );
        let keys = sqlx::query!("DELETE FROM spine.idempotency WHERE account = $1", account.0);
        count("spine.idempotency", keys.execute(&mut *tx).await?.rows_affected());
        let parked = sqlx::query!("DELETE FROM spine.parked_event WHERE account = $1", account.0);
        count(
            "spine.parked_event",
            parked.execute(&mut *tx).await?.rows_affected(),
        );
        count("pgboss.job", crate::queue::erase_account(&mut tx, account).await?);
        tx.commit().await?;
        Ok(rows)
    }

    /// Sweeps erased accounts again, some seconds after the first time, until it is stopped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep(SWEEP_AFTER) => {}
                () = stop.cancelled() => return,
            }
            if let Err(error) = self.sweep_again().await {
                tracing::debug!(%error, "erased accounts will be swept later");
            }
        }
    }

    async fn sweep_again(&self) -> Result<(), AccessError> {
        let before = self.access.now() - chrono::Duration::from_std(SWEEP_AFTER).unwrap_or_default();
        let open = sqlx::query_scalar!(
            "SELECT account FROM spine.erasure WHERE done_at IS NULL AND asked_at < $1 LIMIT 100",
            before
        )
        .fetch_all(&self.spine)
        .await?;
        for account in open {
            self.sweep(AccountId(account)).await?;
            let now = self.access.now();
            sqlx::query!(
                "UPDATE spine.erasure SET done_at = $2 WHERE account = $1",
                account,
                now
            )
            .execute(&self.spine)
            .await?;
        }
        Ok(())
    }
}
