//! The runner: takes jobs, runs their handlers, settles what they say, and stops in good order.
//!
//! For each class there is a fetcher ([`class`]) with its own number of slots, and a settler ([`settle`]) that ends
//! attempts in batches. [`watch`] keeps an eye on what runs, [`presence`] tells the database that this hub lives.
//! Invariant: what was fetched is run, or given back; a handler that panics or takes too long is a failed attempt,
//! never a lost job.
//! Begin with [`QueueRunner::start`].

mod class;
mod presence;
mod running;
pub(super) mod settle;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use contracts::{Clock, JobClass};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgPool};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(super) use self::presence::Hub;
use self::running::Running;
use super::desk::Desks;
use super::enqueue::Retry;
use super::model::QueueError;
use super::registry::JobRegistry;
use super::{store, supervise};

/// How many jobs of each class run at a time; no class takes another's.
#[derive(Debug, Clone, Copy)]
pub struct Concurrency {
    /// For [`JobClass::Realtime`].
    pub realtime: u32,
    /// For [`JobClass::Interactive`].
    pub interactive: u32,
    /// For [`JobClass::Background`].
    pub background: u32,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self {
            realtime: 16,
            interactive: 32,
            background: 8,
        }
    }
}

impl Concurrency {
    fn of(self, class: JobClass) -> usize {
        let slots = match class {
            JobClass::Realtime => self.realtime,
            JobClass::Interactive => self.interactive,
            JobClass::Background => self.background,
        };
        usize::try_from(slots.clamp(1, 10_000)).unwrap_or(1)
    }
}

/// How the runner works.
#[derive(Debug, Clone, Copy)]
pub struct RunnerOptions {
    /// Slots of each class.
    pub concurrency: Concurrency,
    /// How long a job waits at most when no wake-up tells of it (a Node program's, a delayed one).
    pub poll: Duration,
    /// Whether this process does the upkeep: expiry, retention, schedules, the jobs of dead hubs.
    pub supervise: bool,
}

impl Default for RunnerOptions {
    fn default() -> Self {
        Self {
            concurrency: Concurrency::default(),
            poll: Duration::from_millis(500),
            supervise: true,
        }
    }
}

/// What a drain left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainReport {
    /// Jobs that were still running at the deadline; they are given back and the attempt doesn't count.
    pub given_back: usize,
}

/// What all parts of a runner share.
#[derive(Clone)]
struct Shared {
    pool: PgPool,
    /// For fetching only: what is committed here doesn't wait for the disk.
    claims: PgPool,
    registry: Arc<JobRegistry>,
    running: Arc<Running>,
    hub: Hub,
    /// No new work.
    stop: CancellationToken,
}

/// A runner at work. Dropped without [`QueueRunner::drain`], it stops taking jobs and lets its parts end.
pub struct QueueRunner {
    shared: Shared,
    fetchers: JoinSet<()>,
    settlers: JoinSet<()>,
    helpers: JoinSet<()>,
    /// Stops helpers, which work until the last attempt is settled.
    end: CancellationToken,
}

impl std::fmt::Debug for QueueRunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueueRunner")
            .field("running", &self.shared.running.len())
            .finish_non_exhaustive()
    }
}

/// Connections: settler of each class, watch, supervisor, and two for the API.
const CONNECTIONS: u32 = 7;
/// A fetcher of each class, which may have two fetches under way.
const FETCHERS: u32 = 6;

/// A fetch is not waited for on disk. What a crash of PostgreSQL forgets of it is fetched again, and before anything
/// of an attempt is on disk, its fetch is, since the log of the database is written in order.
fn claims_like(spine: &PgPool) -> PgPool {
    pool_like(spine, &[("synchronous_commit", "off")], FETCHERS)
}

/// With these every statement goes by index, however old the planner's statistics of a table are that fills and
/// empties within minutes; and the server notices soon when this machine has vanished.
fn pool_like(spine: &PgPool, more: &[(&str, &str)], connections: u32) -> PgPool {
    let connect = PgConnectOptions::clone(&spine.connect_options())
        .application_name("allod queue")
        .options([
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("jit", "off"),
            // Planning the fetch anew took longer than fetching.
            ("plan_cache_mode", "force_generic_plan"),
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
        ])
        .options(more.iter().copied());
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(5))
        .idle_timeout(Duration::from_secs(60))
        .test_before_acquire(false)
        // A connection that rested is asked whether it still lives; a busy one is believed.
        .before_acquire(|conn, meta| {
            Box::pin(async move { Ok(meta.idle_for < Duration::from_secs(1) || conn.ping().await.is_ok()) })
        })
        .connect_lazy_with(connect)
}

