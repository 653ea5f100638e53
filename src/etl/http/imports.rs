//! Importing a file: upload it, look how far it is, end it.

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use contracts::Problem;
use contracts::jobs::RunImport;
use serde::Serialize;
use spine::edge::{Caller, Json};
use spine::queue::JobOptions;
use spine::{AccessError, Cause, Context, Scope};
use uuid::Uuid;

use super::HEARTBEAT;
use super::upload::{Upload, disk, format, receive, shown_name, too_large};
use crate::files;
use crate::format::Format;
use crate::store::{self, ImportRow};

/// Imports of an account that are uploaded, wait or run.
const OPEN_MAX: i64 = 20;
const LIST_MAX: i64 = 200;

/// A file that is imported.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ImportView {
    /// Its id.
    id: Uuid,
    /// The file's name.
    filename: String,
    /// `vcard`, `ical`, `mbox`, `csv`, `jsonld`, `gpx`, `geojson` or `archive`.
    format: String,
    /// `uploading`, `waiting`, `running`, `finished`, `cancelled` or `failed`.
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
pub(super) struct ImportList {
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
pub(super) async fn import_create(
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
    let bytes_max = context.settings.upload_bytes_max;
    if length.is_some_and(|length| length > bytes_max) {
        return Err(too_large(bytes_max));
    }
    let id = Uuid::now_v7();
    begin(&context, &scope, id, &upload, format).await?;
    // A caller who goes away ends the request, not what has to be cleared away after it.
    let queued = tokio::spawn(async move {
        let taken = take(&context, &scope, id, body, bytes_max).await;
        if taken.is_err() {
            give_up(&context, &scope, id).await;
        }
        taken
    });
    let queued = queued.await.map_err(|error| {
        tracing::error!(%error, "an upload ended without an answer");
        Problem::unavailable("the upload could not be taken", 60)
    })?;
    Ok((StatusCode::ACCEPTED, Json(ImportView::from(queued?))).into_response())
}

/// Takes a place among those under way: each takes room on the disk.
async fn begin(
    context: &Context,
    scope: &Scope,
    id: Uuid,
    upload: &Upload,
    format: Format,
) -> Result<(), Problem> {
    let mut tx = context.access.begin(scope, Cause::outside()).await?;
    store::uploads_lock(&mut tx).await.map_err(AccessError::from)?;
    let open = store::import_open_count(&mut tx)
        .await
        .map_err(AccessError::from)?;
    if open >= OPEN_MAX {
        return Err(
            Problem::conflict(format!("{OPEN_MAX} imports are under way already"))
                .hint("wait for one to end, or cancel one"),
        );
    }
    let name = shown_name(upload.filename.as_deref());
    store::import_insert(&mut tx, id, &name, format.as_str())
        .await
        .map_err(AccessError::from)?;
    tx.audit("write", format!("import/{id}"), None)?;
    Ok(tx.commit().await?)
}

/// Writes the file down, and orders its import.
async fn take(
    context: &Context,
    scope: &Scope,
    id: Uuid,
    body: Body,
    bytes_max: u64,
) -> Result<ImportRow, Problem> {
    let data_dir = &context.settings.data_dir;
    let unfinished = files::unfinished(data_dir, scope.account(), id);
    let bytes = receive(&unfinished, body, bytes_max).await?;
    let path = files::path(data_dir, scope.account(), id);
    tokio::fs::rename(&unfinished, &path)
        .await
        .map_err(|error| disk(&error))?;
    let mut tx = context.access.begin(scope, Cause::outside()).await?;
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let waits = store::import_uploaded(&mut tx, id, bytes)
        .await
        .map_err(AccessError::from)?;
    if !waits {
        return Err(Problem::conflict("the import was ended during the upload"));
    }
    let options = JobOptions {
        heartbeat: Some(HEARTBEAT),
        ..JobOptions::default()
    };
    tx.enqueue(&RunImport { import: id }, options).await?;
    let row = store::import_by_id(&mut tx, id)
        .await
        .map_err(AccessError::from)?;
    tx.commit().await?;
    row.ok_or_else(|| Problem::not_found(format!("there is no import {id}")))
}

/// Nothing stays of an upload that came to nothing.
async fn give_up(context: &Context, scope: &Scope, id: Uuid) {
    let data_dir = &context.settings.data_dir;
    files::remove(&files::unfinished(data_dir, scope.account(), id)).await;
    let removed = async {
        let mut tx = context.access.begin(scope, Cause::outside()).await?;
        store::import_remove(&mut tx, id).await?;
        tx.commit().await
    };
    match removed.await {
        Ok(()) => files::remove(&files::path(data_dir, scope.account(), id)).await,
        Err(error) => tracing::warn!(%error, "an upload that broke off is removed with the next start"),
    }
}

/// Lists imports.
#[utoipa::path(get, path = "/imports", tag = "imports",
    responses((status = OK, body = ImportList), (status = 401, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn import_list(
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
pub(super) async fn import_get(
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
pub(super) async fn import_cancel(
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
