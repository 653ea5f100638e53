//! Durable jobs.
#![allow(missing_docs)]
use std::time::Duration;
use async_trait::async_trait;
use contracts::{AccountId, JobId, JobPayload};
use crate::access::{Cause, Scope};

#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct JobError { pub reason: String, pub retry: bool, pub after: Option<Duration> }
impl JobError {
    pub fn retry(error: impl std::fmt::Display) -> Self { Self { reason: error.to_string(), retry: true, after: None } }
    pub fn retry_after(after: Duration, error: impl std::fmt::Display) -> Self { Self { reason: error.to_string(), retry: true, after: Some(after) } }
    pub fn fail(error: impl std::fmt::Display) -> Self { Self { reason: error.to_string(), retry: false, after: None } }
}
#[derive(Debug)]
pub struct JobContext { pub job: JobId, pub attempt: u32, pub scope: Scope, pub cause: Cause }
impl JobContext { pub fn scope(&self) -> &Scope { &self.scope } pub fn cause(&self) -> Cause { self.cause } }
#[async_trait]
pub trait JobHandler: Send + Sync + 'static { type Payload: JobPayload; async fn run(&self, job: &JobContext, payload: Self::Payload) -> Result<serde_json::Value, JobError>; }
#[derive(Debug, Default)]
pub struct JobRegistry {}
impl JobRegistry { pub fn register<H: JobHandler>(&mut self, _handler: H) {} }
#[derive(Debug, Default)]
pub struct JobOptions { pub priority: i32, pub start_after: Option<chrono::DateTime<chrono::Utc>>, pub singleton_key: Option<String> }
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct QueueError;
impl QueueError { pub fn is_transient(&self) -> bool { false } }
pub async fn enqueue<P: JobPayload>(_: &mut sqlx::PgConnection, _: AccountId, _: Cause, _: &P, _: JobOptions) -> Result<Option<JobId>, QueueError> { Ok(None) }
pub fn wake() {}
pub(crate) async fn erase_account(_: &mut sqlx::PgConnection, _: AccountId) -> Result<u64, sqlx::Error> { Ok(0) }
