//! The settler of one class: writes down what attempts have to say, whatever has come together meanwhile in one
//! statement. What is said under a fence that does not hold any more is dropped.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Shared;
use crate::backoff::Backoff;
use crate::queue::store::{self, Failure};

/// Verdicts written down in one go at the most.
const BATCH: usize = 300;

/// Which attempt of which job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::queue) struct Fence {
    pub(in crate::queue) queue: Arc<str>,
    pub(in crate::queue) id: Uuid,
    /// `retry_count` as it was fetched.
    pub(in crate::queue) attempt: i32,
    /// `started_on` as it was fetched: an attempt that was given back does not count, so the count alone can repeat.
    pub(in crate::queue) started_on: DateTime<Utc>,
    /// Where the fetch left the job's row: a hint, not a part of the fence.
    pub(in crate::queue) place: store::Place,
}

impl Fence {
    pub(in crate::queue) fn of(job: &store::Fetched) -> Self {
        Self {
            queue: Arc::from(job.name.as_str()),
            id: job.id,
            attempt: job.retry_count,
            started_on: job.started_on,
            place: job.place,
        }
    }
}

/// What an attempt has to say.
#[derive(Debug)]
pub(in crate::queue) enum Verdict {
    Done {
        fence: Fence,
        output: Value,
    },
    Failed {
        fence: Fence,
        output: Value,
        again: bool,
        after: Option<f64>,
    },
    Progress {
        fence: Fence,
        value: Value,
        reply: oneshot::Sender<bool>,
    },
}

pub(super) struct Settler {
    shared: Shared,
    verdicts: mpsc::Receiver<Verdict>,
}

#[derive(Default)]
struct Batch {
    done: Vec<(Fence, Value)>,
    failed: Vec<Failure>,
    progress: Vec<(Fence, Value)>,
    replies: Vec<oneshot::Sender<bool>>,
}

impl Settler {
    pub(super) fn new(shared: Shared) -> (Self, mpsc::Sender<Verdict>) {
        let (sender, verdicts) = mpsc::channel(BATCH * 2);
        (Self { shared, verdicts }, sender)
    }

    /// Until all senders are gone, or `end` while the database is away.
    pub(super) async fn run(mut self, end: CancellationToken) {
        let (mut backoff, mut said) = (Backoff::default(), Vec::with_capacity(BATCH));
        while self.verdicts.recv_many(&mut said, BATCH).await > 0 {
            let mut batch = Batch::of(said.drain(..));
            while let Err(error) = self.settle(&mut batch).await {
                if end.is_cancelled() {
                    return;
                }
                backoff.failed("queue settler", &error, &end).await;
            }
            backoff.succeeded("queue settler");
        }
    }