impl QueueRunner {
    /// Makes the queues of the registry, enters this hub into the list, and starts taking jobs until `stop`.
    /// `spine` is the pool of role `allod_spine`; the runner makes connections of its own like those, so that its
    /// classes wait for nobody.
    ///
    /// # Errors
    /// [`QueueError::Database`] when the database is away at the start; later it is waited for.
    /// [`QueueError::Doubled`] when two handlers want one queue.
    pub async fn start(
        spine: &PgPool,
        registry: JobRegistry,
        options: RunnerOptions,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Result<Self, QueueError> {
        Self::start_at(Desks::default(), spine, registry, options, clock, stop).await
    }

    /// As [`QueueRunner::start`], where transactions of this process hand jobs on at these desks.
    pub(crate) async fn start_at(
        desks: Desks,
        spine: &PgPool,
        registry: JobRegistry,
        options: RunnerOptions,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Result<Self, QueueError> {
        if let Some(queue) = registry.doubled().next() {
            return Err(QueueError::Doubled("handlers of the queue", queue));
        }
        let pool = pool_like(spine, &[], CONNECTIONS);
        for (queue, entry) in registry.entries() {
            store::queue_create(&pool, queue, Retry::of(&entry.retry)).await?;
        }
        let (hub, session) = presence::enter(&pool).await?;
        let shared = Shared {
            pool,
            claims: claims_like(spine),
            registry: Arc::new(registry),
            running: Arc::default(),
            hub,
            stop: stop.child_token(),
        };
        let end = CancellationToken::new();
        let (mut fetchers, mut settlers, mut helpers) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
        for class in JobClass::ALL {
            let queues = shared.registry.queues(class);
            if queues.is_empty() {
                continue;
            }
            let (settler, verdicts) = settle::Settler::new(shared.clone());
            settlers.spawn(settler.run(end.clone()));
            let fetcher = class::Fetcher::new(class, queues, options, shared.clone(), verdicts);
            let fetcher = Arc::new(fetcher);
            let words = fetcher.open(&desks);
            fetchers.spawn(fetcher.clone().run_handed(desks.clone(), words));
            fetchers.spawn(fetcher.run());
        }
        helpers.spawn(presence::keep(shared.clone(), session, end.clone()));
        helpers.spawn(watch::run(shared.clone(), end.clone()));
        if options.supervise {
            let registry = shared.registry.clone();
            helpers.spawn(supervise::run(
                shared.pool.clone(),
                registry,
                shared.hub.clone(),
                clock,
                end.clone(),
            ));
        }
        Ok(Self {
            shared,
            fetchers,
            settlers,
            helpers,
            end,
        })
    }

    /// How many jobs run in this process.
    pub fn running(&self) -> usize {
        self.shared.running.len()
    }

    /// Takes no more jobs, waits for the running ones until the deadline, tells the others to stop and gives them
    /// back.
    pub async fn drain(mut self, deadline: Duration) -> DrainReport {
        self.shared.stop.cancel();
        let finished = async {
            while self.fetchers.join_next().await.is_some() {}
            self.shared.running.emptied().await;
        };
        let given_back = if tokio::time::timeout(deadline, finished).await.is_err() {
            self.give_back().await
        } else {
            0
        };
        let orderly = self.settled().await;
        self.end.cancel();
        let left = tokio::time::timeout(Duration::from_secs(2), async {
            // Who may have left something half done stays in the list without its lock: the next hub looks after it.
            if orderly {
                let _ = store::hub_leave(&self.shared.pool, self.shared.hub.number()).await;
            }
            while self.helpers.join_next().await.is_some() {}
            self.shared.pool.close().await;
        });
        let _ = left.await;
        DrainReport { given_back }
    }

    /// Waits until all verdicts are written down, which is when the last sender of verdicts is gone. False when that
    /// could not be done, as when the database is away.
    async fn settled(&mut self) -> bool {
        let fetched_all = self.fetchers.is_empty();
        self.fetchers.shutdown().await;
        let settled = async { while self.settlers.join_next().await.is_some() {} };
        let settled = tokio::time::timeout(Duration::from_secs(5), settled)
            .await
            .is_ok();
        if !settled {
            tracing::warn!("the outcome of some jobs could not be written down: they will be tried again");
        }
        settled && fetched_all
    }

    async fn give_back(&mut self) -> usize {
        self.shared.running.cancel_all();
        let _ = tokio::time::timeout(Duration::from_millis(500), self.shared.running.emptied()).await;
        let left = self.shared.running.abort_all();
        if left.is_empty() {
            return 0;
        }
        tracing::warn!(
            jobs = left.len(),
            "the time to stop is up: running jobs are given back"
        );
        let give = store::give_back(&self.shared.pool, &left);
        if !matches!(
            tokio::time::timeout(Duration::from_secs(5), give).await,
            Ok(Ok(()))
        ) {
            tracing::warn!("could not give jobs back: the next hub finds them");
        }
        left.len()
    }
}

impl Drop for QueueRunner {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.end.cancel();
    }
}
