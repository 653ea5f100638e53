//! The routes of media, below `/api/v1`.
//!
//! Invariant: what is served is bytes, never a page of the hub: a browser may neither guess another type nor run
//! anything in it. Writes are audited one by one, reads once with their count. Begin with [`router`].

mod content;
mod range;
mod upload;
mod view;

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use contracts::jobs::CollectMedia;
use contracts::{EntityId, Problem};
use serde::Deserialize;
use spine::edge::{Caller, Json};
use spine::ports::MediaError;
use spine::{AccessError, Cause, ScopedTx};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::caretaker::at_once;
use crate::check::Report;
use crate::keep::Keeper;
use crate::store::{self, Blob};
use view::{MediaList, MediaView};

const PAGE_DEFAULT: u32 = 50;
const PAGE_MAX: u32 = 200;

type Desk = State<Arc<Keeper>>;

pub(crate) fn router(keeper: Arc<Keeper>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(upload::create, list))
        .routes(routes!(check))
        .routes(routes!(detail, remove))
        .routes(routes!(content::get))
        .with_state(keeper)
}

impl Keeper {
    async fn begin_for(&self, caller: &Caller) -> Result<ScopedTx, Problem> {
        Ok(self.context.access.begin(&caller.0, Cause::outside()).await?)
    }
}

fn refused(error: MediaError) -> Problem {
    match error {
        MediaError::Access(error) => error.into(),
        MediaError::Refused(reason) => Problem::unprocessable(reason),
    }
}

/// The content of a MediaObject in a path; what is no id names nothing.
async fn found(tx: &mut ScopedTx, id: &str) -> Result<Blob, Problem> {
    let shown: String = id.chars().take(60).filter(|c| !c.is_control()).collect();
    let missing = || Problem::not_found(format!("there is no media {shown}"));
    let id: EntityId = id.parse().map_err(|_| missing())?;
    let blob = store::blob_by_entity(tx, id.0).await.map_err(AccessError::from)?;
    blob.ok_or_else(missing)
}

/// Which media.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only of types that begin so, such as `image/` or `application/pdf`.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    kind: Option<String>,
    /// 1 to 200; 50 unless told.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Lists what is kept, newest first.
#[utoipa::path(get, path = "/media", tag = "media", params(ListQuery),
    responses((status = OK, body = MediaList), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 503, body = Problem)))]
async fn list(
    State(keeper): Desk,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<MediaList>, Problem> {
    let limit = match query.limit.unwrap_or(PAGE_DEFAULT) {
        limit @ 1..=PAGE_MAX => limit as usize,
        _ => return Err(Problem::bad_request(format!("`limit` is 1 to {PAGE_MAX}"))),
    };
    let before = query.cursor.as_deref().map_or_else(first, read_cursor)?;
    let mut tx = keeper.begin_for(&caller).await?;
    let mut rows = store::blob_list(&mut tx, before, query.kind.as_deref(), limit as i64 + 1)
        .await
        .map_err(AccessError::from)?;
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| has_more).map(cursor);
    tx.audit("read", "media", Some(rows.len() as u64))?;
    tx.commit().await?;
    Ok(Json(MediaList {
        items: rows.iter().map(MediaView::of).collect(),
        next,
    }))
}

fn first() -> Result<(DateTime<Utc>, Uuid), Problem> {
    Ok((far_away(), Uuid::max()))
}

/// Beyond this PostgreSQL has no time.
fn far_away() -> DateTime<Utc> {
    DateTime::from_timestamp(253_402_300_799, 0).unwrap_or_default()
}

fn cursor(last: &Blob) -> String {
    format!("{}_{}", last.created_at.timestamp_micros(), last.entity.simple())
}

fn read_cursor(text: &str) -> Result<(DateTime<Utc>, Uuid), Problem> {
    let parsed = text.split_once('_').and_then(|(micros, id)| {
        let at = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
        Some((at.min(far_away()), Uuid::parse_str(id).ok()?))
    });
    parsed.ok_or_else(|| {
        Problem::bad_request("`cursor` is not one that a list gave; leave it out to begin anew")
    })
}

/// What is known of a content.
#[utoipa::path(get, path = "/media/{id}", tag = "media",
    params(("id" = EntityId, Path, description = "The MediaObject")),
    responses((status = OK, body = MediaView), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 503, body = Problem)))]
async fn detail(
    State(keeper): Desk,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<MediaView>, Problem> {
    let mut tx = keeper.begin_for(&caller).await?;
    let blob = found(&mut tx, &id).await?;
    tx.audit("read", format!("media/{}", blob.entity), Some(1))?;
    tx.commit().await?;
    Ok(Json(MediaView::of(&blob)))
}

/// Removes a content for good, with everything that was made of it; at once, and whoever refers to it. The mail or card
/// that brought it doesn't bring it again; who uploads it does. To be able to
/// take it back, delete the MediaObject (`DELETE /entities/{id}`) instead.
#[utoipa::path(delete, path = "/media/{id}", tag = "media",
    params(("id" = EntityId, Path, description = "The MediaObject")),
    responses((status = NO_CONTENT, description = "It is going"), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn remove(State(keeper): Desk, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let mut tx = keeper.begin_for(&caller).await?;
    let blob = found(&mut tx, &id).await?;
    let hash = blob.hash();
    store::hash_lock(&mut tx, &hash)
        .await
        .map_err(AccessError::from)?;
    store::removed_add(&mut tx, &hash)
        .await
        .map_err(AccessError::from)?;
    store::references_delete(&mut tx, &hash)
        .await
        .map_err(AccessError::from)?;
    store::blob_mark(&mut tx, &hash)
        .await
        .map_err(AccessError::from)?;
    tx.enqueue(&CollectMedia {}, at_once()).await?;
    tx.audit("write", format!("media/{}", blob.entity), None)?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Compares what is kept with what lies in the store; reads only.
#[utoipa::path(get, path = "/media/check", tag = "media",
    responses((status = OK, body = Report), (status = 401, body = Problem), (status = 503, body = Problem)))]
async fn check(State(keeper): Desk, caller: Caller) -> Result<Json<Report>, Problem> {
    let mut tx = keeper.begin_for(&caller).await?;
    tx.audit("read", "media/check", None)?;
    tx.commit().await?;
    Ok(Json(keeper.check(&caller.0).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_one_that_a_list_gave_or_refused() {
        let id = Uuid::now_v7();
        let text = format!("1780000000123456_{}", id.simple());
        let (at, read) = read_cursor(&text).unwrap();
        assert_eq!((at.timestamp_micros(), read), (1_780_000_000_123_456, id));
        for bad in ["", "_", "1_", "x_0", "99999999999999999999_0"] {
            assert!(read_cursor(bad).is_err(), "{bad}");
        }
    }
}
