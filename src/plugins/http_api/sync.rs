//! `POST /connections/{id}/sync`: what the owner wants to be read now.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use contracts::{ConnectionId, Problem};
use http::StatusCode;
use serde::Deserialize;
use spine::edge::{Caller, Json};
use utoipa::ToSchema;

use super::view::Reading;
use super::{Id, begin_on};
use crate::manager::Manager;
use crate::manifest::hint;
use crate::reconcile;

/// What is to be read.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Only the stream of this name.
    #[serde(default)]
    stream: Option<String>,
    /// True: from the beginning, not from where the last reading came to.
    #[serde(default)]
    whole: bool,
}

/// Reads a connection's streams now, without waiting for their schedule.
#[utoipa::path(
    post, path = "/connections/{id}/sync", tag = "connections", params(("id" = ConnectionId, Path)),
    request_body = Wanted,
    responses((status = 202, body = Reading), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem))
)]
pub(crate) async fn connection_sync(
    State(manager): State<Manager>,
    caller: Caller,
    Path(id): Id,
    Json(wanted): Json<Wanted>,
) -> Result<Response, Problem> {
    let (mut tx, connection) = begin_on(&manager, &caller, id).await?;
    if connection.paused {
        return Err(
            Problem::conflict("the connection is paused").hint("resume it; that reads its streams, too")
        );
    }
    let plugin = connection.plugin.clone();
    let ready = manager.ready(connection).ok_or_else(|| {
        Problem::conflict(format!("the plugin {plugin} is not installed, or can't be used"))
    })?;
    let manifest = &ready.pack.manifest;
    if let Some(name) = &wanted.stream
        && manifest.stream(name).is_none()
    {
        let hint = hint(name, manifest.streams.iter().map(|stream| stream.name.as_str()));
        return Err(Problem::unprocessable(format!(
            "{plugin} has no stream `{name}`{hint}"
        )));
    }
    if manifest.streams.is_empty() && manifest.functions.reconcile.is_none() {
        return Err(Problem::unprocessable(format!(
            "{plugin} has nothing that could be read"
        )));
    }
    let streams = manager
        .sync_now(&mut tx, &ready, wanted.stream.as_deref(), wanted.whole)
        .await?;
    if manifest.functions.reconcile.is_some() {
        reconcile::enqueue(&mut tx, id).await?;
    }
    tx.audit("act", format!("connection/{id}/sync"), None)?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(Reading { streams })).into_response())
}
