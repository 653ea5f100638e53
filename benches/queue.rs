//! The queue beside npm pg-boss: the same jobs on the same PostgreSQL, by turns, in equal batches and with equal
//! concurrency. Jobs are put in by several senders at once, then run by handlers that do nothing, until the last one
//! is completed on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use contracts::{JobClass, JobPayload, RetryPolicy, SystemClock};
use serde_json::{Value, json};
use spine::queue::{
    Concurrency, JobContext, JobError, JobHandler, JobOptions, JobRegistry, QueueRunner, RunnerOptions,
    enqueue_all, wake,
};
use spine::testing::{TestHub, hub};
use spine::{Cause, Scope};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::cpu::Cpu;
use crate::measure::{Measure, Spread};
use crate::pgboss::Boss;

const JOBS: usize = 20_000;
/// Jobs a statement when they are put in.
const INSERT: usize = 1000;
/// Who puts jobs in at the same time.
const SENDERS: usize = 4;
/// Jobs a fetch, and how many such fetches at once; ours has as many slots as these make together.
const SHAPES: [(usize, usize); 3] = [(32, 4), (100, 4), (300, 2)];
const ROUNDS: usize = 3;
const TARGET: f64 = 1.3;

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Errand {
    n: usize,
}

impl JobPayload for Errand {
    const QUEUE: &'static str = "bench-errand";
    const CLASS: JobClass = JobClass::Interactive;
    const RETRY: RetryPolicy = RetryPolicy {
        limit: 2,
        delay: Duration::from_secs(1),
        delay_max: Duration::from_secs(1),
        expire_in: Duration::from_secs(900),
    };
}

/// Does nothing but tell when it was called for the last job.
struct Nothing {
    calls: AtomicUsize,
    all: Arc<Notify>,
}

#[async_trait]
impl JobHandler for Nothing {
    type Payload = Errand;

    async fn run(&self, _: &JobContext, _: Errand) -> Result<Value, JobError> {
        if self.calls.fetch_add(1, Ordering::Relaxed) + 1 == JOBS {
            self.all.notify_one();
        }
        Ok(Value::Null)
    }
}

/// Jobs a second.
#[derive(Debug, Clone, Copy)]
struct Pace {
    enqueue: f64,
    run: f64,
    all: f64,
    /// Of a job from beginning to end.
    cpu: Cpu,
}

