//! The routes: import a file, look at imports, understand records again, export.
//!
//! Invariant: an upload is written to the disk as it comes, bounded in size and in patience; a filename is shown and never
//! used as a path. Begin with [`import_create`].

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use contracts::jobs::{ReprocessRecords, RunImport};
use contracts::{Lane, Problem, RawRecordId};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use spine::edge::{Caller, Json};
use spine::queue::JobOptions;
use spine::{AccessError, Cause, Context};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::format::Format;
use crate::store::{self, ImportRow};
use crate::understand::{Outcome, Understanding};
use crate::{export, files, on_record};

/// Bytes of one upload: twice what a mailbox of a busy decade has.
const UPLOAD_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// Who uploads says something at least this often.
const PATIENCE: Duration = Duration::from_secs(30);
/// A running job whose process is gone is taken up again after this.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Imports of an account that wait or run.
const OPEN_MAX: usize = 20;
const FILENAME_CHARS_MAX: usize = 200;
const LIST_MAX: i64 = 200;

pub(crate) fn routes(context: &Context) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(import_create, import_list))
        .routes(routes!(import_get))
        .routes(routes!(import_cancel))
        .routes(routes!(record_process))
        .routes(routes!(record_reprocess))
        .routes(routes!(export_get))
        .with_state(context.clone())
}

/// What is uploaded.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct Upload {
    /// The file's name, for people; its ending tells the format if nothing else does.
    filename: Option<String>,
    /// `vcard`, `ical`, `mbox`, `csv` or `jsonld`, or a media type.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    kind: Option<String>,
}

/// A file that is imported.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ImportView {
    /// Its id.
    id: Uuid,
    /// The file's name.
    filename: String,
    /// `vcard`, `ical`, `mbox`, `csv` or `jsonld`.
    format: String,
    /// `waiting`, `running`, `finished`, `cancelled` or `failed`.
    state: String,
    /// Why it failed.
    reason: Option<String>,
    /// The file's size.
    bytes: i64,
    /// How much of it is understood.
    position: i64,
    /// Records that were taken in.
    taken: i64,
    /// Of these, records that weren't there before.
    new: i64,
    /// Of these, records that were there already.
    known: i64,
    /// Of these, records that can't be understood; `/raw-records?status=parked` says why.
    parked: i64,
    /// When it was uploaded.
    created_at: DateTime<Utc>,
    /// When it began.
    started_at: Option<DateTime<Utc>>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
}

/// Imports.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ImportList {
    /// Newest first, at most 200.
    items: Vec<ImportView>,
}

impl From<ImportRow> for ImportView {
    fn from(row: ImportRow) -> Self {
        Self {
            id: row.id,
            filename: row.filename,
            format: row.format,
            state: row.state,
            reason: row.reason,
            bytes: row.bytes,
            position: row.position,
            taken: row.taken,
            new: row.new,
            known: row.known,
            parked: row.parked,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

/// Uploads a file and imports it in the background. The same file a second time adds nothing.
#[utoipa::path(post, path = "/imports", tag = "imports", params(Upload),
    request_body(content_type = "application/octet-stream", description = "The file"),
    responses((status = ACCEPTED, body = ImportView), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 409, description = "Too many are under way", body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 503, body = Problem)))]
async fn import_create(
    State(context): State<Context>,
    Caller(scope): Caller,
    Query(upload): Query<Upload>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let format = format(&upload, &headers)?;
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > UPLOAD_BYTES_MAX) {
        return Err(too_large());
    }
    refuse_crowd(&context, &scope).await?;
    let (id, data_dir) = (Uuid::now_v7(), &context.settings.data_dir);
    let unfinished = files::unfinished(data_dir, scope.account(), id);
    let bytes = match receive(&unfinished, body).await {
        Ok(bytes) => bytes,
        Err(problem) => {
            files::remove(&unfinished).await;
            return Err(problem);
        }
    };
    let path = files::path(data_dir, scope.account(), id);
    tokio::fs::rename(&unfinished, &path)
        .await
        .map_err(|error| disk(&error))?;
    let queued = queue(
        &context,
        &scope,
        id,
        &shown_name(upload.filename.as_deref()),
        format,
        bytes,
    )
    .await;
    if queued.is_err() {
        files::remove(&path).await;
    }
    Ok((StatusCode::ACCEPTED, Json(ImportView::from(queued?))).into_response())
}

