//! The routes: import a file, look at imports, understand records again, export.
//!
//! Invariant: an upload is written to the disk as it comes, bounded in size and in patience; a filename is shown and never
//! used as a path. Begin with [`routes`].

mod imports;
mod upload;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use contracts::jobs::ReprocessRecords;
use contracts::{Lane, Problem, RawRecordId};
use serde::{Deserialize, Serialize};
use spine::edge::{Caller, Json};
use spine::queue::JobOptions;
use spine::{Cause, Context};
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::format::Format;
use crate::understand::{Outcome, Understanding};
use crate::{export, on_record};

/// A running job whose process is gone is taken up again after this.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(crate) fn routes(context: &Context) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(imports::import_create, imports::import_list))
        .routes(routes!(imports::import_get))
        .routes(routes!(imports::import_cancel))
        .routes(routes!(record_process))
        .routes(routes!(record_reprocess))
        .routes(routes!(export_get))
        .with_state(context.clone())
}

/// What understanding a record led to.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Processed {
    /// Why it is parked; absent: it is understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    parked: Option<String>,
}

/// Understands a record again, as after a mapping improved. Adds nothing twice.
#[utoipa::path(post, path = "/raw-records/{id}/process", tag = "imports",
    params(("id" = RawRecordId, Path, description = "The record")),
    responses((status = OK, body = Processed), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 422, description = "Another service understands this kind of record", body = Problem),
        (status = 503, body = Problem)))]
async fn record_process(
    State(context): State<Context>,
    Caller(scope): Caller,
    Path(id): Path<RawRecordId>,
) -> Result<Json<Processed>, Problem> {
    let mut tx = context.access.begin(&scope, Cause::outside()).await?;
    // What is read again didn't happen now: no rule shall answer it.
    tx.set_lane(Lane::Backfill);
    let missing = || Problem::not_found(format!("there is no record {id}"));
    let kept = context
        .ports
        .raw_records()
        .record(&mut tx, id)
        .await?
        .ok_or_else(missing)?;
    if !crate::map::is_mapped(&kept.record.media_type) {
        return Err(
            Problem::unprocessable("another service understands this kind of record")
                .hint("retry it at its connection: /connections/{id}/records/{record}/retry"),
        );
    }
    let mut work = Understanding::begin(&context.ports, &mut tx).await?;
    let outcome = on_record::process(&context, &mut tx, &mut work, id)
        .await?
        .ok_or_else(missing)?;
    tx.audit("write", format!("raw-record/{id}"), None)?;
    tx.commit().await?;
    let parked = match outcome {
        Outcome::Understood => None,
        Outcome::Parked(reason) => Some(reason),
    };
    Ok(Json(Processed { parked }))
}

/// Which records.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Reprocess {
    /// Only of this source, such as `import/vcard`; without it, of all.
    source: Option<String>,
}

/// A job that does it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ReprocessOrdered {
    /// Its id; absent: one that does the same is waiting or running.
    job: Option<Uuid>,
}

/// Understands all records again, in the background.
#[utoipa::path(post, path = "/raw-records/process", tag = "imports", request_body = Reprocess,
    responses((status = ACCEPTED, body = ReprocessOrdered), (status = 401, body = Problem), (status = 503, body = Problem)))]
async fn record_reprocess(
    State(context): State<Context>,
    Caller(scope): Caller,
    Json(request): Json<Reprocess>,
) -> Result<Response, Problem> {
    let mut tx = context.access.begin(&scope, Cause::outside()).await?;
    let options = JobOptions {
        heartbeat: Some(HEARTBEAT),
        singleton_key: Some(request.source.clone().unwrap_or_default()),
        ..JobOptions::default()
    };
    let job = tx
        .enqueue(
            &ReprocessRecords {
                source: request.source,
            },
            options,
        )
        .await?;
    tx.audit("write", "raw-records", None)?;
    tx.commit().await?;
    Ok((
        StatusCode::ACCEPTED,
        Json(ReprocessOrdered {
            job: job.map(Into::into),
        }),
    )
        .into_response())
}

/// What to export.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct Export {
    /// `archive` (the whole graph with the files), `jsonld` (the whole graph), `vcard` (people, organizations and groups),
    /// `ical` (events and tasks), `mbox` (mails) or `csv` (people and organizations).
    format: String,
}

/// What the graph has of the account in one format, as a stream. What is exported can be imported. Rules, schedules,
/// connections, tokens, history and the event log are in none.
#[utoipa::path(get, path = "/export", tag = "imports", params(Export),
    responses((status = OK, content_type = "application/octet-stream", description = "The file"),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 503, body = Problem)))]
async fn export_get(
    State(context): State<Context>,
    Caller(scope): Caller,
    Query(query): Query<Export>,
) -> Result<Response, Problem> {
    let format = Format::recognise(&query.format)
        .filter(|format| format.as_str() == query.format && format.is_written())
        .ok_or_else(|| Problem::bad_request("`format` is archive, jsonld, vcard, ical, mbox or csv"))?;
    let mut tx = context.access.begin(&scope, Cause::outside()).await?;
    tx.audit("read", format!("export?format={}", format.as_str()), None)?;
    tx.commit().await?;
    let name = format!("attachment; filename=\"allod.{}\"", export::file_ending(format));
    let headers = [
        (header::CONTENT_TYPE, format.media_type().to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    let body = match format {
        Format::Archive => Body::from_stream(export::archive::stream(context, scope)),
        _ => Body::from_stream(export::stream(context, scope, format)),
    };
    Ok((headers, body).into_response())
}
