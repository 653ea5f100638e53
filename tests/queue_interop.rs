//! The queue and the real npm pg-boss on one database, in both directions. Needs Node packages
//! (`npm install` in tests/pgboss) and a cluster (`ALLOD_TEST_POSTGRES`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use contracts::{AccountId, Clock, JobClass, JobId, JobPayload, RetryPolicy, SystemClock};
use serde_json::{Value, json};
use spine::Cause;
use spine::queue::{
    Concurrency, JobContext, JobError, JobHandler, JobOptions, JobRegistry, QueueRunner, RunnerOptions,
    enqueue,
};
use sqlx::Row;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

mod schema;
mod support;
use support::{Boss, Db};

/// What both sides queue. From 900 on, it fails.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Errand {
    n: u32,
}

impl JobPayload for Errand {
    const QUEUE: &'static str = "run-errand";
    const CLASS: JobClass = JobClass::Interactive;
    const RETRY: RetryPolicy = RetryPolicy {
        limit: 0,
        delay: Duration::from_secs(1),
        delay_max: Duration::from_secs(1),
        expire_in: Duration::from_secs(30),
    };
}

#[derive(Clone)]
struct Run {
    began: mpsc::UnboundedSender<(u32, u32)>,
    at_once: Arc<AtomicU32>,
    most_at_once: Arc<AtomicU32>,
}

#[async_trait]
impl JobHandler for Run {
    type Payload = Errand;

    async fn run(&self, job: &JobContext, payload: Errand) -> Result<Value, JobError> {
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        let _ = self.began.send((payload.n, job.attempt));
        tokio::time::sleep(Duration::from_millis(30)).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        if payload.n >= 900 {
            return Err(JobError::retry("rust says no"));
        }
        Ok(json!({ "done": payload.n, "for": job.account() }))
    }
}

struct Hub {
    _runner: QueueRunner,
    began: mpsc::UnboundedReceiver<(u32, u32)>,
    most_at_once: Arc<AtomicU32>,
}

impl Hub {
    async fn start(db: &Db, interactive: u32) -> Self {
        let (sender, began) = mpsc::unbounded_channel();
        let handler = Run {
            began: sender,
            at_once: Arc::default(),
            most_at_once: Arc::default(),
        };
        let most_at_once = handler.most_at_once.clone();
        let mut registry = JobRegistry::default();
        registry.register(handler);
        let concurrency = Concurrency {
            interactive,
            ..Concurrency::default()
        };
        let options = RunnerOptions {
            concurrency,
            ..RunnerOptions::default()
        };
        let stop = CancellationToken::new();
        let runner = QueueRunner::start(&db.spine, registry, options, Arc::new(SystemClock), stop)
            .await
            .unwrap();
        Self {
            _runner: runner,
            began,
            most_at_once,
        }
    }

    async fn began(&mut self) -> (u32, u32) {
        tokio::time::timeout(Duration::from_secs(20), self.began.recv())
            .await
            .expect("nothing began")
            .unwrap()
    }
}

async fn queue(db: &Db, n: u32, options: JobOptions) -> Option<JobId> {
    let mut tx = db.app.begin().await.unwrap();
    let account = db.alice.to_string();
    sqlx::query("SELECT set_config('allod.account', $1, true)")
        .bind(account)
        .execute(&mut *tx)
        .await
        .unwrap();
    let job = enqueue(&mut tx, db.alice, Cause::outside(), &Errand { n }, options)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    job
}