/// Each file that waits takes room on the disk.
async fn refuse_crowd(context: &Context, scope: &spine::Scope) -> Result<(), Problem> {
    let mut tx = context.access.begin(scope, Cause::outside()).await?;
    let newest = store::import_list(&mut tx, LIST_MAX)
        .await
        .map_err(AccessError::from)?;
    let open = newest
        .iter()
        .filter(|row| matches!(row.state.as_str(), "waiting" | "running"));
    if open.count() < OPEN_MAX {
        return Ok(());
    }
    Err(
        Problem::conflict(format!("{OPEN_MAX} imports are under way already"))
            .hint("wait for one to end, or cancel one"),
    )
}

async fn queue(
    context: &Context,
    scope: &spine::Scope,
    id: Uuid,
    filename: &str,
    format: Format,
    bytes: u64,
) -> Result<ImportRow, Problem> {
    let mut tx = context.access.begin(scope, Cause::outside()).await?;
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    store::import_insert(&mut tx, id, filename, format.as_str(), bytes)
        .await
        .map_err(AccessError::from)?;
    let options = JobOptions {
        heartbeat: Some(HEARTBEAT),
        ..JobOptions::default()
    };
    tx.enqueue(&RunImport { import: id }, options).await?;
    tx.audit("write", format!("import/{id}"), None)?;
    let row = store::import_by_id(&mut tx, id)
        .await
        .map_err(AccessError::from)?;
    tx.commit().await?;
    row.ok_or_else(|| Problem::not_found(format!("there is no import {id}")))
}

/// What the caller says first, then what the file is called, then what the request says of its body.
fn format(upload: &Upload, headers: &HeaderMap) -> Result<Format, Problem> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let found = match &upload.kind {
        Some(kind) => Format::recognise(kind),
        None => upload
            .filename
            .as_deref()
            .and_then(Format::recognise)
            .or_else(|| Format::recognise(content_type?)),
    };
    found.ok_or_else(|| {
        Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "nothing says which format the file has",
        )
        .hint("say `type`: vcard, ical, mbox, csv or jsonld; archives are unpacked first")
    })
}

/// Writes an upload down. Gives its size.
async fn receive(path: &std::path::Path, body: Body) -> Result<u64, Problem> {
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder)
            .await
            .map_err(|error| disk(&error))?;
    }
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(path).await.map_err(|error| disk(&error))?;
    let (mut stream, mut bytes) = (body.into_data_stream(), 0_u64);
    loop {
        let next = tokio::time::timeout(PATIENCE, stream.next()).await;
        let chunk = match next {
            Err(_) => {
                return Err(Problem::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "the upload stopped on its way",
                ));
            }
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(Problem::bad_request("the upload was cut off")),
            Ok(Some(Ok(chunk))) => chunk,
        };
        bytes += chunk.len() as u64;
        if bytes > UPLOAD_BYTES_MAX {
            return Err(too_large());
        }
        file.write_all(&chunk).await.map_err(|error| disk(&error))?;
    }
    file.flush().await.map_err(|error| disk(&error))?;
    file.sync_all().await.map_err(|error| disk(&error))?;
    if bytes == 0 {
        return Err(Problem::bad_request("the file is empty"));
    }
    Ok(bytes)
}

fn too_large() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("a file has at most {} GiB", UPLOAD_BYTES_MAX >> 30),
    )
    .hint("split it; what is imported twice adds nothing")
}

fn disk(error: &std::io::Error) -> Problem {
    tracing::error!(%error, "an upload could not be written");
    Problem::unavailable("the upload could not be written to the hub's disk", 60)
}

/// The last part of what may be a path, printable and bounded.
fn shown_name(name: Option<&str>) -> String {
    let name = name
        .unwrap_or_default()
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or_default();
    let name: String = name
        .chars()
        .filter(|c| !c.is_control())
        .take(FILENAME_CHARS_MAX)
        .collect();
    if name.trim().is_empty() {
        "unnamed".to_owned()
    } else {
        name
    }
}

/// Lists imports.
#[utoipa::path(get, path = "/imports", tag = "imports",
    responses((status = OK, body = ImportList), (status = 401, body = Problem), (status = 503, body = Problem)))]
