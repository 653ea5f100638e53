//! What people may see and do: list, look, retry, cancel, delete, count. For an account its own jobs only; for the
//! operator of the instance all.

use chrono::{DateTime, Utc};
use contracts::{AccountId, CorrelationId, JobId};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::model::{Envelope, JobState, QueueError};
use super::store;
use super::wake::wake;
use crate::access::{Access, AccessError, Principal, Scope};

mod admin_store;
use admin_store::Row;

/// Which jobs.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Of this queue only.
    pub queue: Option<String>,
    /// In this state only.
    pub state: Option<JobState>,
    /// Dead letters only, or none of them; `None`: whatever there is.
    pub dead_letters: Option<bool>,
    /// Jobs on a page, 1 to 500.
    pub limit: u32,
    /// Where the last page ended.
    pub after: Option<String>,
}

/// A job as people see it. It carries ids and no content.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// Its queue.
    pub queue: String,
    /// Where it stands.
    pub state: JobState,
    /// Whose it is.
    pub account: AccountId,
    /// Shared by everything that one occurrence set off.
    pub correlation: Option<CorrelationId>,
    /// Higher ones start first.
    pub priority: i32,
    /// Attempts that began.
    pub attempts: i32,
    /// Attempts that there can be.
    pub attempts_max: i32,
    /// Queued.
    pub created_on: DateTime<Utc>,
    /// Not started before.
    pub start_after: DateTime<Utc>,
    /// The last attempt's start.
    pub started_on: Option<DateTime<Utc>>,
    /// Completed, failed or cancelled.
    pub completed_on: Option<DateTime<Utc>>,
    /// The order.
    pub payload: Value,
    /// The result, or what the last attempt said.
    pub output: Option<Value>,
    /// How far a running job says it is.
    pub progress: Option<Value>,
    /// Of a dead letter: the queue in which it failed.
    pub failed_in: Option<String>,
    /// Of a dead letter: the job that failed.
    pub failed_job: Option<JobId>,
}

/// A part of a list.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct JobPage {
    /// Newest first.
    pub jobs: Vec<JobView>,
    /// Give this as `after` for the next page; `None` at the end.
    pub next: Option<String>,
}

/// How many jobs of a queue are in a state.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct QueueCount {
    /// The queue.
    pub queue: String,
    /// The state.
    pub state: JobState,
    /// How many.
    pub jobs: i64,
}

/// What came of a wish to try a job again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryOutcome {
    /// This job runs again; of a dead letter: the job that failed, or a new one if that is gone.
    Queued(JobId),
    /// There is no such job for this scope.
    NotFound,
    /// It is neither failed nor a dead letter, or another job of the same key is waiting.
    Refused,
}

/// The queue as people see it.
///
/// What is done to a job stands in the audit, in the same commit.
#[derive(Debug, Clone)]
pub struct QueueAdmin {
    pool: PgPool,
    access: Access,
}

/// `None`: the operator of the instance, who sees all.
fn only(scope: &Scope) -> Option<Uuid> {
    let all = scope.account() == AccountId::INSTANCE && *scope.principal() == Principal::Operator;
    (!all).then_some(scope.account().0)
}

impl QueueAdmin {
    /// `pool` is of role `allod_spine`.
    pub fn new(pool: PgPool, access: Access) -> Self {
        Self { pool, access }
    }

    /// Jobs, newest first.
    ///
    /// # Errors
    /// [`QueueError::Options`] when the cursor can't be read; [`QueueError::Database`].
    pub async fn list(&self, scope: &Scope, filter: &JobFilter) -> Result<JobPage, QueueError> {
        let after = filter.after.as_deref().map(read_cursor).transpose()?;
        let limit = i64::from(filter.limit.clamp(1, 500));
        let mut rows = admin_store::job_list(&self.pool, only(scope), filter, after, limit + 1).await?;
        let more = i64::try_from(rows.len()).is_ok_and(|found| found > limit);
        rows.truncate(usize::try_from(limit).unwrap_or(1));
        let next = rows
            .last()
            .filter(|_| more)
            .map(|row| format!("{}_{}", row.created_on.timestamp_micros(), row.id));
        Ok(JobPage {
            jobs: rows.into_iter().map(JobView::from).collect(),
            next,
        })
    }

    /// One job.
    ///
    /// # Errors
    /// [`QueueError::Database`].
    pub async fn get(&self, scope: &Scope, job: JobId) -> Result<Option<JobView>, QueueError> {
        Ok(admin_store::job_by_id(&self.pool, only(scope), job.0)
            .await?
            .map(JobView::from))
    }

