//! Why data could not be touched, and whether waiting helps.

use super::DEPTH_MAX;
use crate::queue::QueueError;

/// Why data could not be touched.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The database is away or refused; the caller may try again.
    #[error("the database is not available")]
    Database(#[from] sqlx::Error),
    /// A payload could not be written as JSON.
    #[error("a payload can't be written as JSON")]
    Payload(#[from] serde_json::Error),
    /// The job could not be queued.
    #[error("the job could not be queued")]
    Queue(#[from] QueueError),
    /// The account was erased.
    #[error("the account was erased")]
    Erased,
    /// The chain of causes is too long.
    #[error("the chain of causes is longer than {DEPTH_MAX}: refused, since something feeds itself")]
    TooDeep,
}

impl AccessError {
    /// True when the database is away rather than the request wrong, so that waiting helps.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database(error) => database_is_away(error),
            Self::Queue(error) => error.is_transient(),
            Self::Payload(_) | Self::Erased | Self::TooDeep => false,
        }
    }
}

/// True when the error says that the database is away or overloaded, not that the statement was wrong.
pub fn database_is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        // Class 08 connection, 53 resources, 57 operator intervention (shutdown), 40 serialization and deadlock.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["08", "53", "57", "40"]
                .iter()
                .any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}