async fn import_list(
    State(context): State<Context>,
    Caller(scope): Caller,
) -> Result<Json<ImportList>, Problem> {
    let mut tx = context.access.begin(&scope, Cause::outside()).await?;
    let rows = store::import_list(&mut tx, LIST_MAX)
        .await
        .map_err(AccessError::from)?;
    tx.audit("read", "imports", Some(rows.len() as u64))?;
    tx.commit().await?;
    Ok(Json(ImportList {
        items: rows.into_iter().map(Into::into).collect(),
    }))
}

/// How far an import is.
#[utoipa::path(get, path = "/imports/{id}", tag = "imports",
    params(("id" = Uuid, Path, description = "The import")),
    responses((status = OK, body = ImportView), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 503, body = Problem)))]
async fn import_get(
    State(context): State<Context>,
    Caller(scope): Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<ImportView>, Problem> {
    let mut tx = context.access.begin(&scope, Cause::outside()).await?;
    let row = store::import_by_id(&mut tx, id)
        .await
        .map_err(AccessError::from)?;
    let row = row.ok_or_else(|| Problem::not_found(format!("there is no import {id}")))?;
    tx.audit("read", format!("import/{id}"), Some(1))?;
    tx.commit().await?;
    Ok(Json(row.into()))
}

/// Ends an import. What it took in stays.
#[utoipa::path(post, path = "/imports/{id}/cancel", tag = "imports",
    params(("id" = Uuid, Path, description = "The import")),
    responses((status = OK, body = ImportView), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "It has ended", body = Problem), (status = 503, body = Problem)))]
async fn import_cancel(
    State(context): State<Context>,
    Caller(scope): Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<ImportView>, Problem> {
    let mut tx = context.access.begin(&scope, Cause::outside()).await?;
    let ended = store::import_end(&mut tx, id, "cancelled", None)
        .await
        .map_err(AccessError::from)?;
    let row = store::import_by_id(&mut tx, id)
        .await
        .map_err(AccessError::from)?;
    let row = row.ok_or_else(|| Problem::not_found(format!("there is no import {id}")))?;
    if !ended {
        return Err(Problem::conflict(format!("the import is {} already", row.state)));
    }
    tx.audit("write", format!("import/{id}"), None)?;
    tx.commit().await?;
    files::remove(&files::path(&context.settings.data_dir, scope.account(), id)).await;
    Ok(Json(row.into()))
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
struct Ordered {
    /// Its id; absent: one that does the same is waiting or running.
    job: Option<Uuid>,
}

/// Understands all records again, in the background.
#[utoipa::path(post, path = "/raw-records/process", tag = "imports", request_body = Reprocess,
    responses((status = ACCEPTED, body = Ordered), (status = 401, body = Problem), (status = 503, body = Problem)))]
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
        Json(Ordered {
            job: job.map(Into::into),
        }),
    )
        .into_response())
}

/// What to export.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct Export {
    /// `jsonld` (everything), `vcard` (people and organizations), `ical` (events and tasks), `mbox` (mails) or `csv`
    /// (people and organizations).
    format: String,
}

/// Everything of the account in one format, as a stream. What is exported can be imported.
#[utoipa::path(get, path = "/export", tag = "imports", params(Export),
    responses((status = OK, content_type = "application/octet-stream", description = "The file"),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 503, body = Problem)))]
async fn export_get(
    State(context): State<Context>,
    Caller(scope): Caller,
    Query(query): Query<Export>,
) -> Result<Response, Problem> {
    let format = Format::recognise(&query.format)
        .filter(|format| format.as_str() == query.format)
        .ok_or_else(|| Problem::bad_request("`format` is vcard, ical, mbox, csv or jsonld"))?;
    let mut tx = context.access.begin(&scope, Cause::outside()).await?;
    tx.audit("read", format!("export?format={}", format.as_str()), None)?;
    tx.commit().await?;
    let name = format!("attachment; filename=\"allod.{}\"", export::file_ending(format));
    let headers = [
        (header::CONTENT_TYPE, format.media_type().to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, Body::from_stream(export::stream(context, scope, format))).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filename_is_shown_without_its_path() {
        assert_eq!(shown_name(Some("../../etc/passwd")), "passwd");
        assert_eq!(shown_name(Some("C:\\Users\\me\\x.vcf")), "x.vcf");
        assert_eq!(shown_name(Some("..")), "..");
        assert_eq!(shown_name(Some("a\u{0}\n/ ")), "unnamed");
        assert_eq!(shown_name(None), "unnamed");
        assert_eq!(shown_name(Some(&"x".repeat(900))).len(), 200);
    }
}
