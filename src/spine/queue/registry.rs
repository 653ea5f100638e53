//! Which handler does the jobs of which queue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use contracts::{JobClass, JobPayload, RetryPolicy};
use serde_json::Value;

use super::model::{JobContext, JobError, JobHandler};

/// The handlers of a service, or of the whole hub.
#[derive(Default, Clone)]
pub struct JobRegistry {
    queues: BTreeMap<&'static str, Entry>,
    doubled: BTreeSet<&'static str>,
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) class: JobClass,
    pub(super) retry: RetryPolicy,
    pub(super) handler: Arc<dyn AnyHandler>,
}

impl std::fmt::Debug for JobRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.queues.keys()).finish()
    }
}

impl JobRegistry {
    /// Names the handler of a payload type's queue. A second one for the same queue is refused when the hub starts.
    pub fn register<H: JobHandler>(&mut self, handler: H) {
        let entry = Entry {
            class: H::Payload::CLASS,
            retry: H::Payload::RETRY,
            handler: Arc::new(Typed(handler)),
        };
        self.insert(H::Payload::QUEUE, entry);
    }

    /// Takes over the handlers of another registry.
    pub fn extend(&mut self, other: Self) {
        self.doubled.extend(other.doubled);
        for (queue, entry) in other.queues {
            self.insert(queue, entry);
        }
    }

    fn insert(&mut self, queue: &'static str, entry: Entry) {
        if self.queues.contains_key(queue) {
            self.doubled.insert(queue);
        } else {
            self.queues.insert(queue, entry);
        }
    }

    /// The queues that two handlers want.
    pub(super) fn doubled(&self) -> impl Iterator<Item = &'static str> {
        self.doubled.iter().copied()
    }

    /// The queues of a class.
    pub fn queues(&self, class: JobClass) -> Vec<String> {
        let of_class = self.queues.iter().filter(|(_, entry)| entry.class == class);
        of_class.map(|(queue, _)| (*queue).to_owned()).collect()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&'static str, &Entry)> {
        self.queues.iter().map(|(queue, entry)| (*queue, entry))
    }

    pub(super) fn handler(&self, queue: &str) -> Option<Arc<dyn AnyHandler>> {
        self.queues.get(queue).map(|entry| entry.handler.clone())
    }
}

/// A handler whose payload type is forgotten.
#[async_trait]
pub(super) trait AnyHandler: Send + Sync {
    async fn run(&self, job: &JobContext, payload: Value) -> Result<Value, JobError>;
}

struct Typed<H>(H);

#[async_trait]
impl<H: JobHandler> AnyHandler for Typed<H> {
    async fn run(&self, job: &JobContext, payload: Value) -> Result<Value, JobError> {
        let payload = serde_json::from_value(payload)
            .map_err(|error| JobError::fail(format!("the payload doesn't have its type's shape: {error}")))?;
        self.0.run(job, payload).await
    }
}