async fn until(boss: &mut Boss, queue: &str, id: &Value, state: &str) -> Value {
    for _ in 0..200 {
        let job = boss.call("getJobById", json!([queue, id])).await;
        if job["state"] == state {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!(
        "{id} did not become {state}: {}",
        boss.call("getJobById", json!([queue, id])).await
    );
}

fn order(account: AccountId, n: u32) -> Value {
    json!({ "account": account, "payload": { "n": n } })
}

#[tokio::test]
async fn a_job_that_node_sends_runs_in_rust_and_node_sees_its_result() {
    let db = Db::new().await;
    let mut hub = Hub::start(&db, 8).await;
    let mut boss = Boss::connected(&db).await;
    let id = boss.call("send", json!(["run-errand", order(db.alice, 7)])).await;
    assert_eq!(hub.began().await, (7, 1));
    let job = until(&mut boss, "run-errand", &id, "completed").await;
    assert_eq!(job["output"], json!({ "done": 7, "for": db.alice }));
    boss.stop().await;
}

#[tokio::test]
async fn a_job_that_rust_queues_is_fetched_and_completed_by_node_and_rust_sees_its_result() {
    let db = Db::new().await;
    let job = queue(&db, 3, JobOptions::default()).await.unwrap();
    let mut boss = Boss::connected(&db).await;
    boss.call("workEcho", json!(["run-errand"])).await;
    let row = db.until(job, "completed").await;
    assert_eq!(row.get::<Value, _>("output"), json!({ "echoed": { "n": 3 } }));
    boss.stop().await;
}

#[tokio::test]
async fn a_job_that_fails_in_rust_is_retried_then_dead_and_node_reads_the_dead_letter() {
    let db = Db::new().await;
    let mut hub = Hub::start(&db, 8).await;
    let mut boss = Boss::connected(&db).await;
    let id = boss
        .call(
            "send",
            json!(["run-errand", order(db.alice, 901), { "retryLimit": 1, "retryDelay": 1 }]),
        )
        .await;
    assert_eq!(hub.began().await, (901, 1));
    let waiting = until(&mut boss, "run-errand", &id, "retry").await;
    assert_eq!(waiting["output"], json!({ "message": "rust says no" }));
    assert_eq!(hub.began().await, (901, 2));
    let failed = until(&mut boss, "run-errand", &id, "failed").await;
    assert_eq!(failed["retryCount"], 1);
    let letters = boss
        .call("fetch", json!(["run-errand-dead", { "includeMetadata": true }]))
        .await;
    assert_eq!(letters[0]["data"], order(db.alice, 901));
    assert_eq!(
        (&letters[0]["sourceName"], &letters[0]["sourceId"]),
        (&json!("run-errand"), &id)
    );
    boss.stop().await;
}

#[tokio::test]
async fn a_job_that_fails_in_node_is_dead_for_rust_too() {
    let db = Db::new().await;
    let job = queue(&db, 5, JobOptions::default()).await.unwrap();
    let mut boss = Boss::connected(&db).await;
    boss.call("workFail", json!(["run-errand"])).await;
    let row = db.until(job, "failed").await;
    assert_eq!(row.get::<Value, _>("output")["message"], "node says no");
    let letter = sqlx::query("SELECT name, source_id, data FROM pgboss.job WHERE source_id = $1");
    let letter = letter.bind(job.0).fetch_one(&db.spine).await.unwrap();
    assert_eq!(letter.get::<String, _>("name"), "run-errand-dead");
    assert_eq!(letter.get::<Value, _>("data")["payload"], json!({ "n": 5 }));
    boss.stop().await;
}

#[tokio::test]
async fn a_retry_that_node_asks_for_runs_in_rust() {
    let db = Db::new().await;
    let mut hub = Hub::start(&db, 8).await;
    let mut boss = Boss::connected(&db).await;
    let id = boss
        .call(
            "send",
            json!(["run-errand", order(db.alice, 902), { "retryLimit": 0 }]),
        )
        .await;
    assert_eq!(hub.began().await, (902, 1));
    until(&mut boss, "run-errand", &id, "failed").await;
    boss.call("retry", json!(["run-errand", id])).await;
    assert_eq!(hub.began().await, (902, 2));
    boss.stop().await;
}

#[tokio::test]
async fn the_most_urgent_job_comes_first_on_either_side() {
    let db = Db::new().await;
    let mut boss = Boss::connected(&db).await;
    let urgent = |priority| JobOptions {
        priority,
        ..JobOptions::default()
    };
    queue(&db, 1, urgent(1)).await;
    queue(&db, 9, urgent(9)).await;
    for n in [9, 1] {
        let fetched = boss.call("fetch", json!(["run-errand"])).await;
        assert_eq!(fetched[0]["data"]["payload"]["n"], n);
    }
    boss.call(
        "send",
        json!(["run-errand", order(db.alice, 2), { "priority": 2 }]),
    )
    .await;
    boss.call(
        "send",
        json!(["run-errand", order(db.alice, 8), { "priority": 8 }]),
    )
    .await;
    let mut hub = Hub::start(&db, 1).await;
    assert_eq!((hub.began().await.0, hub.began().await.0), (8, 2));
    boss.stop().await;
}

#[tokio::test]
async fn a_key_that_node_has_taken_swallows_a_job_of_rust_and_the_other_way_round() {
    let db = Db::new().await;
    let mut boss = Boss::connected(&db).await;
    boss.call("createQueue", json!(["run-errand", { "policy": "exclusive" }]))
        .await;
    let keyed = |key: &str| JobOptions {
        singleton_key: Some(key.to_owned()),
        ..JobOptions::default()
    };
    let of_node = |key: &str| json!(["run-errand", order(db.alice, 1), { "singletonKey": format!("{}:{key}", db.alice) }]);
    assert!(boss.call("send", of_node("a")).await.is_string());
    assert_eq!(queue(&db, 1, keyed("a")).await, None);
    assert!(queue(&db, 1, keyed("b")).await.is_some());
    assert_eq!(boss.call("send", of_node("b")).await, Value::Null);
    boss.stop().await;
}

#[tokio::test]
async fn a_queue_that_node_made_for_one_active_job_at_a_time_stays_so_in_rust() {
    let db = Db::new().await;
    let mut boss = Boss::connected(&db).await;
    boss.call("createQueue", json!(["run-errand", { "policy": "singleton" }]))
        .await;
    for n in 0..4 {
        boss.call("send", json!(["run-errand", order(db.alice, n)])).await;
    }
    let mut hub = Hub::start(&db, 8).await;
    for _ in 0..4 {
        hub.began().await;
    }
    assert_eq!(hub.most_at_once.load(Ordering::SeqCst), 1);
    boss.stop().await;
}

#[tokio::test]
async fn a_schedule_that_node_made_fires_once_without_node() {
    fires_once(json!({ "schedule": false, "supervise": false })).await;
}

#[tokio::test]
async fn a_schedule_fires_once_while_both_timekeepers_run() {
    fires_once(json!({ "schedule": true })).await;
}

async fn fires_once(options: Value) {
    let db = Db::new().await;
    let mut boss = Boss::start(&db, "allod_spine", options).await;
    boss.call("start", json!([])).await;
    boss.call("createQueue", json!(["run-errand"])).await;
    let at = SystemClock.now() + chrono::Duration::seconds(2);
    let cron = at.format("%-S %-M %-H * * *").to_string();
    boss.call(
        "schedule",
        json!(["run-errand", cron, order(db.alice, 12), { "tz": "UTC", "priority": 3 }]),
    )
    .await;
    let mut hub = Hub::start(&db, 8).await;
    assert_eq!(hub.began().await, (12, 1));
    tokio::time::sleep(Duration::from_secs(4)).await;
    let rows = sqlx::query("SELECT priority, data FROM pgboss.job WHERE name = 'run-errand'");
    let rows = rows.fetch_all(&db.spine).await.unwrap();
    assert_eq!(rows.len(), 1, "the occurrence fired more than once");
    assert_eq!(rows[0].get::<i32, _>("priority"), 3);
    let schedules = boss.call("getSchedules", json!([])).await;
    assert!(schedules[0]["lastJobId"].is_string(), "{schedules}");
    boss.stop().await;
}

#[tokio::test]
async fn a_job_that_node_cancels_is_not_run_and_one_that_it_resumes_is() {
    let db = Db::new().await;
    let mut boss = Boss::connected(&db).await;
    let job = queue(&db, 4, JobOptions::default()).await.unwrap();
    boss.call("cancel", json!(["run-errand", job])).await;
    let mut hub = Hub::start(&db, 8).await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert!(hub.began.try_recv().is_err(), "a cancelled job ran");
    boss.call("resume", json!(["run-errand", job])).await;
    assert_eq!(hub.began().await, (4, 1));
    boss.stop().await;
}
