//! The fetcher of one class: takes as many jobs as there are free slots, and runs each in a task of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::{JobClass, JobId, failpoint};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::settle::{Fence, Verdict};
use super::{RunnerOptions, Shared};
use crate::backoff::Backoff;
use crate::queue::desk::{Desk, Desks, Word};
use crate::queue::model::{Envelope, JobContext, JobError};
use crate::queue::store::{self, Fetched};
use crate::queue::wake;

/// While there is a backlog, slots are gathered for so long before the next fetch, so that it isn't for one job.
const GATHER: Duration = Duration::from_millis(2);
/// From so many slots on, a backlog is fetched in two halves that overlap.
const MANY: usize = 96;

/// When to look for a job of which nobody knows whether it was committed.
const UNSURE: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
];

pub(super) struct Fetcher {
    class: JobClass,
    queues: Vec<String>,
    options: RunnerOptions,
    shared: Shared,
    slots: Arc<Semaphore>,
    verdicts: mpsc::Sender<Verdict>,
}

impl Fetcher {
    pub(super) fn new(
        class: JobClass,
        queues: Vec<String>,
        options: RunnerOptions,
        shared: Shared,
        verdicts: mpsc::Sender<Verdict>,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(options.concurrency.of(class)));
        Self {
            class,
            queues,
            options,
            shared,
            slots,
            verdicts,
        }
    }

    /// Opens a desk for the class's jobs.
    pub(super) fn open(&self, desks: &Desks) -> mpsc::UnboundedReceiver<Word> {
        let (jobs, words) = mpsc::unbounded_channel();
        let (hub, slots) = (self.shared.hub.clone(), self.slots.clone());
        desks.open(&self.queues, &Desk { hub, slots, jobs });
        words
    }

    /// Runs what is handed on by transactions of this process, until it is time to stop and nobody holds a seat.
    pub(super) async fn run_handed(self: Arc<Self>, desks: Desks, mut words: mpsc::UnboundedReceiver<Word>) {
        let mut open = true;
        loop {
            tokio::select! {
                word = words.recv() => match word {
                    Some(Word::Run(job, slot)) => self.spawn(job, slot),
                    Some(Word::Unsure(fence)) => drop(tokio::spawn(give_back(self.shared.clone(), self.class, fence))),
                    None => return,
                },
                () = self.shared.stop.cancelled(), if open => {
                    desks.close(&self.queues);
                    open = false;
                }
            }
        }
    }

    pub(super) async fn run(self: Arc<Self>) {
        let who = format!("queue {}", self.class.as_str());
        let (mut bell, mut backoff) = (wake::listen(self.class), Backoff::default());
        let (mut backlog, mut under_way) = (false, FuturesUnordered::new());
        loop {
            let (fetched, mut slots) = tokio::select! {
                biased;
                Some(ended) = under_way.next() => ended,
                slots = self.free_slots(backlog), if under_way.len() < self.at_once(backlog) => {
                    let Some(slots) = slots else { break };
                    bell.mark_unchanged();
                    under_way.push(self.fetch(slots));
                    continue;
                }
            };
            match fetched {
                Ok(jobs) => {
                    backoff.succeeded(&who);
                    backlog = jobs.len() == slots.num_permits();
                    self.start(jobs, &mut slots);
                }
                // Another runner made a job of the same key active at the same moment: look again.
                Err(sqlx::Error::Database(error)) if error.is_unique_violation() => backlog = true,
                Err(error) => {
                    backlog = false;
                    backoff.failed(&who, &error, &self.shared.stop).await;
                    continue;
                }
            }
            drop(slots);
            if !backlog && under_way.is_empty() {
                tokio::select! {
                    _ = bell.changed() => {}
                    () = tokio::time::sleep(self.options.poll) => {}
                    () = self.shared.stop.cancelled() => {}
                }
            }
        }
        // What was fetched is run.
        while let Some((fetched, mut slots)) = under_way.next().await {
            self.start(fetched.unwrap_or_default(), &mut slots);
        }
    }

    /// How many fetches may be under way together. While there is a backlog of many jobs, the database makes the next
    /// ones active while the last ones are started here; the price is that each fetch is smaller.
    fn at_once(&self, backlog: bool) -> usize {
        let many = self.options.concurrency.of(self.class) >= MANY;
        if backlog && many { 2 } else { 1 }
    }

    async fn fetch(
        &self,
        slots: OwnedSemaphorePermit,
    ) -> (Result<Vec<Fetched>, sqlx::Error>, OwnedSemaphorePermit) {
        let limit = i64::try_from(slots.num_permits()).unwrap_or(i64::MAX);
        let hub = self.shared.hub.number();
        (
            store::fetch(&self.shared.claims, &self.queues, hub, limit).await,
            slots,
        )
    }

    fn start(&self, jobs: Vec<Fetched>, slots: &mut OwnedSemaphorePermit) {
        jobs.into_iter()
            .zip(std::iter::from_fn(|| slots.split(1)))
            .for_each(|(job, slot)| self.spawn(job, slot));
    }

    /// At least one slot, and the others that are free, up to this fetch's share; `None` when it is time to stop.
    async fn free_slots(&self, backlog: bool) -> Option<OwnedSemaphorePermit> {
        let acquire = self.slots.clone().acquire_owned();
        let mut slots = tokio::select! {
            biased;
            () = self.shared.stop.cancelled() => return None,
            slot = acquire => slot.ok()?,
        };
        let all = self.options.concurrency.of(self.class);
        if backlog {
            let half = all.div_ceil(2) - 1;
            let more = self
                .slots
                .clone()
                .acquire_many_owned(u32::try_from(half).unwrap_or(1));
            if let Ok(Ok(more)) = tokio::time::timeout(GATHER, more).await {
                slots.merge(more);
            }
        }
        let share = all.div_ceil(self.at_once(backlog));
        let free = self
            .slots
            .available_permits()
            .min(share.saturating_sub(slots.num_permits()));
        let free = u32::try_from(free).unwrap_or(0);
        if let Ok(more) = self.slots.clone().try_acquire_many_owned(free) {
            slots.merge(more);
        }
        Some(slots)
    }

    fn spawn(&self, job: Fetched, slot: OwnedSemaphorePermit) {
        let fence = Fence::of(&job);
        let (shared, verdicts, cancelled) = (
            self.shared.clone(),
            self.verdicts.clone(),
            CancellationToken::new(),
        );
        // What runs in the background may go through all there is.
        let by_rote = self.class != JobClass::Background;
        let (token, of_task) = (cancelled.clone(), fence.clone());
        // The task waits for its entry, so that it can't be over before it is entered.
        let (entered, entry) = tokio::sync::oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let _ = entry.await;
            let verdict = attempt(&shared, (job, by_rote), of_task.clone(), token, verdicts.clone()).await;
            // The slot is held until the settler has room, else a slow database would pile up results without end.
            let _ = verdicts.send(verdict).await;
            drop(slot);
            shared.running.remove(&of_task);
        });
        self.shared.running.add(fence, cancelled, task.abort_handle());
        let _ = entered.send(());
    }
}

