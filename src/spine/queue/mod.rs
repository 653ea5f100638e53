//! The queue: durable jobs over pg-boss's own tables, in three classes with reserved concurrency each.
//!
//! Invariant: a job is put in by the commit of what it follows from, and runs at least once; what an attempt has to
//! say counts only while it is the running one (queue, id, retry count and start are the fence). Jobs carry ids and
//! the account, no content.
//! Begin with [`JobHandler`] (what a service writes), then [`enqueue`], then [`QueueRunner`].

mod admin;
mod cron;
mod dead_letters;
mod desk;
mod enqueue;
mod model;
mod registry;
mod runner;
mod store;
mod supervise;
mod wake;

#[cfg(test)]
mod tests;

pub(crate) use admin::erase_account;
pub use admin::{JobFilter, JobPage, JobView, QueueAdmin, QueueCount, RetryOutcome};
pub use cron::{Schedule, schedule_delete, schedule_list, schedule_put};
pub use dead_letters::DeadLetter;
pub(crate) use desk::{Desks, Seated};
pub(crate) use enqueue::enqueue_seated;
pub use enqueue::{enqueue, enqueue_all};
pub use model::{JobContext, JobError, JobHandler, JobOptions, JobState, QueueError, RateLimit, Slot};
pub use registry::JobRegistry;
pub use runner::{Concurrency, DrainReport, QueueRunner, RunnerOptions};
pub(crate) use wake::ring;
pub use wake::wake;
