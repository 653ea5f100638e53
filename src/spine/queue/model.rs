//! What a handler sees, what an order may ask for, and the envelope in which a payload travels.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use contracts::{AccountId, CorrelationId, EventId, JobId, JobPayload, Lane, RetryPolicy};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::runner::settle::{Fence, Verdict};
use super::store::Text;
use crate::access::{Cause, Principal, Scope};

/// Why the queue could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The database is away, or refused the statement.
    #[error("{}", crate::access::database_text(.0))]
    Database(#[from] sqlx::Error),
    /// A payload can't be written as JSON.
    #[error("the job's payload can't be written as JSON")]
    Payload(#[from] serde_json::Error),
    /// The options contradict each other or are out of range.
    #[error("{0}")]
    Options(&'static str),
    /// Two parts of the hub bear one name; only one of them would work.
    #[error("there are two {0} {1}")]
    Doubled(&'static str, &'static str),
    /// A schedule's time can't be read.
    #[error("{0}")]
    Schedule(String),
}

impl QueueError {
    /// True when the database is away rather than the request wrong, so that waiting helps.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Database(error) if crate::access::database_is_away(error))
    }
}

/// What an attempt that did not succeed asks for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JobError {
    /// It may work later: tried again until the tries are used up.
    #[error("{reason}")]
    Retry {
        /// For people; kept with the job.
        reason: String,
        /// `None`: as the retry policy says.
        after: Option<Duration>,
    },
    /// It will never work: to the dead letters at once.
    #[error("{reason}")]
    Fail {
        /// For people; kept with the job.
        reason: String,
    },
}

impl JobError {
    /// It may work later.
    pub fn retry(error: impl std::fmt::Display) -> Self {
        Self::Retry {
            reason: error.to_string(),
            after: None,
        }
    }

    /// It may work after this time, as when a provider says so.
    pub fn retry_after(after: Duration, error: impl std::fmt::Display) -> Self {
        Self::Retry {
            reason: error.to_string(),
            after: Some(after),
        }
    }

    /// It will never work.
    pub fn fail(error: impl std::fmt::Display) -> Self {
        Self::Fail {
            reason: error.to_string(),
        }
    }
}

/// One job in a slot of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The first of a slot counts, the others are swallowed.
    Throttle(Duration),
    /// As throttled, but one more is kept, which starts with the next slot: the last word is not lost.
    Debounce(Duration),
}

/// No more than `count` starts in any `period` for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Whatever is limited; a pseudonym if it is personal data.
    pub key: String,
    /// Starts in a period, 1 to 1,000.
    pub count: u32,
    /// Any stretch of this length.
    pub period: Duration,
}

/// What an order may ask for. The default: at once, priority 0, retried as the payload type says.
#[derive(Debug, Clone, Default)]
pub struct JobOptions {
    /// Higher ones start first.
    pub priority: i32,
    /// Not before this.
    pub start_after: Option<DateTime<Utc>>,
    /// One waiting or running at a time for this key (within a queue and account); with a [`Slot`], one in the slot.
    pub singleton_key: Option<String>,
    /// Throttling and debouncing.
    pub slot: Option<Slot>,
    /// Delays the start so far that the limit holds. First starts are limited, retries are not.
    pub rate_limit: Option<RateLimit>,
    /// Instead of the payload type's.
    pub retry: Option<RetryPolicy>,
    /// A running job whose process has not been heard of for so long is tried again; at least 10 s.
    pub heartbeat: Option<Duration>,
}

impl JobOptions {
    /// Nothing can swallow or delay it.
    pub(super) fn is_plain(&self) -> bool {
        self.start_after.is_none()
            && self.singleton_key.is_none()
            && self.slot.is_none()
            && self.rate_limit.is_none()
            && self.heartbeat.is_none()
    }
}

/// Where a job stands; the names are pg-boss's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waits for its first attempt.
    Created,
    /// Waits for its next attempt.
    Retry,
    /// Runs.
    Active,
    /// Succeeded.
    Completed,
    /// Called off.
    Cancelled,
    /// Given up; a copy lies in the dead letter queue.
    Failed,
}

impl JobState {
    /// All, in the order of a job's life.
    pub const ALL: [Self; 6] = [
        Self::Created,
        Self::Retry,
        Self::Active,
        Self::Completed,
        Self::Cancelled,
        Self::Failed,
    ];

    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Retry => "retry",
            Self::Active => "active",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// What a handler knows of the attempt that it makes.
#[derive(Debug)]
pub struct JobContext {
    /// The job; the same for all its attempts, so it serves as an idempotency key.
    pub job: JobId,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// Attempts that there can be.
    pub attempts_max: u32,
    /// With which priority it was queued.
    pub priority: i32,
    pub(super) scope: Scope,
    pub(super) cause: Cause,
    pub(super) fence: Fence,
    pub(super) cancelled: CancellationToken,
    pub(super) settle: mpsc::Sender<Verdict>,
}

impl JobContext {
    /// For which account the job works.
    pub fn account(&self) -> AccountId {
        self.scope.account()
    }

    /// The scope for its transactions.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Because of what it runs, for its transactions.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Is cancelled when the job was cancelled, another attempt has taken over, or the hub stops and waits no longer.
    pub fn cancelled(&self) -> CancellationToken {
        self.cancelled.clone()
    }

