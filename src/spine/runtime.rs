//! The running spine: opens it, starts sealer, consumers, queue and sweeps, and drains them again.
//!
//! Invariant: nothing is lost by stopping, however it happens; draining only makes the next start quicker.
//! Begin with [`Spine::new`], then [`Spine::start`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use contracts::{AccountId, Clock, EventId, Lane, Position};
use futures::future::BoxFuture;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::{Access, AccessError, Gate, Scope};
use crate::erase::Eraser;
use crate::log::chain::ChainKey;
use crate::log::consumer::{self, Consumer, HandleError, Runtime};
use crate::log::verify::{self, Report};
use crate::log::{sealer, wake::Wake};
use crate::panics::{caught, kept_running};
use crate::ports::Ports;
use crate::queue::{JobRegistry, QueueAdmin, QueueError, QueueRunner, RunnerOptions};
use crate::service::{Context, Service, Settings};
use crate::vault::Vault;

/// The spine, opened but not yet running.
#[derive(Debug)]
pub struct Spine {
    context: Context,
    admin: Admin,
    wake: Wake,
    key: ChainKey,
}

impl Spine {
    /// A spine over a database. The [`Gate`] goes to the edge and to nobody else.
    pub fn new(
        app: PgPool,
        spine: PgPool,
        vault: Vault,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> (Self, Gate) {
        let wake = Wake::new();
        let key = vault.chain_key();
        let access = Access::new(app, clock.clone(), vault.clone(), wake.clone());
        let context = Context {
            access: access.clone(),
            clock,
            ports: Ports::default(),
            vault,
            settings: Arc::new(settings),
        };
        let inner = AdminInner {
            pool: spine,
            access,
            key: key.clone(),
            anchor: context.settings.data_dir.join("log.anchor"),
            wake: wake.clone(),
            parts: OnceLock::new(),
        };
        (
            Self {
                context,
                admin: Admin {
                    inner: Arc::new(inner),
                },
                wake,
                key,
            },
            Gate::new(),
        )
    }

    /// What services are built with.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Work on the spine itself.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Starts everything that the services need.
    ///
    /// # Errors
    /// [`QueueError::Database`] when the database is away at the start; later it is waited for.
    /// [`QueueError::Doubled`] when two services, two consumers or two handlers of a queue bear one name.
    pub async fn start(self, services: Vec<Service>, jobs: RunnerOptions) -> Result<Running, QueueError> {
        refuse_doubles("services", services.iter().map(|service| service.name))?;
        let readers = services.iter().flat_map(|service| &service.consumers);
        refuse_doubles("consumers", readers.map(|reader| reader.name()))?;
        let parts = AdminParts {
            consumers: services
                .iter()
                .flat_map(|service| service.consumers.iter().cloned())
                .collect(),
            tables: services
                .iter()
                .flat_map(|service| service.personal_tables.iter().copied())
                .collect(),
        };
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let pool = self.admin.inner.pool.clone();
        let sealer = sealer::Sealer {
            pool: pool.clone(),
            key: self.key.clone(),
            clock: self.context.clock.clone(),
            wake: self.wake.clone(),
            anchor: self.admin.inner.anchor.clone(),
            stop: stop.clone(),
        };
        let keep = |who: &'static str, run: Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>| {
            let stop = stop.clone();
            tasks.spawn(async move { kept_running(who, stop, run).await });
        };
        keep("sealer", Box::new(move || Box::pin(sealer::run(sealer.clone()))));
        let (wake, listener) = (self.wake.clone(), (pool.clone(), stop.clone()));
        keep(
            "listener",
            Box::new(move || Box::pin(wake.clone().listen(listener.0.clone(), listener.1.clone()))),
        );
        let runtime = Runtime {
            pool: pool.clone(),
            access: self.context.access.clone(),
            wake: self.wake.clone(),
            stop: stop.clone(),
        };
        for reader in &parts.consumers {
            for lane in reader.lanes() {
                let (runtime, reader, lane) = (runtime.clone(), reader.clone(), *lane);
                self.wake.works(reader.name(), lane); // from here on its silence is counted
                keep(
                    reader.name(),
                    Box::new(move || Box::pin(consumer::run(runtime.clone(), reader.clone(), lane))),
                );
            }
        }
        let eraser = Eraser {
            spine: pool.clone(),
            access: self.context.access.clone(),
            tables: parts.tables.clone(),
        };
        let end = stop.clone();
        keep(
            "eraser",
            Box::new(move || Box::pin(eraser.clone().run(end.clone()))),
        );
        let (access, keys, end) = (self.context.access.clone(), pool.clone(), stop.clone());
        keep(
            "upkeep",
            Box::new(move || Box::pin(crate::upkeep::run(keys.clone(), access.clone(), end.clone()))),
        );
        let (access, end) = (self.context.access.clone(), stop.clone());
        keep(
            "refusals",
            Box::new(move || Box::pin(crate::refusals::run(access.clone(), end.clone()))),
        );
        let _ = self.admin.inner.parts.set(parts);
        let mut registry = JobRegistry::default();
        for service in services {
            registry.extend(service.jobs);
            for task in service.tasks {
                let (task, admin, name) = (task(stop.clone()), self.admin.clone(), service.name);
                tasks.spawn(async move {
                    if let Err(why) = caught(task).await {
                        tracing::error!(
                            service = name,
                            why,
                            "a task of a service panicked: restart the hub"
                        );
                        admin.inner.wake.part_ended(name);
                    }
                });
            }
        }
        let clock = self.context.clock.clone();
        let queue = QueueRunner::start(&pool, registry, jobs, clock, CancellationToken::new()).await?;
        tasks.close();
        Ok(Running { stop, tasks, queue })
    }
}

