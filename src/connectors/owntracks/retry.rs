//! `POST /device-records/{id}/retry`: reads a parked report again, after an upgrade of the hub understands more.

use axum::extract::{Path, State};
use contracts::{Problem, RawRecordId};
use serde::Serialize;
use spine::edge::{Caller, Json};
use spine::{Cause, Context};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::report;
use super::take_in::{Outcome, take_in};
use crate::device::{Graph, Sender};

pub(crate) fn routes(context: &Context) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(record_retry))
        .with_state(context.clone())
}

/// What became of the record.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Retried {
    /// Why it stays parked; absent if it was understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    parked: Option<String>,
}

/// Reads a parked report of a device again. `GET /raw-records?status=parked` lists them.
#[utoipa::path(post, path = "/device-records/{id}/retry", tag = "devices",
    params(("id" = RawRecordId, Path, description = "The raw record")),
    responses((status = OK, body = Retried), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 503, body = Problem)))]
async fn record_retry(
    State(context): State<Context>,
    Caller(scope): Caller,
    Path(id): Path<RawRecordId>,
) -> Result<Json<Retried>, Problem> {
    let mut tx = context.access.begin(&scope, Cause::outside()).await?;
    let kept = context.ports.raw_records().record(&mut tx, id).await?;
    let ours = kept.and_then(|kept| Some((Sender::of_source(&kept.source)?, kept)));
    let (sender, kept) =
        ours.ok_or_else(|| Problem::not_found(format!("there is no report {id} of a device")))?;
    if kept.parked.is_none() {
        return Err(Problem::conflict("this report was understood before"));
    }
    let report = report::read(&kept.record.body, context.clock.now());
    let graph = Graph {
        read: context.ports.graph_read(),
        write: context.ports.graph_write(),
    };
    let outcome = take_in(&mut tx, &graph, &sender, &report, kept.record).await?;
    tx.audit("write", format!("raw-record/{id}"), None)?;
    tx.commit().await?;
    let parked = match outcome {
        Outcome::Taken => None,
        Outcome::Parked(reason) => Some(reason),
    };
    Ok(Json(Retried { parked }))
}
