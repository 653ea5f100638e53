//! The jobs that run in this process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::settle::Fence;

#[derive(Debug, Default)]
pub(super) struct Running {
    jobs: Mutex<HashMap<Uuid, Vec<One>>>,
    emptied: Notify,
}

#[derive(Debug)]
struct One {
    fence: Fence,
    since: Instant,
    cancelled: CancellationToken,
    task: AbortHandle,
}

impl Running {
    fn jobs(&self) -> MutexGuard<'_, HashMap<Uuid, Vec<One>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, fence: Fence, cancelled: CancellationToken, task: AbortHandle) {
        // Two attempts of one job can run here at once, when the older one has outlived its time.
        self.jobs().entry(fence.id).or_default().push(One {
            fence,
            since: Instant::now(),
            cancelled,
            task,
        });
    }

    pub(super) fn remove(&self, fence: &Fence) {
        let mut jobs = self.jobs();
        if let Some(attempts) = jobs.get_mut(&fence.id) {
            attempts.retain(|one| one.fence != *fence);
            if attempts.is_empty() {
                jobs.remove(&fence.id);
            }
        }
        if jobs.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.jobs().values().map(Vec::len).sum()
    }

    /// Waits until nothing runs.
    pub(super) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.jobs().is_empty() {
                return;
            }
            let _ = tokio::time::timeout(Duration::from_millis(100), emptied).await;
        }
    }

    /// What runs for at least so long.
    pub(super) fn older_than(&self, age: Duration) -> Vec<Fence> {
        let jobs = self.jobs();
        let old = jobs
            .values()
            .flatten()
            .filter(|one| one.since.elapsed() >= age && !one.cancelled.is_cancelled());
        old.map(|one| one.fence.clone()).collect()
    }

    /// Tells the attempts of these fences to stop.
    pub(super) fn cancel(&self, fence: &Fence) {
        if let Some(one) = self
            .jobs()
            .get(&fence.id)
            .and_then(|all| all.iter().find(|one| one.fence == *fence))
        {
            one.cancelled.cancel();
        }
    }

    pub(super) fn cancel_all(&self) {
        self.jobs()
            .values()
            .flatten()
            .for_each(|one| one.cancelled.cancel());
    }

    /// Ends all tasks where they stand; returns what they were doing.
    pub(super) fn abort_all(&self) -> Vec<Fence> {
        let all: Vec<One> = self.jobs().drain().flat_map(|(_, attempts)| attempts).collect();
        all.iter().for_each(|one| one.task.abort());
        all.into_iter().map(|one| one.fence).collect()
    }
}