    /// Shows how far the job is. False when this attempt is not the running one any more.
    pub async fn progress(&self, value: Value) -> bool {
        let (reply, answer) = oneshot::channel();
        let said = Verdict::Progress {
            fence: self.fence.clone(),
            value,
            reply,
        };
        self.settle.send(said).await.is_ok() && answer.await.unwrap_or(false)
    }
}

/// Does the jobs of one payload type. The services it needs are its own fields.
#[async_trait]
pub trait JobHandler: Send + Sync + 'static {
    /// What it takes.
    type Payload: JobPayload;

    /// Makes one attempt. May run twice for the same job: after a crash, or when its time was up.
    async fn run(&self, job: &JobContext, payload: Self::Payload) -> Result<Value, JobError>;
}

/// The column `data` of a job: the payload and for whom and why it is queued. A job from elsewhere needs none of the
/// names but `account` and `payload`; without `payload`, what is beside the names counts as the payload.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Envelope {
    pub(super) account: AccountId,
    pub(super) correlation: CorrelationId,
    pub(super) causation: Option<EventId>,
    pub(super) depth: i16,
    pub(super) lane: Lane,
    pub(super) payload: Value,
}

const NAMES: [&str; 5] = ["account", "correlation", "causation", "depth", "lane"];

/// An envelope that the hub itself writes.
#[derive(serde::Serialize)]
struct Sealed<'a, P> {
    account: AccountId,
    correlation: CorrelationId,
    causation: Option<EventId>,
    depth: i16,
    lane: Lane,
    payload: &'a P,
}

/// The same, read back.
#[derive(serde::Deserialize)]
struct Opened {
    account: AccountId,
    correlation: CorrelationId,
    causation: Option<EventId>,
    depth: i16,
    lane: Lane,
    payload: Value,
}

impl Envelope {
    pub(super) fn write(
        account: AccountId,
        cause: Cause,
        payload: &impl serde::Serialize,
    ) -> Result<Text, serde_json::Error> {
        Text::of(&Sealed {
            account,
            correlation: cause.correlation,
            causation: cause.causation,
            depth: cause.depth,
            lane: cause.lane,
            payload,
        })
    }

    /// Reads what a hub wrote at once, and anything else as [`Self::read`] does.
    pub(super) fn open(data: Option<&Text>) -> Result<Self, String> {
        let Some(Text(data)) = data else {
            return Self::read(None);
        };
        if let Ok(opened) = serde_json::from_str::<Opened>(data) {
            let Opened {
                account,
                correlation,
                causation,
                depth,
                lane,
                payload,
            } = opened;
            return Ok(Self {
                account,
                correlation,
                causation,
                depth,
                lane,
                payload,
            });
        }
        let data =
            serde_json::from_str(data).map_err(|error| format!("the job's data can't be read: {error}"))?;
        Self::read(Some(data))
    }

    /// Reads what may come from another program name by name; says what is wrong with it.
    pub(super) fn read(data: Option<Value>) -> Result<Self, String> {
        let mut data = match data {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(data)) => data,
            Some(_) => return Err("the job's data is not an object".to_owned()),
        };
        let mut take = |name: &str| data.remove(name).filter(|value| !value.is_null());
        fn field<T: serde::de::DeserializeOwned>(
            name: &str,
            value: Option<Value>,
        ) -> Result<Option<T>, String> {
            let read = value.map(serde_json::from_value).transpose();
            read.map_err(|error| format!("the job's {name:?} can't be read: {error}"))
        }
        let [account, correlation, causation, depth, lane] = NAMES.map(&mut take);
        let (account, correlation) = (field("account", account)?, field("correlation", correlation)?);
        let (causation, depth) = (field("causation", causation)?, field("depth", depth)?);
        let lane = field("lane", lane)?.unwrap_or_default();
        let payload = data.remove("payload").unwrap_or(Value::Object(data));
        Ok(Self {
            account: account.unwrap_or(AccountId::INSTANCE),
            correlation: correlation.unwrap_or_default(),
            causation,
            depth: depth.unwrap_or(0),
            lane,
            payload,
        })
    }

    pub(super) fn cause(&self) -> Cause {
        Cause {
            correlation: self.correlation,
            causation: self.causation,
            depth: self.depth,
            lane: self.lane,
        }
    }

    pub(super) fn scope(&self, queue: &str) -> Scope {
        Scope::new(self.account, Principal::System(format!("job:{queue}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_envelope_reads_back_as_it_was_written() {
        let (account, cause) = (
            AccountId::new(),
            Cause {
                depth: 3,
                ..Cause::outside()
            },
        );
        let written = Envelope::write(account, cause, &json!({"x": 1})).unwrap();
        let read = Envelope::open(Some(&written)).unwrap();
        assert_eq!(
            (read.account, read.correlation, read.depth),
            (account, cause.correlation, 3)
        );
        assert_eq!(read.payload, json!({"x": 1}));
    }

    #[test]
    fn a_job_of_another_program_needs_account_and_payload_only() {
        let account = AccountId::new();
        let bare = Envelope::read(Some(json!({"account": account, "payload": {"x": 1}}))).unwrap();
        assert_eq!(
            (bare.account, bare.depth, bare.payload),
            (account, 0, json!({"x": 1}))
        );
        let flat = Envelope::read(Some(json!({"account": account, "x": 1}))).unwrap();
        assert_eq!(flat.payload, json!({"x": 1}));
        assert_eq!(Envelope::read(None).unwrap().account, AccountId::INSTANCE);
    }

    #[test]
    fn a_job_with_a_malformed_envelope_is_refused_with_the_field_named() {
        let error = Envelope::read(Some(json!({"account": "mallory", "payload": {}}))).unwrap_err();
        assert!(error.contains("account"), "{error}");
        assert!(Envelope::read(Some(json!([1]))).is_err());
    }
}
