//! How the hub is doing, in one look.

use axum::extract::State as Shared;
use contracts::Problem;
use serde::Serialize;
use spine::SpineStatus;
use spine::edge::{Caller, Json};
use utoipa::ToSchema;

use crate::State;

/// How the hub is doing.
#[derive(Serialize, ToSchema)]
pub(crate) struct Status {
    /// The hub's version.
    version: &'static str,
    /// `ready` or `unready`.
    health: &'static str,
    /// Each dependency and its state.
    #[schema(value_type = Object)]
    dependencies: serde_json::Map<String, serde_json::Value>,
    /// The log and its consumers.
    log: SpineStatus,
}

/// How the hub is doing.
#[utoipa::path(get, path = "/status", tag = "status", responses(
    (status = 200, body = Status),
    (status = 401, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn status(Shared(state): Shared<State>, _: Caller) -> Result<Json<Status>, Problem> {
    let report = state.health.report().await;
    let dependencies = report.parts.iter().map(|part| (part.name.to_owned(), part.state.clone().into())).collect();
    let log = state.admin.status().await?;
    Ok(Json(Status { version: env!("CARGO_PKG_VERSION"), health: report.status, dependencies, log }))
}