/// Gives a job back whose commit may have been, or may still be on its way.
async fn give_back(shared: Shared, class: JobClass, fence: Fence) {
    for wait in UNSURE {
        tokio::time::sleep(wait).await;
        if let Err(error) = store::give_back(&shared.pool, std::slice::from_ref(&fence)).await {
            tracing::debug!(queue = %fence.queue, job = %fence.id, %error, "a job can't be given back now");
        }
        wake::ring(class);
    }
}

/// One attempt, from envelope to verdict.
async fn attempt(
    shared: &Shared,
    job: (Fetched, bool),
    fence: Fence,
    cancelled: CancellationToken,
    settle: mpsc::Sender<Verdict>,
) -> Verdict {
    failpoint::hit("job active");
    let began = Instant::now();
    let said = run_handler(shared, job, fence.clone(), cancelled, settle).await;
    let took = began.elapsed();
    metrics::histogram!("allod_job_duration_seconds", "queue" => fence.queue.to_string()).record(took);
    match said {
        Ok(output) => Verdict::Done {
            fence,
            output: as_output(output),
        },
        Err(error) => {
            tracing::info!(queue = %fence.queue, job = %fence.id, attempt = fence.attempt + 1, %error, "attempt failed");
            let (reason, again, after) = match error {
                JobError::Retry { reason, after } => (reason, true, after),
                JobError::Fail { reason } => (reason, false, None),
            };
            let output = json!({ "message": reason });
            Verdict::Failed {
                fence,
                output,
                again,
                after: after.map(|after| after.as_secs_f64()),
            }
        }
    }
}

async fn run_handler(
    shared: &Shared,
    (job, by_rote): (Fetched, bool),
    fence: Fence,
    cancelled: CancellationToken,
    settle: mpsc::Sender<Verdict>,
) -> Result<Value, JobError> {
    let Some(handler) = shared.registry.handler(&job.name) else {
        return Err(JobError::retry("no handler for this queue"));
    };
    let envelope = Envelope::open(job.data.as_ref()).map_err(JobError::fail)?;
    let scope = envelope.scope(&job.name);
    let context = JobContext {
        job: JobId(job.id),
        attempt: u32::try_from(job.retry_count).unwrap_or(0) + 1,
        attempts_max: u32::try_from(job.retry_limit).unwrap_or(0) + 1,
        priority: job.priority,
        scope: if by_rote { scope.by_rote() } else { scope },
        cause: envelope.cause(),
        fence,
        cancelled,
        settle,
    };
    let limit = Duration::from_secs(u64::try_from(job.expire_seconds).unwrap_or(1).max(1));
    let run = crate::panics::caught(handler.run(&context, envelope.payload));
    match tokio::time::timeout(limit, run).await {
        Ok(Ok(said)) => said,
        Ok(Err(panic)) => Err(JobError::retry(format!("the handler panicked: {panic}"))),
        Err(_) => {
            context.cancelled.cancel();
            Err(JobError::retry(format!(
                "the job took longer than its {} s",
                limit.as_secs()
            )))
        }
    }
}

/// pg-boss keeps objects: anything else goes under "value".
fn as_output(output: Value) -> Value {
    match output {
        Value::Null | Value::Object(_) => output,
        value => json!({ "value": value }),
    }
}
