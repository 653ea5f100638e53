//! Erasing an account: rows of all services, event bodies, idempotency keys, parked events, jobs.
//!
//! Events out: `accounts.AccountErased` (of the instance, by whoever asked), once, when nothing is left.
//! Invariant: from the first commit on nothing is begun for the account any more ([`AccessError::Erased`]); what was
//! under way is swept once it has ended, and only then the erasure is done; a hub that is killed in the middle goes on
//! at its next start. The log keeps its envelopes, which hold no content, so that the chain still proves itself.
//! Begin with [`Eraser::erase`].

use std::collections::BTreeMap;
use std::time::Duration;

use contracts::events::accounts::AccountErased;
use contracts::{AccountId, CorrelationId, NewEvent};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::access::{Access, AccessError, Cause, Principal, Scope};
use crate::log::outbox::Outbox;

/// So long after the first sweep, and again so often until nobody works for the account any more, it is swept again.
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
    pub(crate) async fn erase(
        &self,
        by: &Scope,
        account: AccountId,
    ) -> Result<BTreeMap<String, u64>, AccessError> {
        sqlx::query!(
            r#"
            INSERT INTO spine.erasure (account, asked_at, asked_by, correlation) VALUES ($1, $2, $3, $4)
            ON CONFLICT DO NOTHING
            "#,
            account.0,
            self.access.now(),
            by.principal().to_string(),
            Cause::outside().correlation.0
        )
        .execute(&self.spine)
        .await?;
        let rows = self.sweep(account).await?;
        sqlx::query!(
            "UPDATE spine.erasure SET rows = $2 WHERE account = $1 AND rows IS NULL AND done_at IS NULL",
            account.0,
            serde_json::to_value(&rows)?
        )
        .execute(&self.spine)
        .await?;
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
        for table in self.tables.iter().chain(&["spine.request"]) {
            // Table names are constants of the hub, never input.
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
        for account in open.into_iter().map(AccountId) {
            // Nothing begins any more, so who is at rest once stays so.
            let at_rest = Access::is_at_rest(&mut *self.spine.begin().await?, account).await?;
            let swept = self.sweep(account).await?;
            if at_rest {
                self.finish(account, swept).await?;
            }
        }
        Ok(())
    }

    /// Writes down that it is done, and tells of it in the same commit.
    async fn finish(&self, account: AccountId, swept: BTreeMap<String, u64>) -> Result<(), AccessError> {
        let now = self.access.now();
        let mut tx = self.spine.begin().await?;
        let Some(asked) = sqlx::query!(
            r#"
            UPDATE spine.erasure SET done_at = $2 WHERE account = $1 AND done_at IS NULL
            RETURNING coalesce(asked_by, 'system:erasure') AS "by!", correlation, rows
            "#,
            account.0,
            now
        )
        .fetch_optional(&mut *tx)
        .await?
        else {
            return Ok(());
        };
        let mut rows: BTreeMap<String, u64> = asked
            .rows
            .map(serde_json::from_value)
            .transpose()?
            .unwrap_or_default();
        for (table, count) in swept {
            *rows.entry(table).or_default() += count;
        }
        let mut cause = Cause::outside();
        if let Some(correlation) = asked.correlation {
            cause.correlation = CorrelationId(correlation);
        }
        let mut told = Outbox::default();
        let event = NewEvent::of(&AccountErased { account, rows })?.about(account);
        told.push(event, asked.by, &cause, now)?;
        told.insert(&mut tx, AccountId::INSTANCE, now, None).await?;
        tx.commit().await?;
        self.access.wake().sealer(true);
        Ok(())
    }
}
