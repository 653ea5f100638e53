//! What a job is: an order, carrying ids and no content, to do one thing at least once.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

/// The class of a job decides which runner takes it; each has reserved concurrency, so that a long import never
/// stands before a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobClass {
    /// Milliseconds matter: a call is waiting.
    Realtime,
    /// A person is waiting.
    Interactive,
    /// Nobody is waiting.
    Background,
}

impl JobClass {
    /// All three, most urgent first.
    pub const ALL: [Self; 3] = [Self::Realtime, Self::Interactive, Self::Background];

    /// The name in configuration, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Realtime => "realtime",
            Self::Interactive => "interactive",
            Self::Background => "background",
        }
    }
}

/// How often and how patiently a job is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries after the first; when they are used up, the job goes to the dead letters.
    pub limit: u32,
    /// Delay before the first retry; doubled for each next one, with jitter.
    pub delay: Duration,
    /// No delay is longer than this.
    pub delay_max: Duration,
    /// A handler that takes longer is given up and the job tried again.
    pub expire_in: Duration,
}

impl RetryPolicy {
    /// Ten tries over some hours; five minutes for each.
    pub const DEFAULT: Self = Self {
        limit: 10,
        delay: Duration::from_secs(2),
        delay_max: Duration::from_secs(3600),
        expire_in: Duration::from_secs(300),
    };
}

/// A payload type of a job: an order with ids and no content.
pub trait JobPayload: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The queue's name in pg-boss: lower case with hyphens, such as `send-outgoing-message`.
    const QUEUE: &'static str;
    /// Which runner takes it.
    const CLASS: JobClass;
    /// How it is retried.
    const RETRY: RetryPolicy = RetryPolicy::DEFAULT;
}
