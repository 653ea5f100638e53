//! Desks: where a transaction of this process hands a job on to the runner with its commit, if a slot is free.
//!
//! Such a job is put in as active, this hub's, and runs as soon as the commit is there: nobody looks for it. What can't
//! be handed on goes the ordinary way.
//! Invariant: a seat is a slot of the runner, held until the outcome of the commit is known. A job whose commit may or
//! may not have been is given back if it is there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use contracts::JobId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::runner::Hub;
use super::runner::settle::Fence;
use super::store::Fetched;

/// The desks of the runner that works beside, by queue.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desks(Arc<Mutex<HashMap<String, Desk>>>);

/// Where jobs of some queues are taken.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    pub(super) hub: Hub,
    pub(super) slots: Arc<Semaphore>,
    pub(super) jobs: mpsc::UnboundedSender<Word>,
}

/// What comes over a desk.
#[derive(Debug)]
pub(super) enum Word {
    /// Is active, and to be run in this slot.
    Run(Fetched, OwnedSemaphorePermit),
    /// May be active: nobody knows whether its commit was.
    Unsure(Fence),
}

/// A slot for one job.
#[derive(Debug)]
pub(crate) struct Seat {
    desk: Desk,
    slot: OwnedSemaphorePermit,
}

/// A job that was put in as active by a transaction that is still open. Dropped: that was rolled back.
#[derive(Debug)]
pub(crate) struct Seated {
    seat: Seat,
    job: Fetched,
}

/// A job whose transaction is being committed.
#[derive(Debug)]
pub(crate) struct Committing(Option<Seated>);

impl Desks {
    pub(super) fn open(&self, queues: &[String], desk: &Desk) {
        let mut desks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        desks.extend(queues.iter().map(|queue| (queue.clone(), desk.clone())));
    }

    pub(super) fn close(&self, queues: &[String]) {
        let mut desks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        desks.retain(|queue, _| !queues.contains(queue));
    }

    /// A free slot for a job of this queue. Who waits for one already comes first.
    pub(crate) fn seat(&self, queue: &str) -> Option<Seat> {
        let desks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let desk = desks.get(queue)?.clone();
        let slot = desk.slots.clone().try_acquire_owned().ok()?;
        Some(Seat { desk, slot })
    }
}

impl Seat {
    /// The number that the hub's active jobs bear.
    pub(super) fn hub(&self) -> i32 {
        self.desk.hub.number()
    }

    pub(super) fn take(self, job: Fetched) -> Seated {
        Seated { seat: self, job }
    }
}

impl Seated {
    pub(crate) fn id(&self) -> JobId {
        JobId(self.job.id)
    }

    /// From here on nobody knows, until [`Committing::done`].
    pub(crate) fn committing(self) -> Committing {
        Committing(Some(self))
    }
}

impl Committing {
    /// The commit is there: the job runs.
    pub(crate) fn done(mut self) {
        if let Some(Seated { seat, job }) = self.0.take() {
            // The runner takes what comes until the last seat is gone.
            let _ = seat.desk.jobs.send(Word::Run(job, seat.slot));
        }
    }
}

impl Drop for Committing {
    fn drop(&mut self) {
        if let Some(Seated { seat, job }) = self.0.take() {
            let _ = seat.desk.jobs.send(Word::Unsure(Fence::of(&job)));
        }
    }
}
