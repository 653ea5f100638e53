//! Jobs as people see them: an account's own; the operator of a hub without accounts sees the instance's.

use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use contracts::{JobId, Problem};
use serde::Serialize;
use spine::AccessError;
use spine::edge::{Caller, Json};
use spine::queue::{JobFilter, JobState, JobView, QueueError, RetryOutcome};
use utoipa::ToSchema;

use super::{number, unknown_parameter};
use crate::State;

const PAGE_JOBS: u32 = 50;

/// A stretch of the queue.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobList {
    /// Newest first.
    items: Vec<JobView>,
    /// Give it as `after` for the next page; null at the end.
    next: Option<String>,
}

/// The account's jobs, newest first.
#[utoipa::path(get, path = "/jobs", tag = "jobs", params(
    ("queue" = Option<String>, Query, description = "Only of this queue."),
    ("state" = Option<JobState>, Query, description = "Only in this state."),
    ("dead" = Option<bool>, Query, description = "Only dead letters, or none of them."),
    ("after" = Option<String>, Query, description = "Where the last page ended."),
    ("limit" = Option<u32>, Query, description = "1 to 500; 50 when it is not given."),
), responses(
    (status = 200, body = JobList),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn job_list(
    Shared(state): Shared<State>,
    caller: Caller,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<JobList>, Problem> {
    let page = state
        .admin
        .queue()
        .list(&caller.0, &filter(pairs)?)
        .await
        .map_err(told)?;
    Ok(Json(JobList {
        items: page.jobs,
        next: page.next,
    }))
}

fn filter(pairs: Vec<(String, String)>) -> Result<JobFilter, Problem> {
    let mut filter = JobFilter {
        limit: PAGE_JOBS,
        ..JobFilter::default()
    };
    for (key, value) in pairs {
        match key.as_str() {
            "queue" => filter.queue = Some(value),
            "after" => filter.after = Some(value),
            "limit" => filter.limit = u32::try_from(number("limit", &value)?).unwrap_or(u32::MAX),
            "state" => filter.state = Some(JobState::from_name(&value).ok_or_else(|| unknown_state(&value))?),
            "dead" => {
                let dead = value
                    .parse()
                    .map_err(|_| Problem::bad_request("dead is true or false"))?;
                filter.dead_letters = Some(dead);
            }
            _ => return Err(unknown_parameter(&key)),
        }
    }
    Ok(filter)
}

fn unknown_state(state: &str) -> Problem {
    let states = JobState::ALL.map(JobState::as_str).join(", ");
    Problem::bad_request(format!("{state:?} is not a state; states are {states}"))
}

/// One job.
#[utoipa::path(get, path = "/jobs/{id}", tag = "jobs", params(("id" = JobId, Path)), responses(
    (status = 200, body = JobView),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn job_get(
    Shared(state): Shared<State>,
    caller: Caller,
    Path(job): Path<JobId>,
) -> Result<Json<JobView>, Problem> {
    state
        .admin
        .queue()
        .get(&caller.0, job)
        .await
        .map_err(told)?
        .map(Json)
        .ok_or_else(no_job)
}

/// Which job runs now.
#[derive(Serialize, ToSchema)]
pub(crate) struct Requeued {
    /// The job; for a dead letter, that which failed, or a new one in its place.
    job: JobId,
}

/// Tries a failed job or a dead letter again, at once.
#[utoipa::path(post, path = "/jobs/{id}/retry", tag = "jobs", params(("id" = JobId, Path)), responses(
    (status = 200, body = Requeued),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It has not failed, or its like is waiting.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn job_retry(
    Shared(state): Shared<State>,
    caller: Caller,
    Path(job): Path<JobId>,
) -> Result<Json<Requeued>, Problem> {
    match state.admin.queue().retry(&caller.0, job).await? {
        RetryOutcome::Queued(queued) => Ok(Json(Requeued { job: queued })),
        RetryOutcome::NotFound => Err(no_job()),
        RetryOutcome::Refused => Err(Problem::conflict(
            "the job has not failed, or another one of the same key is waiting",
        )),
    }
}

/// Calls a job off that is not over; a running one is told to stop.
#[utoipa::path(post, path = "/jobs/{id}/cancel", tag = "jobs", params(("id" = JobId, Path)), responses(
    (status = 204, description = "It is called off."),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is none, or it is over.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn job_cancel(
    Shared(state): Shared<State>,
    caller: Caller,
    Path(job): Path<JobId>,
) -> Result<StatusCode, Problem> {
    if !state.admin.queue().cancel(&caller.0, job).await? {
        return Err(no_job());
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a job that doesn't run, such as a dead letter that nobody needs.
#[utoipa::path(delete, path = "/jobs/{id}", tag = "jobs", params(("id" = JobId, Path)), responses(
    (status = 204, description = "It is gone."),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is none, or it runs.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn job_delete(
    Shared(state): Shared<State>,
    caller: Caller,
    Path(job): Path<JobId>,
) -> Result<StatusCode, Problem> {
    if !state.admin.queue().delete(&caller.0, job).await? {
        return Err(no_job());
    }
    Ok(StatusCode::NO_CONTENT)
}

fn no_job() -> Problem {
    Problem::not_found("there is no such job, or it is past that")
}

fn told(error: QueueError) -> Problem {
    match error {
        QueueError::Options(_) | QueueError::Schedule(_) => Problem::bad_request(error.to_string()),
        error => AccessError::Queue(error).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_state_is_refused_with_those_that_there_are() {
        let problem = filter(vec![("state".into(), "broken".into())]).unwrap_err();
        assert_eq!(problem.status, 400);
        assert!(problem.detail.unwrap().contains("created, retry, active"));
        let filter = filter(vec![
            ("state".into(), "failed".into()),
            ("dead".into(), "true".into()),
        ])
        .unwrap();
        assert_eq!(
            (filter.state, filter.dead_letters, filter.limit),
            (Some(JobState::Failed), Some(true), 50)
        );
    }
}
