//! Proving the log.

use axum::extract::State as Shared;
use contracts::{Position, Problem};
use serde::Serialize;
use spine::edge::{Caller, Json};
use spine::log::verify::{Fault, Report};
use utoipa::ToSchema;

use crate::State;

/// What the proof found.
#[derive(Serialize, ToSchema)]
pub(crate) struct Proof {
    /// Rows that were checked.
    rows: u64,
    /// Batches that were checked.
    batches: u64,
    /// Bodies that were erased.
    erased: u64,
    /// The last position.
    head: Position,
    /// What is wrong; empty when the log is whole. At most 100.
    faults: Vec<ToldFault>,
}

/// A fault, for programs and for people.
#[derive(Serialize, ToSchema)]
pub(crate) struct ToldFault {
    /// What and where.
    #[serde(flatten)]
    fault: Fault,
    /// The same in a sentence.
    message: String,
}

impl From<Report> for Proof {
    fn from(report: Report) -> Self {
        let told = |fault: Fault| ToldFault {
            message: fault.to_string(),
            fault,
        };
        Self {
            rows: report.rows,
            batches: report.batches,
            erased: report.erased,
            head: report.head,
            faults: report.faults.into_iter().map(told).collect(),
        }
    }
}

/// Proves the whole log, link by link: what was changed, removed or moved is named. For the operator.
#[utoipa::path(get, path = "/audit/verify", tag = "audit", responses(
    (status = 200, body = Proof),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn verify(Shared(state): Shared<State>, caller: Caller) -> Result<Json<Proof>, Problem> {
    caller.require_operator()?;
    Ok(Json(state.admin.verify().await?.into()))
}