    /// What could be written down is taken out of the batch, so that it can be settled again after an error.
    async fn settle(&self, batch: &mut Batch) -> Result<(), sqlx::Error> {
        let pool = &self.shared.pool;
        if !batch.progress.is_empty() {
            let running: HashSet<Uuid> = match store::progress(pool, &batch.progress).await {
                Ok(ids) => ids.into_iter().collect(),
                Err(error) if may_pass(&error) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "progress that can't be stored is dropped");
                    HashSet::new()
                }
            };
            for ((fence, _), reply) in batch.progress.drain(..).zip(batch.replies.drain(..)) {
                let _ = reply.send(running.contains(&fence.id));
            }
        }
        if !batch.done.is_empty() {
            match store::complete(pool, &batch.done).await {
                Ok(ids) => {
                    let held: HashSet<Uuid> = ids.into_iter().collect();
                    for (fence, _) in batch.done.drain(..) {
                        count(
                            &fence,
                            if held.contains(&fence.id) {
                                "completed"
                            } else {
                                "lost"
                            },
                        );
                    }
                }
                Err(error) if may_pass(&error) => return Err(error),
                Err(error) => self.settle_one_by_one(batch, &error).await?,
            }
        }
        if !batch.failed.is_empty() {
            match store::fail(pool, &batch.failed).await {
                Ok(outcomes) => {
                    for (failure, (_, outcome)) in batch.failed.drain(..).zip(outcomes) {
                        count(
                            &failure.fence,
                            if outcome == "retry" { "retried" } else { &outcome },
                        );
                    }
                }
                Err(error) if may_pass(&error) => return Err(error),
                Err(error) => self.fail_one_by_one(batch, &error).await?,
            }
        }
        Ok(())
    }

    /// What the database refuses for a reason of its own is left to expiry, and must not keep the others.
    async fn fail_one_by_one(&self, batch: &mut Batch, error: &sqlx::Error) -> Result<(), sqlx::Error> {
        tracing::warn!(%error, "attempts can't be ended together: one by one");
        while let Some(one) = batch.failed.pop() {
            match store::fail(&self.shared.pool, std::slice::from_ref(&one)).await {
                Ok(outcomes) => {
                    let outcome = outcomes.first().map_or("lost", |(_, outcome)| outcome);
                    count(&one.fence, if outcome == "retry" { "retried" } else { outcome });
                }
                Err(error) if may_pass(&error) => {
                    batch.failed.push(one);
                    return Err(error);
                }
                Err(error) => tracing::error!(queue = %one.fence.queue, job = %one.fence.id, %error,
                    "the database refuses to end this attempt: it will expire"),
            }
        }
        Ok(())
    }

    /// One result that PostgreSQL can't store (a NUL in a text) must not keep the others.
    async fn settle_one_by_one(&self, batch: &mut Batch, error: &sqlx::Error) -> Result<(), sqlx::Error> {
        tracing::warn!(%error, "results can't be stored together: one by one");
        while let Some(one) = batch.done.pop() {
            match store::complete(&self.shared.pool, std::slice::from_ref(&one)).await {
                Ok(ids) => count(&one.0, if ids.is_empty() { "lost" } else { "completed" }),
                Err(error) if may_pass(&error) => {
                    batch.done.push(one);
                    return Err(error);
                }
                Err(error) => {
                    let output = json!({ "message": format!("the result can't be stored: {}", crate::access::database_text(&error)) });
                    batch.failed.push(Failure {
                        fence: one.0,
                        output,
                        again: false,
                        after: None,
                    });
                }
            }
        }
        Ok(())
    }
}

impl Batch {
    fn of(said: impl Iterator<Item = Verdict>) -> Self {
        let mut batch = Self::default();
        for verdict in said {
            match verdict {
                Verdict::Done { fence, output } => batch.done.push((fence, output)),
                Verdict::Failed {
                    fence,
                    output,
                    again,
                    after,
                } => {
                    batch.failed.push(Failure {
                        fence,
                        output: without_nul(output),
                        again,
                        after,
                    });
                }
                Verdict::Progress { fence, value, reply } => {
                    batch.progress.push((fence, without_nul(value)));
                    batch.replies.push(reply);
                }
            }
        }
        batch
    }
}

/// PostgreSQL stores no NUL in a text.
fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nul).collect()),
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(name, value)| (name.replace('\0', "\u{fffd}"), without_nul(value)))
                .collect(),
        ),
        value => value,
    }
}

fn count(fence: &Fence, outcome: &str) {
    if outcome == "lost" {
        tracing::warn!(queue = %fence.queue, job = %fence.id, attempt = fence.attempt + 1,
            "this attempt is not the running one any more: its result is dropped");
    }
    metrics::counter!("allod_jobs_total", "queue" => fence.queue.to_string(), "outcome" => outcome.to_owned())
        .increment(1);
}

/// A result is written down again and again while that may help: a statement that is cut off is the server's slowness,
/// since the results themselves are small.
fn may_pass(error: &sqlx::Error) -> bool {
    crate::access::database_is_away(error) || crate::access::database_was_cut_off(error)
}