/// Two consumers of one name would share a position, so that each would miss what the other has read.
fn refuse_doubles(what: &'static str, names: impl Iterator<Item = &'static str>) -> Result<(), QueueError> {
    let mut known = BTreeSet::new();
    for name in names {
        if !known.insert(name) {
            return Err(QueueError::Doubled(what, name));
        }
    }
    Ok(())
}

/// The running spine.
#[derive(Debug)]
pub struct Running {
    stop: CancellationToken,
    tasks: TaskTracker,
    queue: QueueRunner,
}

impl Running {
    /// Lets everything finish what it has in hand, for so long at the most. Jobs first: they publish and queue.
    pub async fn drain(self, deadline: Duration) {
        self.queue.drain(deadline).await;
        self.stop.cancel();
        if tokio::time::timeout(deadline, self.tasks.wait()).await.is_err() {
            tracing::warn!("some work was still running when the hub stopped; it goes on at the next start");
        }
    }
}

/// Work on the spine itself: proving, retrying, replaying, erasing. Given to the edge.
#[derive(Debug, Clone)]
pub struct Admin {
    inner: Arc<AdminInner>,
}

struct AdminInner {
    pool: PgPool,
    access: Access,
    key: ChainKey,
    anchor: std::path::PathBuf,
    wake: Wake,
    parts: OnceLock<AdminParts>,
}

struct AdminParts {
    consumers: Vec<Arc<dyn Consumer>>,
    tables: Vec<&'static str>,
}

impl std::fmt::Debug for AdminInner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminInner")
    }
}

/// How far a consumer is.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct ConsumerStatus {
    /// The consumer's name.
    pub consumer: String,
    /// The lane.
    pub lane: Lane,
    /// The last position that it has passed.
    pub position: Position,
    /// How many positions it is behind the end of the log.
    pub behind: i64,
    /// How many events of the lane it has parked.
    pub parked: i64,
    /// How old the next event is that it has not passed, in seconds; 0 when there is none.
    pub lag_seconds: i64,
    /// How many seconds ago it last went on or looked and found nothing to do.
    pub silent_seconds: u64,
}

/// How the spine is doing.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct SpineStatus {
    /// Where the log ends.
    pub head: Position,
    /// Events that wait to be sealed.
    pub unsealed: i64,
    /// Each consumer.
    pub consumers: Vec<ConsumerStatus>,
    /// Services of which a task panicked since the start; the rest of them works.
    pub ended: Vec<&'static str>,
}

impl Admin {
    /// Proves the whole log.
    ///
    /// # Errors
    /// [`AccessError::Database`].
    pub async fn verify(&self) -> Result<Report, AccessError> {
        Ok(verify::verify(&self.inner.pool, &self.inner.key, &self.inner.anchor).await?)
    }

    /// Handles a parked event of somebody's account again; their audit tells of it in the same commit. False: that
    /// consumer has not parked it.
    ///
    /// # Errors
    /// [`HandleError`]: it failed again and stays parked with the new reason.
    pub async fn parked_retry(
        &self,
        by: &Scope,
        consumer: &str,
        event: EventId,
    ) -> Result<bool, HandleError> {
        let found = self
            .parts()
            .and_then(|parts| parts.consumers.iter().find(|one| one.name() == consumer));
        match found {
            Some(found) => consumer::parked_retry(&self.inner.access, found.as_ref(), by, event).await,
            None => Ok(false),
        }
    }