/// What a pace is called, and which it is.
type Phase = (&'static str, fn(&Pace) -> f64);

pub(crate) async fn run() -> Vec<Measure> {
    let hub = hub(|_| Vec::new()).await;
    let somebody = hub.somebody();
    let mut boss = Boss::start(&hub.database, SENDERS).await;
    // Both have compiled their code and filled their caches before it counts.
    ours(&hub, &somebody, SHAPES[0]).await;
    theirs(&hub, &mut boss, "warm", SHAPES[0]).await;
    let mut measures = Vec::new();
    for shape in SHAPES {
        let mut paces = Vec::new();
        for round in 0..ROUNDS {
            let theirs = theirs(&hub, &mut boss, &format!("bench-{}-{round}", shape.0), shape).await;
            let ours = ours(&hub, &somebody, shape).await;
            eprintln!("   {shape:?} ours {ours:.0?} pg-boss {theirs:.0?}");
            paces.push((ours, theirs));
        }
        measures.extend(compare(shape, &paces));
    }
    measures
}

fn compare((batch, workers): (usize, usize), paces: &[(Pace, Pace)]) -> Vec<Measure> {
    let phases: [Phase; 3] = [
        ("enqueue", |pace| pace.enqueue),
        ("run and complete", |pace| pace.run),
        ("enqueue, run and complete", |pace| pace.all),
    ];
    let measure = |(phase, of): Phase| {
        let ratios = Spread::of(paces.iter().map(|(ours, theirs)| of(ours) / of(theirs)).collect());
        let ours = Spread::of(paces.iter().map(|(ours, _)| of(ours)).collect()).median;
        let theirs = Spread::of(paces.iter().map(|(_, theirs)| of(theirs)).collect()).median;
        let what = format!("queue, {phase}: ours ÷ pg-boss, batch {batch} × {workers}");
        let note = format!("{}; {ours:.0} and {theirs:.0} jobs/s", ratios.note(""));
        Measure::new(what, ratios.median, "").note(note)
    };
    let [enqueue, run, all] = phases.map(measure);
    vec![enqueue, run, all.at_least(TARGET), cpu((batch, workers), paces)]
}

fn cpu((batch, workers): (usize, usize), paces: &[(Pace, Pace)]) -> Measure {
    let median = |of: fn(&(Pace, Pace)) -> f64| Spread::of(paces.iter().map(of).collect()).median;
    let what = format!("queue, CPU time of a job from beginning to end, {batch} × {workers}");
    let note = format!(
        "µs; PostgreSQL {:.0}, the hub's side {:.0}; pg-boss {:.0}: PostgreSQL {:.0}, Node {:.0}",
        median(|(ours, _)| ours.cpu.postgres),
        median(|(ours, _)| ours.cpu.client),
        median(|(_, theirs)| theirs.cpu.both()),
        median(|(_, theirs)| theirs.cpu.postgres),
        median(|(_, theirs)| theirs.cpu.client),
    );
    Measure::new(what, median(|(ours, _)| ours.cpu.both()), "").note(note)
}

async fn theirs(hub: &TestHub, boss: &mut Boss, queue: &str, (batch, workers): (usize, usize)) -> Pace {
    clear(hub).await;
    let (pid, server) = (boss.pid(), hub.database.socket_dir());
    let before = Cpu::look(pid, server);
    let answer = boss
        .call("bench", json!([queue, JOBS, batch, workers, INSERT, SENDERS]))
        .await;
    let of = |key: &str| answer[key].as_f64().unwrap();
    Pace {
        enqueue: of("enqueue"),
        run: of("run"),
        all: of("all"),
        cpu: Cpu::look(pid, server).since(before, JOBS),
    }
}

async fn ours(hub: &TestHub, somebody: &Scope, (batch, workers): (usize, usize)) -> Pace {
    clear(hub).await;
    let (pid, server) = (std::process::id(), hub.database.socket_dir());
    let before = Cpu::look(pid, server);
    let begun = Instant::now();
    send_all(hub, somebody).await;
    let queued = Instant::now();
    let mut registry = JobRegistry::default();
    let all = Arc::new(Notify::new());
    registry.register(Nothing {
        calls: AtomicUsize::new(0),
        all: all.clone(),
    });
    let options = RunnerOptions {
        concurrency: Concurrency {
            interactive: u32::try_from(batch * workers).unwrap(),
            ..Concurrency::default()
        },
        supervise: false,
        ..RunnerOptions::default()
    };
    let pool = hub.database.db.spine();
    let runner = QueueRunner::start(
        pool,
        registry,
        options,
        Arc::new(SystemClock),
        CancellationToken::new(),
    );
    let runner = runner.await.unwrap();
    all.notified().await;
    while left(hub).await > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ended = Instant::now();
    let cpu = Cpu::look(pid, server).since(before, JOBS);
    runner.drain(Duration::from_secs(5)).await;
    let pace = |from: Instant, to: Instant| JOBS as f64 / (to - from).as_secs_f64();
    Pace {
        enqueue: pace(begun, queued),
        run: pace(queued, ended),
        all: pace(begun, ended),
        cpu,
    }
}

async fn send_all(hub: &TestHub, somebody: &Scope) {
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (access, scope) = (hub.context.access.clone(), somebody.clone());
            tokio::spawn(async move {
                for first in (sender * INSERT..JOBS).step_by(SENDERS * INSERT) {
                    let last = (first + INSERT).min(JOBS);
                    let jobs: Vec<Errand> = (first..last).map(|n| Errand { n }).collect();
                    let mut tx = access.begin(&scope, Cause::outside()).await.unwrap();
                    let (account, cause) = (tx.account(), tx.cause());
                    enqueue_all(tx.conn(), account, cause, &jobs, JobOptions::default())
                        .await
                        .unwrap();
                    tx.commit().await.unwrap();
                }
                wake();
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
}

/// Asked as pg-boss's side asks.
async fn left(hub: &TestHub) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM pgboss.job WHERE name = $1 AND state <> 'completed'")
        .bind(Errand::QUEUE)
        .fetch_one(hub.database.db.spine())
        .await
        .unwrap()
}

/// Each begins with an empty table.
async fn clear(hub: &TestHub) {
    let mut superuser = hub.database.superuser().await;
    sqlx::query("TRUNCATE pgboss.job")
        .execute(&mut superuser)
        .await
        .unwrap();
}
