//! Messages that are sent while PostgreSQL is killed again and again, and the hub with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use sqlx::postgres::PgPoolOptions;
use tokio::sync::watch;

use super::*;

/// An errand that waits out what a database that is killed does to it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Patient {
    n: u32,
}

impl JobPayload for Patient {
    const QUEUE: &'static str = "run-patient-errand";
    const CLASS: JobClass = JobClass::Interactive;
    const RETRY: RetryPolicy = RetryPolicy { limit: 1000, ..QUICK };
}

/// Takes messages, and counts them.
#[derive(Default)]
struct Provider {
    took: Mutex<BTreeMap<JobId, u32>>,
    /// Who will certainly send no more.
    gave_up: Mutex<BTreeSet<String>>,
    total: watch::Sender<usize>,
}

impl Provider {
    fn takes(&self, job: JobId) {
        *self.took.lock().unwrap().entry(job).or_default() += 1;
        self.total.send_modify(|total| *total += 1);
    }

    fn knows(&self, job: JobId) -> bool {
        self.took.lock().unwrap().contains_key(&job)
    }
}

/// Sends as a message is sent: the attempt is on disk before the request; who finds one open asks the provider.
struct Sending {
    pool: PgPool,
    hub: &'static str,
    provider: Arc<Provider>,
}

impl Sending {
    /// Whether it is this run that sends. `Err`: not known yet.
    async fn may_send(&self, job: JobId, me: &str) -> Result<bool, sqlx::Error> {
        let mine = sqlx::query("INSERT INTO t.sending VALUES ($1, $2, false) ON CONFLICT DO NOTHING")
            .bind(job.0)
            .bind(me)
            .execute(&self.pool)
            .await?;
        if mine.rows_affected() == 1 {
            return Ok(true);
        }
        let by: String = sqlx::query_scalar("SELECT by FROM t.sending WHERE job = $1")
            .bind(job.0)
            .fetch_one(&self.pool)
            .await?;
        if self.provider.knows(job) {
            return Ok(false);
        }
        let ended = !by.starts_with(self.hub) || self.provider.gave_up.lock().unwrap().contains(&by);
        // The provider is asked after it is sure that nobody sends any more, never before.
        if !ended || self.provider.knows(job) {
            return if ended {
                Ok(false)
            } else {
                Err(sqlx::Error::RowNotFound)
            };
        }
        let taken = sqlx::query("UPDATE t.sending SET by = $3 WHERE job = $1 AND by = $2")
            .bind(job.0)
            .bind(by)
            .bind(me)
            .execute(&self.pool)
            .await?;
        Ok(taken.rows_affected() == 1)
    }
}

#[async_trait]
impl JobHandler for Sending {
    type Payload = Patient;

    async fn run(&self, job: &JobContext, _: Patient) -> Result<Value, JobError> {
        let again = |error: sqlx::Error| JobError::retry_after(Duration::ZERO, error);
        let me = format!("{} {}", self.hub, uuid::Uuid::new_v4());
        match self.may_send(job.job, &me).await {
            Ok(true) => self.provider.takes(job.job),
            Ok(false) => {}
            Err(error) => {
                self.provider.gave_up.lock().unwrap().insert(me);
                return Err(again(error));
            }
        }
        sqlx::query("UPDATE t.sending SET sent = true WHERE job = $1")
            .bind(job.job.0)
            .execute(&self.pool)
            .await
            .map_err(again)?;
        Ok(Value::Null)
    }
}

/// A hub with threads of its own, so that it can end as abruptly as the machine.
async fn sending(machine: &Machine, hub: &'static str, provider: &Arc<Provider>) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (options, provider) = (machine.db.connect_options(Role::Spine), provider.clone());
    let started = runtime.spawn(async move {
        let pool = PgPoolOptions::new().max_connections(8).connect_lazy_with(options);
        let mut registry = JobRegistry::default();
        registry.register::<Sending>(Sending {
            pool: pool.clone(),
            hub,
            provider,
        });
        let (options, clock) = (RunnerOptions::default(), Arc::new(SystemClock));
        QueueRunner::start(&pool, registry, options, clock, CancellationToken::new()).await
    });
    let runner = started.await.unwrap().unwrap();
    // Lives as long as the threads do.
    runtime.spawn(async move {
        let _runner = runner;
        std::future::pending::<()>().await;
    });
    runtime
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_database_is_killed_every_job_runs_and_nothing_is_sent_twice() {
    if !unprivileged(
        module_path!(),
        "whenever_the_database_is_killed_every_job_runs_and_nothing_is_sent_twice",
    ) {
        return;
    }
    let machine = Machine::new().await;
    let provider = Arc::new(Provider::default());
    let first = sending(&machine, "first", &provider).await;
    let (enough, orders) = (Arc::new(AtomicBool::new(false)), machine.db.app().clone());
    let (alice, enough_said) = (machine.alice, enough.clone());
    let ordered = tokio::spawn(async move {
        let mut ordered = Vec::new();
        while !enough_said.load(Ordering::SeqCst) {
            let orders = &orders;
            let orders =
                (0..8).map(|n| async move { support::queue_somehow(orders, alice, &Patient { n }).await });
            // An order whose commit was not confirmed may stand or not; one that was confirmed stands.
            ordered.extend(futures::future::join_all(orders).await.into_iter().flatten());
            wake();
        }
        ordered
    });
    let mut sent = provider.total.subscribe();
    for crash in [20, 90, 200] {
        sent.wait_for(|total| *total >= crash).await.unwrap();
        machine.crash().await;
    }
    let so_far = *sent.borrow();
    sent.wait_for(|total| *total >= so_far + 50).await.unwrap();
    // Now the machine goes down with the hub.
    machine.kill().await;
    first.shutdown_background();
    machine.back().await;
    let second = sending(&machine, "second", &provider).await;
    enough.store(true, Ordering::SeqCst);
    let ordered = ordered.await.unwrap();
    machine
        .until(
            "no job waits or runs",
            "SELECT NOT EXISTS (SELECT FROM pgboss.job WHERE state <> 'completed')",
        )
        .await;
    let took = provider.took.lock().unwrap().clone();
    let never: Vec<_> = ordered.iter().filter(|job| !took.contains_key(job)).collect();
    assert!(never.is_empty(), "ordered, and never sent: {never:?}");
    let twice: Vec<_> = took.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "sent twice: {twice:?}");
    let silent: i64 = sqlx::query_scalar("SELECT count(*) FROM t.sending WHERE NOT sent")
        .fetch_one(&mut machine.connect().await)
        .await
        .unwrap();
    assert_eq!(silent, 0, "sent, and not known to be");
    second.shutdown_background();
    machine.db.stop().await;
}
