//! PostgreSQL itself is killed while jobs are fetched, run and completed, and everything that it had only in memory is
//! gone. A fetch commits without waiting for the disk, so it may be forgotten: what that may cost, and what it may not.

mod sending;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{ConnectOptions, Executor, PgConnection};
use tokio::sync::Semaphore;

use super::*;
use crate::database::{Database, DatabaseConfig, HubLock, Role};
use crate::testing::{TempDir, unprivileged};

/// What the jobs of these stories write down: who is about to send for a job, and whether it is known to be sent.
const SENDING: &str =
    "CREATE SCHEMA t; CREATE TABLE t.sending (job uuid PRIMARY KEY, by text NOT NULL, sent bool NOT NULL);
    GRANT USAGE ON SCHEMA t TO allod_spine; GRANT SELECT, INSERT, UPDATE ON t.sending TO allod_spine";
/// Until a commit that waits for the disk takes it along, a commit that doesn't wait stays in memory for so long: longer
/// than a story needs from one to the other, so that a crash does forget it.
const WRITER: &str = "wal_writer_delay = 10s\n";

/// A private server with everything that makes it durable.
struct Machine {
    db: Database,
    alice: AccountId,
    _lock: HubLock,
    _data: TempDir,
}

impl Machine {
    async fn new() -> Self {
        let data = TempDir::new();
        std::fs::write(data.path().join("postgresql.local.conf"), WRITER).unwrap();
        let lock = HubLock::acquire(data.path()).unwrap();
        let db = Database::open(&DatabaseConfig::new(data.path())).await.unwrap();
        let mut owner = db.connect_options(Role::Owner).connect().await.unwrap();
        owner.execute(SENDING).await.unwrap();
        Self {
            db,
            alice: AccountId::new(),
            _lock: lock,
            _data: data,
        }
    }

    /// Kills the server and all its helpers, and waits until it has recovered.
    async fn crash(&self) {
        self.kill().await;
        self.back().await;
    }

