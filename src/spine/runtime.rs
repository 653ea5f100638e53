//! The running spine: opens it, starts sealer, consumers, queue and sweeps, and drains them again.
//!
//! Invariant: nothing is lost by stopping, however it happens; draining only makes the next start quicker.
//! Begin with [`Spine::new`], then [`Spine::start`].

mod admin;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use contracts::Clock;
use futures::future::BoxFuture;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::admin::{Admin, ConsumerStatus, SpineStatus};
use self::admin::{AdminInner, AdminParts};
use crate::access::{Access, Gate};
use crate::erase::Eraser;
use crate::log::chain::ChainKey;
use crate::log::consumer::{self, Runtime};
use crate::log::{sealer, wake::Wake};
use crate::panics::{caught, kept_running};
use crate::ports::Ports;
use crate::queue::{JobRegistry, QueueError, QueueRunner, RunnerOptions};
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
        let (desks, stop_jobs) = (self.wake.desks().clone(), CancellationToken::new());
        let queue = QueueRunner::start_at(desks, &pool, registry, jobs, clock, stop_jobs).await?;
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
