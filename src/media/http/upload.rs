//! Uploading: a stream onto the disk, hashed and measured on its way.
//!
//! Invariant: no more than the limits is ever written, and whoever falls silent is given up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use contracts::Problem;
use futures::StreamExt;
use serde::Deserialize;
use spine::AccessError;
use spine::edge::{Caller, Json};

use super::view::MediaView;
use super::{Desk, refused};
use crate::digest;
use crate::keep::{Keeper, Told};
use crate::staging::{Refusal, Staged, Upload};
use crate::store;

/// Who uploads says something at least this often, and comes to an end within this.
const PATIENCE: Duration = Duration::from_secs(30);
const WHOLE_WITHIN: Duration = Duration::from_secs(6 * 3600);

/// What is uploaded.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct UploadQuery {
    /// The file's name, for people.
    filename: Option<String>,
}

/// Keeps a file. `Content-Type` is a hint, the content decides; with `Content-Digest` (RFC 9530, sha-256) the file is
/// taken only as it was sent. The same file a second time adds nothing.
#[utoipa::path(post, path = "/media", tag = "media", params(UploadQuery),
    request_body(content_type = "application/octet-stream", description = "The file"),
    responses((status = CREATED, body = MediaView), (status = OK, description = "It was there", body = MediaView),
        (status = 400, description = "It is empty, cut off, or not what its digest says", body = Problem),
        (status = 401, body = Problem), (status = 408, body = Problem), (status = 413, body = Problem),
        (status = 503, body = Problem), (status = 507, description = "The account has no room", body = Problem)))]
pub(super) async fn create(
    State(keeper): Desk,
    caller: Caller,
    Query(query): Query<UploadQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let said = digest::said(&headers).map_err(Problem::bad_request)?;
    let mut staged = receive(&keeper, &caller, &headers, body).await?;
    if said.is_some_and(|said| said != staged.hash) {
        return Err(
            Problem::bad_request("what arrived is not what its digest says; nothing was kept")
                .hint("send it again"),
        );
    }
    let declared = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let told = Told::new(query.filename.as_deref(), declared, None);
    let kept = keep(&keeper, &caller, &mut staged, &told).await;
    keeper.blobs.forget(&staged).await;
    let (view, created) = kept?;
    let status = if created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let place = [(header::LOCATION, format!("/api/v1/media/{}", view.1))];
    Ok((status, place, Json(view.0)).into_response())
}

type Shown = (MediaView, contracts::EntityId);

async fn keep(
    keeper: &Arc<Keeper>,
    caller: &Caller,
    staged: &mut Staged,
    told: &Told,
) -> Result<(Shown, bool), Problem> {
    let mut tx = keeper.begin_for(caller).await?;
    let known = store::blob_by_hash(&mut tx, &staged.hash)
        .await
        .map_err(AccessError::from)?;
    drop(tx);
    if known.is_none() {
        keeper.blobs.bring(caller.0.account(), staged).await?;
    }
    let mut tx = keeper.begin_for(caller).await?;
    let kept = keeper.keep_staged(&mut tx, staged, told).await.map_err(refused)?;
    tx.audit("write", format!("media/{}", kept.media), None)?;
    let blob = store::blob_by_hash(&mut tx, &staged.hash)
        .await
        .map_err(AccessError::from)?;
    tx.commit().await?;
    let blob = blob.ok_or_else(|| Problem::not_found("the file went while it came"))?;
    Ok(((MediaView::of(&blob), kept.media), kept.created))
}

/// Everything onto the disk.
async fn receive(
    keeper: &Keeper,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<Staged, Problem> {
    let mut tx = keeper.begin_for(caller).await?;
    // Before any byte is: so that the sweep knows where to look for what a kill leaves.
    store::account_note(&mut tx).await.map_err(AccessError::from)?;
    let used = store::bytes_kept(&mut tx).await.map_err(AccessError::from)?;
    tx.commit().await?;
    let most = keeper.context.settings.media.account_bytes_max;
    let upload = keeper.staging.begin(caller.0.account(), used, most).await;
    let mut upload = upload.map_err(told)?;
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if let Some(bytes) = announced {
        upload.expect(bytes).map_err(told)?;
    }
    write(&mut upload, body).await?;
    upload.finish().await.map_err(told)
}

async fn write(upload: &mut Upload, body: Body) -> Result<(), Problem> {
    let (mut stream, begun) = (body.into_data_stream(), Instant::now());
    loop {
        let silent = || Problem::new(StatusCode::REQUEST_TIMEOUT, "the upload stopped on its way");
        if begun.elapsed() > WHOLE_WITHIN {
            return Err(silent());
        }
        let next = tokio::time::timeout(PATIENCE, stream.next()).await;
        match next.map_err(|_| silent())? {
            None => return Ok(()),
            Some(Err(_)) => return Err(Problem::bad_request("the upload was cut off")),
            Some(Ok(chunk)) => upload.write(&chunk).await.map_err(told)?,
        }
    }
}

fn told(refusal: Refusal) -> Problem {
    let text = refusal.to_string();
    match refusal {
        Refusal::Empty => Problem::bad_request(text),
        Refusal::TooLarge(_) => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text)
            .hint("the hub's owner sets `media.file_bytes_max`"),
        Refusal::Full { .. } => Problem::new(StatusCode::INSUFFICIENT_STORAGE, text)
            .hint("remove something, or ask the hub's owner, who sets `media.account_bytes_max`"),
        Refusal::Disk(error) => crate::disk::disk(error).into(),
    }
}
