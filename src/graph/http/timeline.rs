//! What happened, newest first: of everything, or around a person, a place or anything else.

use std::sync::Arc;

use axum::extract::{Query, State};
use chrono::{DateTime, Utc};
use contracts::Problem;
use serde::{Deserialize, Serialize};
use spine::AccessError;
use spine::edge::{Caller, Cursor, DATABASE_TIME_MAX, DATABASE_TIME_MIN, Json, page, page_size};
use spine::ports::Entity;
use uuid::Uuid;

use super::entities::missing;
use crate::store::Stretch;
use crate::{Graph, store};

/// Which stretch of which timeline.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimelineQuery {
    /// Around this entity only: a person, a place, whatever it is; its id, or `me`.
    about: Option<String>,
    /// Of this type only, such as `Message`.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// From this moment on (RFC 3339).
    since: Option<DateTime<Utc>>,
    /// Before this moment (RFC 3339).
    until: Option<DateTime<Utc>>,
    /// How many, 1 to 200; 50 if not said.
    limit: Option<u32>,
    /// Where the list goes on.
    cursor: Option<String>,
}

/// A page of a timeline.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct TimelinePage {
    /// Newest first.
    items: Vec<Entity>,
    /// Where the list goes on, further back; absent on the last page.
    next_cursor: Option<String>,
}

/// What happened, newest first.
///
/// Around a person stands what names an address that she bears now, and what is related to her.
#[utoipa::path(get, path = "/timeline", tag = "graph", params(TimelineQuery),
    responses(
        (status = 200, body = TimelinePage),
        (status = 404, description = "There is no such entity", body = Problem),
    )
)]
pub(crate) async fn timeline(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    Query(query): Query<TimelineQuery>,
) -> Result<Json<TimelinePage>, Problem> {
    let size = page_size(query.limit)?;
    let cursor = Cursor::read_dated(query.cursor.as_deref())?;
    let mut tx = graph.begin(&caller).await?;
    if let Some(kind) = &query.kind {
        let types = graph.types(&mut tx).await?;
        types.get(kind).map_err(Problem::bad_request)?;
    }
    let until = (query.until.unwrap_or(DATABASE_TIME_MAX), Uuid::nil());
    let stretch = Stretch {
        kind: query.kind.as_deref(),
        since: query.since.unwrap_or(DATABASE_TIME_MIN).max(DATABASE_TIME_MIN),
        before: cursor.unwrap_or(until).min((DATABASE_TIME_MAX, Uuid::max())),
        limit: size as i64 + 1,
    };
    let items = match &query.about {
        None => store::timeline_all(&mut tx, &stretch).await,
        Some(named) => {
            let id = graph.resolve(&mut tx, named).await?;
            let root = store::entity_root(&mut tx, id).await.map_err(AccessError::from)?;
            let Some(root) = root else {
                return Err(missing(&mut tx, id).await);
            };
            let members = store::entity_members(&mut tx, root)
                .await
                .map_err(AccessError::from)?;
            let abouts = store::timeline_abouts(&mut tx, &members)
                .await
                .map_err(AccessError::from)?;
            store::timeline_about(&mut tx, &abouts, &stretch).await
        }
    };
    let items = items.map_err(AccessError::from)?;
    let (items, next_cursor) = page(items, size, |item| {
        (item.starts_at.unwrap_or(item.created_at), item.id.0)
    });
    let asked = format!(
        "timeline?about={}&type={}",
        query.about.as_deref().map_or("*", |_| "…"),
        query.kind.as_deref().unwrap_or("*")
    );
    tx.audit("read", asked, Some(items.len() as u64))?;
    tx.commit().await?;
    Ok(Json(TimelinePage { items, next_cursor }))
}
