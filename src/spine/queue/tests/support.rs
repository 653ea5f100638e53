//! A database of its own for each test, on the cluster whose socket folder is in `ALLOD_TEST_POSTGRES`.

use std::path::PathBuf;
use std::time::Duration;

use contracts::AccountId;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};

use crate::access::{Principal, Scope};
use crate::queue::QueueAdmin;

pub(super) struct Db {
    pub(super) app: PgPool,
    pub(super) spine: PgPool,
    pub(super) alice: AccountId,
    pub(super) mallory: AccountId,
    name: String,
}

fn options(role: &str, database: &str) -> PgConnectOptions {
    let socket = std::env::var_os("ALLOD_TEST_POSTGRES").expect("ALLOD_TEST_POSTGRES names a cluster's socket folder");
    PgConnectOptions::new_without_pgpass().socket(PathBuf::from(socket)).username(role).database(database)
}

impl Db {
    pub(super) async fn new() -> Self {
        let name = format!("allod_q_{}", uuid::Uuid::new_v4().simple());
        let mut admin = options("postgres", "postgres").connect().await.unwrap();
        admin.execute(format!("CREATE DATABASE {name} OWNER allod_owner").as_str()).await.unwrap();
        let mut owner = options("allod_owner", &name).connect().await.unwrap();
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../migrations/0010_spine_queue.sql");
        owner.execute(std::fs::read_to_string(folder).unwrap().as_str()).await.unwrap();
        owner.close().await.unwrap();
        let pool = |role| PgPoolOptions::new().max_connections(4).connect_lazy_with(options(role, &name));
        let (app, spine) = (pool("allod_app"), pool("allod_spine"));
        Self { app, spine, alice: AccountId::new(), mallory: AccountId::new(), name }
    }

    pub(super) fn admin(&self) -> QueueAdmin {
        QueueAdmin::new(self.spine.clone())
    }

    pub(super) fn operator(&self) -> Scope {
        Scope::new(AccountId::INSTANCE, Principal::Operator)
    }

    pub(super) async fn throw_everybody_out(&self) {
        let mut admin = options("postgres", "postgres").connect().await.unwrap();
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1")
            .bind(&self.name)
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

pub(super) async fn bind(conn: &mut PgConnection, account: AccountId) {
    sqlx::query("SELECT set_config('allod.account', $1, true)").bind(account.to_string()).execute(conn).await.unwrap();
}

impl Drop for Db {
    fn drop(&mut self) {
        let name = self.name.clone();
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut admin = options("postgres", "postgres").connect().await.unwrap();
                admin.execute(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)").as_str()).await.unwrap();
            });
        });
        let _ = dropped.join();
    }
}
