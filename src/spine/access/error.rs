//! Why data could not be touched, whether waiting helps, and what may be told of it.
//!
//! Invariant: no text from here holds a row's values. PostgreSQL's own messages and details may, so of these only the
//! code and the names of constraint and table are told.

use std::borrow::Cow;

use contracts::{Lane, Position};

use super::DEPTH_MAX;
use crate::queue::QueueError;

/// Why data could not be touched.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The database is away, or refused the statement; [`AccessError::is_transient`] tells which.
    #[error("{}", database_text(.0))]
    Database(#[from] sqlx::Error),
    /// A payload could not be written as JSON.
    #[error("a payload can't be written as JSON")]
    Payload(#[from] serde_json::Error),
    /// The job could not be queued.
    #[error("the job could not be queued: {0}")]
    Queue(#[from] QueueError),
    /// The account was erased.
    #[error("the account was erased")]
    Erased,
    /// What is secret could not be sealed, and so not be kept.
    #[error("what is secret can't be sealed: {0}")]
    Vault(crate::vault::VaultError),
    /// Where contents are kept can't be reached, or is full.
    #[error("the media store is not available: {0}")]
    Store(String),
    /// Another consumer must read up to a position first. Only who handles an event meets it: the handling is undone,
    /// and done again then.
    #[error("consumer `{consumer}` has not read position {position} yet")]
    Behind {
        /// Which one.
        consumer: &'static str,
        /// On which lane.
        lane: Lane,
        /// Up to where.
        position: Position,
    },
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
            Self::Vault(_) | Self::Store(_) | Self::Behind { .. } => true,
            Self::Payload(_) | Self::Erased | Self::TooDeep => false,
        }
    }

    /// True when trying again helps if the moment was bad, and never if the statement is; see [`database_was_cut_off`].
    pub(crate) fn was_cut_off(&self) -> bool {
        match self {
            Self::Database(error) | Self::Queue(QueueError::Database(error)) => database_was_cut_off(error),
            _ => false,
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
        | sqlx::Error::WorkerCrashed => true,
        // Class 08 connection, 53 resources, 40 serialization and deadlock; shut down, crashed, not yet up. The rest of
        // class 57 is about one statement (57014: its own time limit).
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["08", "53", "40"].iter().any(|class| code.starts_with(class))
                || ["57P01", "57P02", "57P03"].contains(&&*code)
        }),
        _ => false,
    }
}

/// True when the statement was cut off in the middle: by its time limit, by somebody's hand, or by an answer that makes
/// no sense. A bad moment or a bad statement: nobody can tell but by trying a few times.
pub(crate) fn database_was_cut_off(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Protocol(_) => true,
        // 57014 query_canceled, 25P03 idle_in_transaction_session_timeout
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| ["57014", "25P03"].contains(&&*code)),
        _ => false,
    }
}

/// What happened, true and without any value of a row.
pub(crate) fn database_text(error: &sqlx::Error) -> Cow<'static, str> {
    if database_is_away(error) {
        return "the database is not available".into();
    }
    match error {
        sqlx::Error::Database(refused) => {
            let mut text = match refused.code().as_deref() {
                Some("57014") => "the database cut a statement off (57014): it took too long".to_owned(),
                Some(code) => format!("the database refused a statement ({code})"),
                None => "the database refused a statement".to_owned(),
            };
            for (what, name) in [("constraint", refused.constraint()), ("table", refused.table())] {
                if let Some(name) = name {
                    text.push_str(&format!(", {what} {name}"));
                }
            }
            text.into()
        }
        sqlx::Error::RowNotFound => "the database has no such row".into(),
        sqlx::Error::ColumnDecode { index, .. } => {
            format!("the database's answer can't be read, column {index}").into()
        }
        sqlx::Error::Protocol(_) => "the database's answer can't be understood".into(),
        _ => "the database could not be asked".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refused_statement_is_told_as_such_with_its_constraint_and_without_the_rows_values() {
        let database = crate::testing::database().await;
        let told = async |sql: &str| {
            let error = sqlx::raw_sql(sql).execute(database.db.spine()).await.unwrap_err();
            AccessError::from(error)
        };
        let key = "INSERT INTO spine.consumer_position VALUES ('secret', 'live', 0);";
        let double = told(&format!("{key}{key}")).await;
        assert_eq!(
            double.to_string(),
            "the database refused a statement (23505), constraint consumer_position_pkey, table consumer_position"
        );
        assert!(!double.is_transient() && !double.was_cut_off());

        let slow = told("SET LOCAL statement_timeout = 10; SELECT pg_sleep(5)").await;
        assert!(slow.to_string().contains("took too long"), "{slow}");
        assert!(
            !slow.is_transient(),
            "its own time limit says nothing of the database"
        );
        assert!(slow.was_cut_off());

        let ended = told("SELECT pg_terminate_backend(pg_backend_pid())").await;
        assert_eq!(ended.to_string(), "the database is not available");
        assert!(ended.is_transient() && !ended.was_cut_off());
    }
}
