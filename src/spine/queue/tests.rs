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

use super::*;
use crate::access::{Cause, Principal, Scope};

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
    let (sender, began) = mpsc::unbounded_channel();
    let stopped = Arc::new(AtomicU32::new(0));
    let mut registry = JobRegistry::default();
    let payload = std::marker::PhantomData;
    registry.register::<Handler<Errand>>(Handler { act, began: sender.clone(), stopped: stopped.clone(), payload });
    let payload = std::marker::PhantomData;
    registry.register::<Handler<Chore>>(Handler { act, began: sender, stopped: stopped.clone(), payload });
    let runner = QueueRunner::start(&db.spine, registry, options, clock, CancellationToken::new()).await.unwrap();
    Rig { runner, began, stopped }
}

impl Rig {
    async fn began(&mut self) -> (JobId, u32, u32) {
        tokio::time::timeout(Duration::from_secs(10), self.began.recv()).await.expect("no attempt began").unwrap()
    }

    async fn quiet(&mut self, for_long: Duration) {
        let more = tokio::time::timeout(for_long, self.began.recv()).await;
        assert!(more.is_err(), "an attempt too many: {more:?}");
    }

    async fn drain(self) -> DrainReport {
        self.runner.drain(Duration::from_secs(5)).await
    }
}

async fn queue_as<P: JobPayload>(pool: &PgPool, account: AccountId, payload: &P, options: JobOptions) -> Option<JobId> {
    let mut tx = pool.begin().await.unwrap();
    support::bind(&mut tx, account).await;
    let job = enqueue(&mut tx, account, Cause::outside(), payload, options).await.unwrap();
    tx.commit().await.unwrap();
    wake();
    job
}

async fn queue(db: &Db, n: u32) -> JobId {
    queue_as(&db.app, db.alice, &Errand { n }, JobOptions::default()).await.unwrap()
}