    async fn kill(&self) {
        let helpers: Vec<i32> = sqlx::query_scalar("SELECT pid FROM pg_stat_activity")
            .fetch_all(&mut self.connect().await)
            .await
            .unwrap();
        let server = self.pid().unwrap();
        for pid in std::iter::once(server).chain(helpers) {
            // One or the other ends as soon as the server is gone.
            let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
        }
        while self.pid() == Some(server) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn back(&self) {
        let back = async {
            while self.pid().is_none() || !self.db.health().await.ready {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), back)
            .await
            .expect("the server recovers");
    }

    /// Of one's own: what a pool holds may have been killed.
    async fn connect(&self) -> PgConnection {
        let options = self.db.connect_options(Role::Spine);
        options.connect().await.expect("the server is up")
    }

    fn pid(&self) -> Option<i32> {
        self.db.embedded().unwrap().pid()
    }

    async fn queue(&self) -> JobId {
        support::queue_somehow(self.db.app(), self.alice, &Errand { n: 1 })
            .await
            .unwrap()
    }

    /// State, attempts that failed, and what came of it.
    async fn job(&self, job: JobId) -> (String, i32, Option<Value>) {
        sqlx::query_as("SELECT state::text, retry_count, output FROM pgboss.job WHERE id = $1")
            .bind(job.0)
            .fetch_one(&mut self.connect().await)
            .await
            .unwrap()
    }

    async fn until(&self, what: &str, question: &str) {
        for _ in 0..1500 {
            let answer = sqlx::query_scalar(question).fetch_one(self.db.spine()).await;
            if matches!(answer, Ok(true)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let jobs: Vec<(String, i64)> =
            sqlx::query_as("SELECT state::text, count(*) FROM pgboss.job GROUP BY 1")
                .fetch_all(&mut self.connect().await)
                .await
                .unwrap();
        panic!("waited in vain until {what}: {jobs:?}");
    }
}

/// Alone in its process, so that nobody else's commit takes a fetch along to the disk.
fn alone() -> RunnerOptions {
    RunnerOptions {
        supervise: false,
        ..RunnerOptions::default()
    }
}

/// Begins, writes down what it does if it is to, and ends when it may.
struct Gated {
    pool: PgPool,
    writes: bool,
    began: mpsc::UnboundedSender<(JobId, u32)>,
    ends: Arc<[Semaphore; 2]>,
    runs: AtomicU32,
}

#[async_trait]
impl JobHandler for Gated {
    type Payload = Errand;

    async fn run(&self, job: &JobContext, _: Errand) -> Result<Value, JobError> {
        let run = self.runs.fetch_add(1, Ordering::SeqCst);
        if self.writes {
            sqlx::query("INSERT INTO t.sending VALUES ($1, 'the only one', true)")
                .bind(job.job.0)
                .execute(&self.pool)
                .await
                .map_err(JobError::retry)?;
        }
        self.began.send((job.job, job.attempt)).unwrap();
        let end = usize::try_from(run).ok().and_then(|run| self.ends.get(run));
        end.unwrap().acquire().await.unwrap().forget();
        Ok(json!({ "run": run }))
    }
}

struct GatedHub {
    runner: QueueRunner,
    began: mpsc::UnboundedReceiver<(JobId, u32)>,
    /// Lets the first run end, and the second.
    ends: Arc<[Semaphore; 2]>,
}

async fn gated(machine: &Machine, writes: bool) -> GatedHub {
    let (sender, began) = mpsc::unbounded_channel();
    let ends = Arc::new([Semaphore::new(0), Semaphore::new(0)]);
    let mut registry = JobRegistry::default();
    registry.register::<Gated>(Gated {
        pool: machine.db.spine().clone(),
        writes,
        began: sender,
        ends: ends.clone(),
        runs: AtomicU32::new(0),
    });
    let (clock, stop) = (Arc::new(SystemClock), CancellationToken::new());
    let runner = QueueRunner::start(machine.db.spine(), registry, alone(), clock, stop)
        .await
        .unwrap();
    GatedHub { runner, began, ends }
}

impl GatedHub {
    async fn began(&mut self) -> (JobId, u32) {
        tokio::time::timeout(Duration::from_secs(30), self.began.recv())
            .await
            .expect("no attempt began")
            .unwrap()
    }
}

#[tokio::test]
async fn a_fetch_that_a_crash_forgot_is_made_again_and_the_forgotten_attempt_has_no_say() {
    if !unprivileged(
        module_path!(),
        "a_fetch_that_a_crash_forgot_is_made_again_and_the_forgotten_attempt_has_no_say",
    ) {
        return;
    }
    let machine = Machine::new().await;
    let mut hub = gated(&machine, false).await;
    let job = machine.queue().await;
    assert_eq!(hub.began().await, (job, 1));
    machine.crash().await;
    assert_eq!(
        hub.began().await,
        (job, 1),
        "the forgotten fetch does not count as an attempt"
    );
    // What the forgotten attempt says comes first, to the same settler.
    hub.ends[0].add_permits(1);
    while hub.runner.running() > 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    hub.ends[1].add_permits(1);
    machine
        .until(
            "the job is completed",
            "SELECT state = 'completed' FROM pgboss.job",
        )
        .await;
    assert_eq!(
        machine.job(job).await,
        ("completed".to_owned(), 0, Some(json!({ "run": 1 })))
    );
    // What is completed stays so: that commit waited for the disk.
    machine.crash().await;
    assert_eq!(machine.job(job).await.0, "completed");
    assert_eq!(hub.runner.drain(Duration::from_secs(5)).await.given_back, 0);
    assert!(hub.began.recv().await.is_none(), "it ran once more");
    machine.db.stop().await;
}

#[tokio::test]
async fn what_an_attempt_wrote_to_disk_proves_its_fetch_and_is_not_done_twice() {
    if !unprivileged(
        module_path!(),
        "what_an_attempt_wrote_to_disk_proves_its_fetch_and_is_not_done_twice",
    ) {
        return;
    }
    let machine = Machine::new().await;
    let mut hub = gated(&machine, true).await;
    let job = machine.queue().await;
    assert_eq!(hub.began().await, (job, 1));
    machine.crash().await;
    assert_eq!(machine.job(job).await.0, "active", "its fetch was forgotten");
    hub.ends[0].add_permits(1);
    machine
        .until(
            "the job is completed",
            "SELECT state = 'completed' FROM pgboss.job",
        )
        .await;
    assert_eq!(
        machine.job(job).await,
        ("completed".to_owned(), 0, Some(json!({ "run": 0 })))
    );
    hub.runner.drain(Duration::from_secs(5)).await;
    assert!(hub.began.recv().await.is_none(), "it ran once more");
    machine.db.stop().await;
}