    /// Lets a consumer read a lane again from after a position. Handlers are idempotent, so nothing doubles.
    /// One that hasn't come so far goes on from where it is: a replay skips nothing. The audit of who says so tells of
    /// it in the same commit. False: no such consumer.
    ///
    /// # Errors
    /// [`AccessError::Database`].
    pub async fn replay(
        &self,
        by: &Scope,
        consumer: &str,
        lane: Lane,
        after: Position,
    ) -> Result<bool, AccessError> {
        let mut tx = self.inner.pool.begin().await?;
        if !consumer::store::position_rewind(&mut *tx, consumer, lane, after).await? {
            return Ok(false);
        }
        let deed = format!("consumer/{consumer}/replay");
        self.inner.access.commit_deed(tx, by, deed).await?;
        self.inner.wake.rewound();
        Ok(true)
    }

    /// How far sealer and consumers are.
    ///
    /// # Errors
    /// [`AccessError::Database`].
    pub async fn status(&self) -> Result<SpineStatus, AccessError> {
        let log = sqlx::query!(
            r#"
            SELECT position AS head, (SELECT count(*) FROM spine.outbox) AS "unsealed!" FROM spine.log_head
            "#
        )
        .fetch_one(&self.inner.pool)
        .await?;
        let parked = sqlx::query!(
            r#"
            SELECT parked.consumer, log.lane, count(*) AS "count!" FROM spine.parked_event AS parked
            JOIN spine.event_log AS log ON log.position = parked.position GROUP BY parked.consumer, log.lane
            "#
        )
        .fetch_all(&self.inner.pool)
        .await?;
        let mut consumers = Vec::new();
        for consumer in self
            .parts()
            .map(|parts| parts.consumers.as_slice())
            .unwrap_or_default()
        {
            for lane in consumer.lanes() {
                let position = *self.inner.wake.passed(consumer.name(), *lane).borrow();
                let parked = parked
                    .iter()
                    .find(|row| row.consumer == consumer.name() && row.lane == lane.as_str())
                    .map_or(0, |row| row.count);
                let silent = self.inner.wake.worked_ago(consumer.name(), *lane);
                consumers.push(ConsumerStatus {
                    consumer: consumer.name().to_owned(),
                    lane: *lane,
                    position,
                    behind: (log.head - position).max(0),
                    parked,
                    silent_seconds: silent.map_or(0, |silent| silent.as_secs()),
                    lag_seconds: 0,
                });
            }
        }
        self.lags(&mut consumers).await?;
        Ok(SpineStatus {
            head: log.head,
            unsealed: log.unsealed,
            consumers,
            ended: self.inner.wake.parts_ended(),
        })
    }

    async fn lags(&self, consumers: &mut [ConsumerStatus]) -> Result<(), AccessError> {
        let behind = consumers.iter().filter(|consumer| consumer.behind > 0);
        let next: Vec<Position> = behind.map(|consumer| consumer.position + 1).collect();
        if next.is_empty() {
            return Ok(());
        }
        let found = sqlx::query!(
            "SELECT position, recorded_at FROM spine.event_log WHERE position = ANY($1)",
            &next
        )
        .fetch_all(&self.inner.pool)
        .await?;
        let now = self.inner.access.now();
        for consumer in consumers.iter_mut().filter(|consumer| consumer.behind > 0) {
            let next = found.iter().find(|row| row.position == consumer.position + 1);
            consumer.lag_seconds = next.map_or(0, |row| (now - row.recorded_at).num_seconds().max(0));
        }
        Ok(())
    }

    /// Erases an account: rows, bodies, jobs, secrets. How many rows went, by table. `by`: who asked for it; the event
    /// that tells of it, some seconds later when nothing can be left, bears that name.
    ///
    /// # Errors
    /// [`AccessError::Database`]; what is left is removed later or by a second call.
    pub async fn erase_account(
        &self,
        by: &Scope,
        account: AccountId,
    ) -> Result<BTreeMap<String, u64>, AccessError> {
        let eraser = Eraser {
            spine: self.inner.pool.clone(),
            access: self.inner.access.clone(),
            tables: self.parts().map(|parts| parts.tables.clone()).unwrap_or_default(),
        };
        eraser.erase(by, account).await
    }

    /// The jobs.
    pub fn queue(&self) -> QueueAdmin {
        QueueAdmin::new(self.inner.pool.clone(), self.inner.access.clone())
    }

    /// Where the log ends, to wait for its moving.
    pub fn head(&self) -> tokio::sync::watch::Receiver<Position> {
        self.inner.wake.head()
    }

    fn parts(&self) -> Option<&AdminParts> {
        self.inner.parts.get()
    }
}