    /// Tries a failed job or a dead letter again, at once, with one more attempt than it had.
    ///
    /// # Errors
    /// [`AccessError::Database`].
    pub async fn retry(&self, scope: &Scope, job: JobId) -> Result<RetryOutcome, AccessError> {
        let Some(row) = admin_store::job_by_id(&self.pool, only(scope), job.0).await? else {
            return Ok(RetryOutcome::NotFound);
        };
        let mut tx = self.pool.begin().await?;
        let queued = match admin_store::job_retry(&mut tx, &row.name, row.id).await {
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => None,
            queued => queued?,
        };
        let Some(queued) = queued else {
            return Ok(RetryOutcome::Refused);
        };
        self.access
            .commit_deed(tx, scope, format!("job/{job}/retry"))
            .await?;
        wake();
        Ok(RetryOutcome::Queued(JobId(queued)))
    }

    /// Calls a job off that is not over; a running one is told to stop. False: there is no such job for this scope.
    ///
    /// # Errors
    /// [`AccessError::Database`].
    pub async fn cancel(&self, scope: &Scope, job: JobId) -> Result<bool, AccessError> {
        let mut tx = self.pool.begin().await?;
        if !admin_store::job_cancel(&mut tx, only(scope), job.0).await? {
            return Ok(false);
        }
        store::notify(&mut *tx, store::CANCELLED).await?;
        self.access
            .commit_deed(tx, scope, format!("job/{job}/cancel"))
            .await?;
        Ok(true)
    }

    /// Removes a job that doesn't run. False: there is no such job for this scope.
    ///
    /// # Errors
    /// [`AccessError::Database`].
    pub async fn delete(&self, scope: &Scope, job: JobId) -> Result<bool, AccessError> {
        let mut tx = self.pool.begin().await?;
        if !admin_store::job_delete(&mut tx, only(scope), job.0).await? {
            return Ok(false);
        }
        self.access.commit_deed(tx, scope, format!("job/{job}")).await?;
        Ok(true)
    }

    /// How many jobs are in which state.
    ///
    /// # Errors
    /// [`QueueError::Database`].
    pub async fn counts(&self, scope: &Scope) -> Result<Vec<QueueCount>, QueueError> {
        let rows = admin_store::job_counts(&self.pool, only(scope)).await?;
        let known = rows.into_iter().filter_map(|(queue, state, jobs)| {
            JobState::from_name(&state).map(|state| QueueCount { queue, state, jobs })
        });
        Ok(known.collect())
    }
}

/// Removes all that the queue knows of an account: jobs in any state, schedules, limits. Returns how many jobs.
/// Handlers that still run for it are told to stop with the commit.
pub(crate) async fn erase_account(conn: &mut PgConnection, account: AccountId) -> Result<u64, sqlx::Error> {
    let removed = admin_store::account_erase(conn, account.0).await?;
    store::notify(conn, store::CANCELLED).await?;
    Ok(removed)
}

impl From<Row> for JobView {
    fn from(row: Row) -> Self {
        let envelope = Envelope::read(row.data.clone());
        let state = JobState::from_name(&row.state).unwrap_or(JobState::Created);
        let progress = match &row.output {
            Some(Value::Object(said)) if state == JobState::Active => said.get("progress").cloned(),
            _ => None,
        };
        let had = row
            .data
            .as_ref()
            .and_then(|data| data.get("correlation"))
            .is_some();
        Self {
            id: JobId(row.id),
            queue: row.name,
            state,
            account: envelope
                .as_ref()
                .map_or(AccountId::INSTANCE, |envelope| envelope.account),
            correlation: envelope
                .as_ref()
                .ok()
                .filter(|_| had)
                .map(|envelope| envelope.correlation),
            priority: row.priority,
            attempts: if row.started_on.is_some() {
                row.retry_count + 1
            } else {
                row.retry_count
            },
            attempts_max: row.retry_limit + 1,
            created_on: row.created_on,
            start_after: row.start_after,
            started_on: row.started_on,
            completed_on: row.completed_on,
            payload: envelope.map_or(Value::Null, |envelope| envelope.payload),
            output: row.output.filter(|_| state != JobState::Active),
            progress,
            failed_in: row.source_name,
            failed_job: row.source_id.map(JobId),
        }
    }
}

fn read_cursor(text: &str) -> Result<(DateTime<Utc>, Uuid), QueueError> {
    let read = || {
        let (micros, id) = text.split_once('_')?;
        Some((
            DateTime::from_timestamp_micros(micros.parse().ok()?)?,
            id.parse().ok()?,
        ))
    };
    read().ok_or(QueueError::Options(
        "the cursor can't be read: take it from the page before",
    ))
}