async fn until(db: &Db, job: JobId, state: JobState) -> JobView {
    for _ in 0..400 {
        if let Some(view) = db.admin().get(&db.operator(), job).await.unwrap().filter(|view| view.state == state) {
            return view;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{job} did not become {state:?}: {:?}", db.admin().get(&db.operator(), job).await.unwrap());
}

#[tokio::test]
async fn a_job_runs_once_with_its_commit_and_shows_its_result() {
    let db = Db::new().await;
    let mut rig = rig(&db, Act::Succeed).await;
    let job = queue(&db, 7).await;
    assert_eq!(rig.began().await, (job, 1, 7));
    let view = until(&db, job, JobState::Completed).await;
    assert_eq!((view.output, view.attempts, view.account), (Some(json!({"n": 7})), 1, db.alice));
    assert_eq!(view.payload, json!({"n": 7}));
    rig.quiet(Duration::from_millis(700)).await;
    assert_eq!(rig.drain().await.given_back, 0);
}

#[tokio::test]
async fn a_job_of_a_transaction_that_is_rolled_back_never_was() {
    let db = Db::new().await;
    let mut rig = rig(&db, Act::Succeed).await;
    let mut tx = db.app.begin().await.unwrap();
    support::bind(&mut tx, db.alice).await;
    let job = enqueue(&mut tx, db.alice, Cause::outside(), &Errand { n: 1 }, JobOptions::default()).await.unwrap();
    tx.rollback().await.unwrap();
    wake();
    rig.quiet(Duration::from_millis(700)).await;
    assert!(db.admin().get(&db.operator(), job.unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn mallory_can_neither_queue_for_alice_nor_see_or_touch_her_jobs() {
    let db = Db::new().await;
    let mut tx = db.app.begin().await.unwrap();
    support::bind(&mut tx, db.mallory).await;
    let theft = enqueue(&mut tx, db.alice, Cause::outside(), &Errand { n: 1 }, JobOptions::default()).await;
    assert!(matches!(theft, Err(QueueError::Database(_))), "{theft:?}");
    drop(tx);
    let mut unbound = db.app.begin().await.unwrap();
    let nobody = enqueue(&mut unbound, db.alice, Cause::outside(), &Errand { n: 1 }, JobOptions::default()).await;
    assert!(nobody.is_err(), "a transaction without an account queued a job");
    drop(unbound);
    for table in ["pgboss.job", "pgboss.job_common", "pgboss.queue", "mq.rate_limit", "mq.instance"] {
        let seen = sqlx::query(&format!("SELECT FROM {table}")).fetch_all(&db.app).await;
        assert!(seen.is_err(), "allod_app reads {table}");
    }
    let job = queue(&db, 1).await;
    let (admin, mallory) = (db.admin(), Scope::new(db.mallory, Principal::Operator));
    assert!(admin.get(&mallory, job).await.unwrap().is_none());
    assert!(!admin.cancel(&mallory, job).await.unwrap());
    assert!(!admin.delete(&mallory, job).await.unwrap());
    assert_eq!(admin.retry(&mallory, job).await.unwrap(), RetryOutcome::NotFound);
    assert!(admin.list(&mallory, &JobFilter { limit: 10, ..JobFilter::default() }).await.unwrap().jobs.is_empty());
    assert!(admin.counts(&mallory).await.unwrap().is_empty());
    let alice = Scope::new(db.alice, Principal::Operator);
    assert!(admin.get(&alice, job).await.unwrap().is_some());
    assert!(admin.delete(&alice, job).await.unwrap());
}

#[tokio::test]
async fn a_handler_that_panics_uses_up_its_tries_and_its_dead_letter_can_be_tried_again() {
    let db = Db::new().await;
    let mut panicking = rig(&db, Act::Panic).await;
    let job = queue_as(&db.app, db.alice, &Chore { n: 1 }, JobOptions::default()).await.unwrap();
    let view = until(&db, job, JobState::Failed).await;
    assert!(view.output.unwrap()["message"].as_str().unwrap().contains("the handler tripped"));
    assert_eq!(panicking.began().await.1, 1);
    let dead = JobFilter { dead_letters: Some(true), limit: 10, ..JobFilter::default() };
    let letters = db.admin().list(&db.operator(), &dead).await.unwrap().jobs;
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].failed_job, letters[0].failed_in.as_deref()), (Some(job), Some("do-chore")));
    assert_eq!(letters[0].account, db.alice);
    panicking.drain().await;

    let mut good = rig(&db, Act::Succeed).await;
    let again = db.admin().retry(&db.operator(), letters[0].id).await.unwrap();
    assert_eq!(again, RetryOutcome::Queued(job));
    assert_eq!(good.began().await, (job, 2, 1));
    until(&db, job, JobState::Completed).await;
    assert!(db.admin().list(&db.operator(), &dead).await.unwrap().jobs.is_empty());
    assert_eq!(db.admin().retry(&db.operator(), letters[0].id).await.unwrap(), RetryOutcome::NotFound);
    assert_eq!(db.admin().retry(&db.operator(), job).await.unwrap(), RetryOutcome::Refused);
}

#[tokio::test]
async fn a_dead_letter_whose_job_is_gone_becomes_a_new_job() {
    let db = Db::new().await;
    let failing = rig(&db, Act::Fail).await;
    let job = queue_as(&db.app, db.alice, &Errand { n: 5 }, JobOptions::default()).await.unwrap();
    until(&db, job, JobState::Failed).await;
    failing.drain().await;
    assert!(db.admin().delete(&db.operator(), job).await.unwrap());
    let dead = JobFilter { dead_letters: Some(true), limit: 10, ..JobFilter::default() };
    let letter = db.admin().list(&db.operator(), &dead).await.unwrap().jobs.remove(0);
    let mut good = rig(&db, Act::Succeed).await;
    let RetryOutcome::Queued(new) = db.admin().retry(&db.operator(), letter.id).await.unwrap() else {
        panic!("not queued");
    };
    assert_eq!(good.began().await, (new, 1, 5));
}

#[tokio::test]
async fn what_may_work_later_is_tried_until_the_tries_are_used_up_and_no_longer() {
    let db = Db::new().await;
    let mut rig = rig(&db, Act::Retry).await;
    let job = queue(&db, 1).await;
    for attempt in 1..=3 {
        assert_eq!(rig.began().await, (job, attempt, 1));
    }
    let view = until(&db, job, JobState::Failed).await;
    assert_eq!((view.attempts, view.attempts_max), (3, 3));
    rig.quiet(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn what_never_works_is_not_tried_again() {
    let db = Db::new().await;
    let mut rig = rig(&db, Act::Fail).await;
    let job = queue(&db, 1).await;
    until(&db, job, JobState::Failed).await;
    assert_eq!(rig.began().await.1, 1);
    rig.quiet(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn the_result_of_an_attempt_that_was_taken_over_is_dropped() {
    let db = Db::new().await;
    let mut rig = rig(&db, Act::Hang).await;
    let job = queue(&db, 1).await;
    rig.began().await;
    // Another process holds the attempt for lost and makes the next one.
    sqlx::query("UPDATE pgboss.job SET retry_count = retry_count + 1, started_on = now() WHERE id = $1")
        .bind(job.0)
        .execute(&db.spine)
        .await
        .unwrap();
    for _ in 0..100 {
        if rig.stopped.load(Ordering::SeqCst) == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(rig.stopped.load(Ordering::SeqCst), 1, "the old attempt was not told");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let view = until(&db, job, JobState::Active).await;
    assert_eq!(view.attempts, 2);
}

#[tokio::test]
async fn jobs_of_a_hub_that_was_killed_run_again_within_seconds_and_those_of_a_living_one_do_not() {
    let db = Db::new().await;
    let mut living = rig(&db, Act::Hang).await;
    let held = queue(&db, 1).await;
    assert_eq!(living.began().await.0, held);
    // A hub that left its row and an active job behind, and no session.
    let dead: i32 = sqlx::query_scalar("INSERT INTO mq.instance DEFAULT VALUES RETURNING number")
        .fetch_one(&db.spine)
        .await
        .unwrap();
    let lost = queue_as(&db.app, db.alice, &Errand { n: 2 }, JobOptions {
        start_after: Some(SystemClock.now() + chrono::Duration::hours(1)),
        ..JobOptions::default()
    });
    let lost = lost.await.unwrap();
    sqlx::query(
        "UPDATE pgboss.job SET state = 'active', started_on = now(),
            output = jsonb_build_object('hub', $2::int, 'attempt', 0) WHERE id = $1",
    )
    .bind(lost.0)
    .bind(dead)
    .execute(&db.spine)
    .await
    .unwrap();
    let mut next = rig(&db, Act::Succeed).await;
    assert_eq!(tokio::time::timeout(Duration::from_secs(4), next.began.recv()).await.ok().flatten(), Some((lost, 2, 2)));
    until(&db, lost, JobState::Completed).await;
    next.quiet(Duration::from_secs(3)).await;
    assert_eq!(until(&db, held, JobState::Active).await.attempts, 1);
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM mq.instance").fetch_one(&db.spine).await.unwrap();
    assert_eq!(rows, 2, "the dead hub is still listed, or a living one is not");
}

#[tokio::test]
async fn a_stopping_hub_gives_back_what_it_cannot_finish_and_the_attempt_does_not_count() {
    let db = Db::new().await;
    let mut stubborn = rig(&db, Act::Deaf).await;
    let job = queue_as(&db.app, db.alice, &Chore { n: 1 }, JobOptions::default()).await.unwrap();
    stubborn.began().await;
    assert_eq!(until(&db, job, JobState::Active).await.attempts, 1);
    assert_eq!(stubborn.runner.drain(Duration::from_millis(100)).await, DrainReport { given_back: 1 });
    until(&db, job, JobState::Retry).await;
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM mq.instance").fetch_one(&db.spine).await.unwrap();
    assert_eq!(rows, 0, "a hub that drained is still listed");
    let mut next = rig(&db, Act::Succeed).await;
    assert_eq!(next.began().await, (job, 1, 1));
}

#[tokio::test]
async fn a_stopping_hub_takes_no_more_jobs_and_waits_for_those_that_run() {
    let db = Db::new().await;
    let mut slow = rig(&db, Act::Nap).await;
    let job = queue(&db, 1).await;
    slow.began().await;
    let (report, late) = tokio::join!(slow.runner.drain(Duration::from_secs(5)), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        queue(&db, 2).await
    });
    assert_eq!(report, DrainReport { given_back: 0 });
    until(&db, job, JobState::Completed).await;
    assert_eq!(until(&db, late, JobState::Created).await.attempts, 0);
}

#[tokio::test]
async fn a_running_job_shows_its_progress_and_stops_when_it_is_cancelled() {
    let db = Db::new().await;
    let mut rig = rig(&db, Act::Progress).await;
    let job = queue(&db, 1).await;
    rig.began().await;
    for _ in 0..100 {
        if db.admin().get(&db.operator(), job).await.unwrap().unwrap().progress.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(db.admin().get(&db.operator(), job).await.unwrap().unwrap().progress, Some(json!(40)));
    assert!(db.admin().cancel(&db.operator(), job).await.unwrap());
    for _ in 0..100 {
        if rig.runner.running() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(rig.runner.running(), 0, "the handler was not told");
    assert_eq!(until(&db, job, JobState::Cancelled).await.attempts, 1);
    assert!(!db.admin().cancel(&db.operator(), job).await.unwrap(), "what is over can't be cancelled");
}

#[tokio::test]
async fn one_job_of_a_singleton_key_waits_or_runs_at_a_time_for_each_account() {
    let db = Db::new().await;
    let keyed = || JobOptions { singleton_key: Some("sync".to_owned()), ..JobOptions::default() };
    let first = queue_as(&db.app, db.alice, &Errand { n: 1 }, keyed()).await.unwrap();
    assert_eq!(queue_as(&db.app, db.alice, &Errand { n: 2 }, keyed()).await, None);
    assert!(queue_as(&db.app, db.mallory, &Errand { n: 3 }, keyed()).await.is_some());
    let _rig = rig(&db, Act::Succeed).await;
    until(&db, first, JobState::Completed).await;
    assert!(queue_as(&db.app, db.alice, &Errand { n: 4 }, keyed()).await.is_some());
}

#[tokio::test]
async fn a_throttled_slot_takes_one_job_and_a_debounced_one_keeps_the_last_word() {
    let db = Db::new().await;
    let hour = Duration::from_secs(3600);
    let slot = |slot, key: &str| JobOptions { slot: Some(slot), singleton_key: Some(key.to_owned()), ..JobOptions::default() };
    assert!(queue_as(&db.app, db.alice, &Errand { n: 1 }, slot(Slot::Throttle(hour), "a")).await.is_some());
    assert!(queue_as(&db.app, db.alice, &Errand { n: 2 }, slot(Slot::Throttle(hour), "a")).await.is_none());
    assert!(queue_as(&db.app, db.mallory, &Errand { n: 2 }, slot(Slot::Throttle(hour), "a")).await.is_some());
    assert!(queue_as(&db.app, db.alice, &Errand { n: 3 }, slot(Slot::Debounce(hour), "b")).await.is_some());
    let next = queue_as(&db.app, db.alice, &Errand { n: 4 }, slot(Slot::Debounce(hour), "b")).await.unwrap();
    assert!(queue_as(&db.app, db.alice, &Errand { n: 5 }, slot(Slot::Debounce(hour), "b")).await.is_none());
    let view = db.admin().get(&db.operator(), next).await.unwrap().unwrap();
    assert_eq!(view.start_after.timestamp() % 3600, 0);
    assert!(view.start_after > SystemClock.now());
}

#[tokio::test]
async fn no_more_jobs_of_a_key_start_in_a_period_than_its_limit_allows() {
    let db = Db::new().await;
    let limited = || JobOptions {
        rate_limit: Some(RateLimit { key: "sms".to_owned(), count: 2, period: Duration::from_secs(600) }),
        ..JobOptions::default()
    };
    let mut starts = Vec::new();
    for n in 0..5 {
        let job = queue_as(&db.app, db.alice, &Errand { n }, limited()).await.unwrap();
        starts.push(db.admin().get(&db.operator(), job).await.unwrap().unwrap().start_after);
    }
    for pair in starts.windows(3) {
        assert!(pair[2] - pair[0] >= chrono::Duration::seconds(600), "{starts:?}");
    }
    assert!(starts[1] - starts[0] < chrono::Duration::seconds(60), "the first two may start at once");
    let other = queue_as(&db.app, db.mallory, &Errand { n: 9 }, limited()).await.unwrap();
    let other = db.admin().get(&db.operator(), other).await.unwrap().unwrap();
    assert!(other.start_after <= SystemClock.now() + chrono::Duration::seconds(5), "limits are an account's own");
}

#[tokio::test]
async fn the_most_urgent_job_starts_first_and_one_that_is_not_due_waits() {
    let db = Db::new().await;
    queue_as(&db.app, db.alice, &Errand { n: 1 }, JobOptions::default()).await;
    queue_as(&db.app, db.alice, &Errand { n: 2 }, JobOptions { priority: 5, ..JobOptions::default() }).await;
    let later = Some(SystemClock.now() + chrono::Duration::hours(1));
    let delayed = JobOptions { priority: 9, start_after: later, ..JobOptions::default() };
    queue_as(&db.app, db.alice, &Errand { n: 3 }, delayed).await;
    let concurrency = Concurrency { interactive: 1, ..Concurrency::default() };
    let one = RunnerOptions { concurrency, ..RunnerOptions::default() };
    let mut rig = rig_with(&db, Act::Succeed, one, Arc::new(SystemClock)).await;
    assert_eq!((rig.began().await.2, rig.began().await.2), (2, 1));
    rig.quiet(Duration::from_millis(700)).await;
}

#[tokio::test]
async fn a_class_that_is_full_does_not_stand_before_another() {
    let db = Db::new().await;
    let concurrency = Concurrency { background: 1, ..Concurrency::default() };
    let options = RunnerOptions { concurrency, ..RunnerOptions::default() };
    let mut rig = rig_with(&db, Act::Hang, options, Arc::new(SystemClock)).await;
    for n in 0..3 {
        queue_as(&db.app, db.alice, &Chore { n }, JobOptions::default()).await;
    }
    rig.began().await;
    let text = queue(&db, 42).await;
    assert_eq!(rig.began().await, (text, 1, 42));
    assert_eq!(rig.runner.running(), 2);
}

#[tokio::test]
async fn a_job_that_takes_longer_than_it_may_is_tried_again_whether_its_runner_lives_or_not() {
    let db = Db::new().await;
    let short = || JobOptions {
        retry: Some(RetryPolicy { expire_in: Duration::from_secs(1), ..QUICK }),
        ..JobOptions::default()
    };
    let mut rig = rig(&db, Act::Hang).await;
    let job = queue_as(&db.app, db.alice, &Errand { n: 1 }, short()).await.unwrap();
    assert_eq!((rig.began().await.1, rig.began().await.1), (1, 2));
    // A foreign worker that took a job and died: no runner of ours knows of it.
    let foreign = queue_as(&db.app, db.alice, &Errand { n: 2 }, JobOptions {
        start_after: Some(SystemClock.now() + chrono::Duration::hours(1)),
        ..short()
    });
    let foreign = foreign.await.unwrap();
    sqlx::query("UPDATE pgboss.job SET state = 'active', started_on = now() - interval '1 minute' WHERE id = $1")
        .bind(foreign.0)
        .execute(&db.spine)
        .await
        .unwrap();
    loop {
        let (began, attempt, _) = rig.began().await;
        if began == foreign {
            assert_eq!(attempt, 2);
            break;
        }
        assert_eq!(began, job);
    }
}

#[tokio::test]
async fn a_queue_without_a_handler_is_left_alone() {
    let db = Db::new().await;
    let _rig = rig(&db, Act::Succeed).await;
    sqlx::query("SELECT mq.queue_create('of-someone-else', 2, 1, 1, 60)").execute(&db.spine).await.unwrap();
    let id: uuid::Uuid = sqlx::query_scalar("INSERT INTO pgboss.job (name) VALUES ('of-someone-else') RETURNING id")
        .fetch_one(&db.spine)
        .await
        .unwrap();
    wake();
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(until(&db, JobId(id), JobState::Created).await.attempts, 0);
}

#[tokio::test]
async fn a_result_that_cannot_be_stored_fails_its_own_job_and_no_other() {
    let db = Db::new().await;
    let _rig = rig(&db, Act::BadOutput).await;
    let job = queue(&db, 1).await;
    let view = until(&db, job, JobState::Failed).await;
    assert!(view.output.unwrap()["message"].as_str().unwrap().contains("can't be stored"));
}

#[tokio::test]
async fn a_payload_of_another_shape_fails_with_the_reason() {
    let db = Db::new().await;
    let _rig = rig(&db, Act::Succeed).await;
    let id: uuid::Uuid = sqlx::query_scalar(
        r#"INSERT INTO pgboss.job (name, data, dead_letter) VALUES ('run-errand', '{"payload": {"m": 1}}', 'run-errand-dead') RETURNING id"#,
    )
    .fetch_one(&db.spine)
    .await
    .unwrap();
    wake();
    let view = until(&db, JobId(id), JobState::Failed).await;
    assert!(view.output.unwrap()["message"].as_str().unwrap().contains("missing field `n`"));
}

#[tokio::test]
async fn the_queue_goes_on_after_the_database_threw_everybody_out() {
    let db = Db::new().await;
    let mut rig = rig(&db, Act::Succeed).await;
    let before = queue(&db, 1).await;
    until(&db, before, JobState::Completed).await;
    rig.began().await;
    db.throw_everybody_out().await;
    let after = db.retrying(|| async {
        let mut tx = db.app.begin().await.ok()?;
        sqlx::query("SELECT set_config('allod.account', $1, true)").bind(db.alice.to_string()).execute(&mut *tx).await.ok()?;
        let job = enqueue(&mut tx, db.alice, Cause::outside(), &Errand { n: 2 }, JobOptions::default()).await.ok()?;
        tx.commit().await.ok()?;
        job
    });
    let after = after.await;
    assert_eq!(rig.began().await, (after, 1, 2));
    db.retrying(|| async { db.admin().counts(&db.operator()).await.ok() }).await;
    until(&db, after, JobState::Completed).await;
    // It has its lock again: another hub finds nobody to bury.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let silent: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM mq.instance i WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_locks l
            WHERE l.locktype = 'advisory' AND l.classid = 1634495599 AND l.objid = i.number::oid)",
    )
    .fetch_one(&db.spine)
    .await
    .unwrap();
    assert_eq!(silent, 0);
}

#[tokio::test]
async fn a_schedule_fires_each_occurrence_once_in_its_own_time_zone() {
    let db = Db::new().await;
    // 08:59:58 in Berlin, in winter.
    let clock = Arc::new(ManualClock::at("2026-01-15T07:59:58Z".parse().unwrap()));
    let mut conn = db.spine.acquire().await.unwrap();
    let when = ("morning", "0 9 * * *", "Europe/Berlin");
    let errand = Errand { n: 9 };
    schedule_put(&mut conn, db.alice, when, &errand, &JobOptions::default()).await.unwrap();
    assert_eq!(schedule_list(&mut conn, db.alice).await.unwrap()[0].key, "morning");
    assert!(schedule_list(&mut conn, db.mallory).await.unwrap().is_empty());
    let mut rig = rig_with(&db, Act::Succeed, RunnerOptions::default(), clock.clone()).await;
    let mut second = rig_with(&db, Act::Succeed, RunnerOptions::default(), clock.clone()).await;
    rig.quiet(Duration::from_millis(1500)).await;
    clock.advance(chrono::Duration::seconds(3));
    let (job, attempt, n) = tokio::select! { one = rig.began() => one, two = second.began() => two };
    assert_eq!((attempt, n), (1, 9));
    assert_eq!(until(&db, job, JobState::Completed).await.account, db.alice);
    tokio::join!(rig.quiet(Duration::from_secs(3)), second.quiet(Duration::from_secs(3)));
    assert!(schedule_delete::<Errand>(&mut conn, db.alice, "morning").await.unwrap());
    assert!(!schedule_delete::<Errand>(&mut conn, db.alice, "morning").await.unwrap());
    clock.advance(chrono::Duration::days(1));
    rig.quiet(Duration::from_secs(2)).await;
    let bad = schedule_put(&mut conn, db.alice, ("x", "0 9 * *", "UTC"), &errand, &JobOptions::default()).await;
    assert!(matches!(bad, Err(QueueError::Schedule(_))));
}

#[tokio::test]
async fn old_jobs_are_pruned_and_an_erased_account_leaves_none() {
    let db = Db::new().await;
    let old = queue(&db, 1).await;
    let kept = queue_as(&db.app, db.mallory, &Errand { n: 2 }, JobOptions::default()).await.unwrap();
    sqlx::query("UPDATE pgboss.job SET state = 'completed', completed_on = now() - interval '8 days' WHERE id = $1")
        .bind(old.0)
        .execute(&db.spine)
        .await
        .unwrap();
    assert_eq!(store::prune(&db.spine).await.unwrap(), 1);
    let another = queue(&db, 3).await;
    let mut conn = db.spine.acquire().await.unwrap();
    assert_eq!(erase_account(&mut conn, db.alice).await.unwrap(), 1);
    assert!(db.admin().get(&db.operator(), another).await.unwrap().is_none());
    assert!(db.admin().get(&db.operator(), kept).await.unwrap().is_some());
}

#[tokio::test]
async fn lists_go_page_by_page_newest_first() {
    let db = Db::new().await;
    for n in 0..5 {
        queue(&db, n).await;
    }
    let mut filter = JobFilter { limit: 2, queue: Some("run-errand".to_owned()), ..JobFilter::default() };
    let mut seen = Vec::new();
    loop {
        let page = db.admin().list(&db.operator(), &filter).await.unwrap();
        seen.extend(page.jobs.iter().map(|job| job.payload["n"].as_u64().unwrap()));
        filter.after = page.next;
        if filter.after.is_none() {
            break;
        }
    }
    assert_eq!(seen, [4, 3, 2, 1, 0]);
    filter.after = Some("nonsense".to_owned());
    assert!(matches!(db.admin().list(&db.operator(), &filter).await, Err(QueueError::Options(_))));
    let counts = db.admin().counts(&db.operator()).await.unwrap();
    let expected = QueueCount { queue: "run-errand".to_owned(), state: JobState::Created, jobs: 5 };
    assert_eq!(counts, [expected]);
}
