//! A running spine on a database of its own, with whichever services a test gives it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::{AccountId, Clock, Event, SystemClock};

use super::{TempDir, TestDatabase, database};
use crate::access::{Cause, Gate, Scope, ScopedTx};
use crate::log::reader::{self, Filter};
use crate::queue::RunnerOptions;
use crate::runtime::{Admin, Running, Spine};
use crate::service::{Context, Service, Settings};
use crate::vault::Vault;

/// Longer than anything that a test waits for takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running spine with services.
#[derive(Debug)]
pub struct TestHub {
    /// What the services were built with.
    pub context: Context,
    /// Work on the spine itself.
    pub admin: Admin,
    /// Scopes for the test's people.
    pub gate: Gate,
    /// The database.
    pub database: TestDatabase,
    running: Option<Running>,
    _dir: TempDir,
}

/// Starts a spine with the services that `build` makes, on the machine's clock.
pub async fn hub(build: impl FnOnce(&Context) -> Vec<Service>) -> TestHub {
    hub_at(Arc::new(SystemClock), build).await
}

/// Starts a spine with the services that `build` makes, on a clock of the test's.
pub async fn hub_at(clock: Arc<dyn Clock>, build: impl FnOnce(&Context) -> Vec<Service>) -> TestHub {
    hub_with(database().await, clock, build).await
}

/// Starts a spine over a database of the test's, on the machine's clock.
pub async fn hub_on(database: TestDatabase, build: impl FnOnce(&Context) -> Vec<Service>) -> TestHub {
    hub_with(database, Arc::new(SystemClock), build).await
}

async fn hub_with(
    database: TestDatabase,
    clock: Arc<dyn Clock>,
    build: impl FnOnce(&Context) -> Vec<Service>,
) -> TestHub {
    let dir = TempDir::new();
    let vault = Vault::open_or_create(&dir.path().join("keys/master")).expect("a key can be made");
    let tree = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let settings = Settings {
        data_dir: dir.path().to_owned(),
        packs_dir: tree.join("plugins"),
        recipes_dir: tree.join("rules/recipes"),
        public_url: "https://hub.example".to_owned(),
        extra_ca_pem: Vec::new(),
        upload_bytes_max: 64 * 1024 * 1024,
        media: crate::service::MediaSettings::default(),
    };
    let (spine, gate) = opened(&database, vault, clock, settings);
    let (context, admin) = (spine.context().clone(), spine.admin().clone());
    let running = started(spine, build).await;
    TestHub {
        context,
        admin,
        gate,
        database,
        running: Some(running),
        _dir: dir,
    }
}

fn opened(database: &TestDatabase, vault: Vault, clock: Arc<dyn Clock>, settings: Settings) -> (Spine, Gate) {
    let (app, spine) = (database.db.app().clone(), database.db.spine().clone());
    Spine::new(app, spine, vault, clock, settings)
}

async fn started(spine: Spine, build: impl FnOnce(&Context) -> Vec<Service>) -> Running {
    let services = build(spine.context());
    let started = spine.start(services, RunnerOptions::default()).await;
    started.expect("the database answers")
}

impl TestHub {
    /// Somebody's new account, and the right to act in it.
    pub fn somebody(&self) -> Scope {
        self.gate.operator(AccountId::new())
    }

    /// A transaction of somebody's, caused by nothing.
    pub async fn begin(&self, scope: &Scope) -> ScopedTx {
        self.context
            .access
            .begin(scope, Cause::outside())
            .await
            .expect("the database answers")
    }

    /// Everything that happened to somebody, oldest first.
    pub async fn events(&self, scope: &Scope) -> Vec<Event> {
        let mut tx = self.begin(scope).await;
        reader::event_list(&mut tx, &Filter::default(), 0, 1000)
            .await
            .expect("the database answers")
    }

    /// Waits until the outbox is empty and every consumer has read everything. Jobs are not waited for.
    pub async fn settle(&self) {
        let until = Instant::now() + PATIENCE;
        let mut calm = 0;
        while calm < 3 {
            let status = self.admin.status().await.expect("the database answers");
            let busy = status.unsealed > 0 || status.consumers.iter().any(|consumer| consumer.behind > 0);
            calm = if busy { 0 } else { calm + 1 };
            assert!(
                Instant::now() < until,
                "the hub does not come to rest: {status:?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Asks again and again until the answer is some.
    pub async fn eventually<T>(&self, what: &str, mut question: impl AsyncFnMut() -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = question().await {
                return answer;
            }
            assert!(Instant::now() < until, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops, and starts again with other services over the same database and directory.
    pub async fn restart(&mut self, build: impl FnOnce(&Context) -> Vec<Service>) {
        self.stop().await;
        let old = &self.context;
        let (vault, clock, settings) = (
            old.vault.clone(),
            old.clock.clone(),
            old.settings.as_ref().clone(),
        );
        let (spine, gate) = opened(&self.database, vault, clock, settings);
        (self.context, self.admin, self.gate) = (spine.context().clone(), spine.admin().clone(), gate);
        self.running = Some(started(spine, build).await);
    }

    /// Stops everything but the database.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.drain(Duration::from_secs(5)).await;
        }
    }
}
