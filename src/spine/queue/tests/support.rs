//! A database of its own for each test, and who is in the stories.

use std::sync::Arc;
use std::time::Duration;

use contracts::{AccountId, JobId, JobPayload};
use sqlx::PgConnection;
use sqlx::postgres::PgPool;

use crate::access::{Access, Cause, Principal, Scope};
use crate::log::wake::Wake;
use crate::queue::{Desks, JobOptions, QueueAdmin, enqueue};
use crate::testing::{TempDir, TestDatabase, database};
use crate::vault::Vault;

pub(super) struct Db {
    pub(super) app: PgPool,
    pub(super) spine: PgPool,
    pub(super) alice: AccountId,
    pub(super) mallory: AccountId,
    test: TestDatabase,
}

impl Db {
    pub(super) async fn new() -> Self {
        let test = database().await;
        let (app, spine) = (test.db.app().clone(), test.db.spine().clone());
        Self {
            app,
            spine,
            alice: AccountId::new(),
            mallory: AccountId::new(),
            test,
        }
    }

    pub(super) fn admin(&self) -> QueueAdmin {
        QueueAdmin::new(self.spine.clone(), self.access().0)
    }

    /// Transactions, and the desks at which they hand jobs on.
    pub(super) fn access(&self) -> (Access, Desks) {
        let dir = TempDir::new();
        let vault = Vault::open_or_create(&dir.path().join("keys/master")).unwrap();
        let (clock, wake) = (Arc::new(contracts::SystemClock), Wake::new());
        let desks = wake.desks().clone();
        (Access::new(self.app.clone(), clock, vault, wake), desks)
    }

    pub(super) fn operator(&self) -> Scope {
        Scope::new(AccountId::INSTANCE, Principal::Operator)
    }

    pub(super) async fn throw_everybody_out(&self) {
        let mut admin = self.test.superuser().await;
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .execute(&mut admin)
        .await
        .unwrap();
    }

    pub(super) async fn retrying<T, F: Future<Output = Option<T>>>(&self, mut ask: impl FnMut() -> F) -> T {
        for _ in 0..50 {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the database did not come back");
    }
}

/// An order that may fail because the database is away: then none is confirmed.
pub(super) async fn queue_somehow<P: JobPayload>(
    pool: &PgPool,
    account: AccountId,
    payload: &P,
) -> Option<JobId> {
    let mut tx = pool.begin().await.ok()?;
    sqlx::query("SELECT set_config('allod.account', $1, true)")
        .bind(account.to_string())
        .execute(&mut *tx)
        .await
        .ok()?;
    let job = enqueue(&mut tx, account, Cause::outside(), payload, JobOptions::default())
        .await
        .ok()?;
    tx.commit().await.ok()?;
    job
}

pub(super) async fn bind(conn: &mut PgConnection, account: AccountId) {
    sqlx::query("SELECT set_config('allod.account', $1, true)")
        .bind(account.to_string())
        .execute(conn)
        .await
        .unwrap();
}
