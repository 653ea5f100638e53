//! Stories of the queue on a real database. Alice owns the hub; Mallory has an account on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use contracts::{AccountId, Clock, JobClass, JobId, JobPayload, ManualClock, RetryPolicy, SystemClock};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::wake::wake;
use super::*;
use crate::access::{Cause, Principal, Scope};

mod attempts;
mod bulk;
mod crashes;
mod handed;
mod hubs;
mod orders;
mod people;
mod support;
use support::Db;

const QUICK: RetryPolicy = RetryPolicy {
    limit: 2,
    delay: Duration::from_secs(1),
    delay_max: Duration::from_secs(1),
    expire_in: Duration::from_secs(30),
};

/// What the tests queue.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Errand {
    n: u32,
}

impl JobPayload for Errand {
    const QUEUE: &'static str = "run-errand";
    const CLASS: JobClass = JobClass::Interactive;
    const RETRY: RetryPolicy = QUICK;
}

/// Another queue, of another class.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Chore {
    n: u32,
}

impl JobPayload for Chore {
    const QUEUE: &'static str = "do-chore";
    const CLASS: JobClass = JobClass::Background;
    const RETRY: RetryPolicy = RetryPolicy { limit: 0, ..QUICK };
}

/// What a handler does with each attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Succeed,
    Panic,
    Retry,
    Fail,
    Hang,
    Deaf,
    Nap,
    BadOutput,
    Progress,
    Tell,
}

struct Handler<P> {
    act: Act,
    began: mpsc::UnboundedSender<(JobId, u32, u32)>,
    stopped: Arc<AtomicU32>,
    payload: std::marker::PhantomData<fn() -> P>,
}

trait Numbered: JobPayload {
    fn n(&self) -> u32;
}
impl Numbered for Errand {
    fn n(&self) -> u32 {
        self.n
    }
}
impl Numbered for Chore {
    fn n(&self) -> u32 {
        self.n
    }
}

#[async_trait]
impl<P: Numbered> JobHandler for Handler<P> {
    type Payload = P;

    async fn run(&self, job: &JobContext, payload: P) -> Result<Value, JobError> {
        let _ = self.began.send((job.job, job.attempt, payload.n()));
        match self.act {
            Act::Succeed => Ok(json!({ "n": payload.n() })),
            Act::Panic => panic!("the handler tripped"),
            Act::Retry => Err(JobError::retry_after(Duration::ZERO, "not yet")),
            Act::Fail => Err(JobError::fail("never")),
            Act::Deaf => std::future::pending().await,
            Act::Nap => {
                tokio::time::sleep(Duration::from_millis(400)).await;
                Ok(Value::Null)
            }
            Act::BadOutput => Ok(json!("a\0b")),
            Act::Progress => {
                assert!(job.progress(json!(40)).await);
                job.cancelled().cancelled().await;
                Ok(Value::Null)
            }
            Act::Tell => {
                assert!(job.progress(json!(40)).await);
                Ok(json!({ "n": payload.n() }))
            }
            Act::Hang => {
                job.cancelled().cancelled().await;
                self.stopped.fetch_add(1, Ordering::SeqCst);
                Err(JobError::retry("told to stop"))
            }
        }
    }
}

/// A hub's queue in this process.
struct Rig {
    runner: QueueRunner,
    began: mpsc::UnboundedReceiver<(JobId, u32, u32)>,
    stopped: Arc<AtomicU32>,
}

async fn rig(db: &Db, act: Act) -> Rig {
    rig_with(db, act, RunnerOptions::default(), Arc::new(SystemClock)).await
}

async fn rig_with(db: &Db, act: Act, options: RunnerOptions, clock: Arc<dyn Clock>) -> Rig {
    rig_at(Desks::default(), db, act, options, clock).await
}

async fn rig_at(desks: Desks, db: &Db, act: Act, options: RunnerOptions, clock: Arc<dyn Clock>) -> Rig {
    let (sender, began) = mpsc::unbounded_channel();
    let stopped = Arc::new(AtomicU32::new(0));
    let mut registry = JobRegistry::default();
    let payload = std::marker::PhantomData;
    registry.register::<Handler<Errand>>(Handler {
        act,
        began: sender.clone(),
        stopped: stopped.clone(),
        payload,
    });
    let payload = std::marker::PhantomData;
    registry.register::<Handler<Chore>>(Handler {
        act,
        began: sender,
        stopped: stopped.clone(),
        payload,
    });
    let stop = CancellationToken::new();
    let runner = QueueRunner::start_at(desks, &db.spine, registry, options, clock, stop)
        .await
        .unwrap();
    Rig {
        runner,
        began,
        stopped,
    }
}

impl Rig {
    async fn began(&mut self) -> (JobId, u32, u32) {
        tokio::time::timeout(Duration::from_secs(10), self.began.recv())
            .await
            .expect("no attempt began")
            .unwrap()
    }

    async fn quiet(&mut self, for_long: Duration) {
        let more = tokio::time::timeout(for_long, self.began.recv()).await;
        assert!(more.is_err(), "an attempt too many: {more:?}");
    }

    async fn drain(self) -> DrainReport {
        self.runner.drain(Duration::from_secs(5)).await
    }
}

async fn queue_as<P: JobPayload>(
    pool: &PgPool,
    account: AccountId,
    payload: &P,
    options: JobOptions,
) -> Option<JobId> {
    let mut tx = pool.begin().await.unwrap();
    support::bind(&mut tx, account).await;
    let job = enqueue(&mut tx, account, Cause::outside(), payload, options)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    wake();
    job
}

async fn queue(db: &Db, n: u32) -> JobId {
    queue_as(&db.app, db.alice, &Errand { n }, JobOptions::default())
        .await
        .unwrap()
}

async fn until(db: &Db, job: JobId, state: JobState) -> JobView {
    for _ in 0..400 {
        if let Some(view) = db
            .admin()
            .get(&db.operator(), job)
            .await
            .unwrap()
            .filter(|view| view.state == state)
        {
            return view;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!(
        "{job} did not become {state:?}: {:?}",
        db.admin().get(&db.operator(), job).await.unwrap()
    );
}
