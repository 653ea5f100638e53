//! What came in and could not be understood, for all to see.

use std::sync::Arc;

use axum::extract::{Query, State};
use chrono::{DateTime, Utc};
use contracts::Problem;
use serde::{Deserialize, Serialize};
use spine::AccessError;
use spine::edge::{Caller, Cursor, Json, page, page_size};
use uuid::Uuid;

use crate::{Graph, store};

/// Which records.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawQuery {
    /// `parked` or `processed`; both if not said.
    status: Option<String>,
    /// Of sources that begin so, such as `import/` or `twilio/`.
    source: Option<String>,
    /// How many at most: 1 to 200, 50 if not said.
    limit: Option<u32>,
    /// Where the list before this one ended.
    cursor: Option<String>,
}

/// A page of raw records.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct RawRecordPage {
    /// Newest first.
    items: Vec<RawRecordView>,
    /// For the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A record as a source sent it, without its bytes.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct RawRecordView {
    /// Its id.
    id: Uuid,
    /// The connection that it came by.
    connection: Option<Uuid>,
    /// The source.
    source: String,
    /// The stream within the source.
    stream: String,
    /// The media type of its bytes.
    media_type: String,
    /// `processed` or `parked`.
    status: String,
    /// Why it is parked.
    reason: Option<String>,
    /// How often it was tried.
    tries: i32,
    /// When it came.
    received_at: DateTime<Utc>,
}

/// Lists raw records, newest first.
#[utoipa::path(get, path = "/raw-records", tag = "graph", params(RawQuery), responses(
    (status = 200, body = RawRecordPage),
    (status = 400, description = "The status, cursor or limit is not one", body = Problem),
))]
pub(crate) async fn list(
    State(graph): State<Arc<Graph>>,
    caller: Caller,
    Query(query): Query<RawQuery>,
) -> Result<Json<RawRecordPage>, Problem> {
    let size = page_size(query.limit)?;
    let before = Cursor::read_dated(query.cursor.as_deref())?;
    let status = query.status.as_deref();
    if !matches!(status, None | Some("parked" | "processed")) {
        return Err(Problem::bad_request("`status` is `parked` or `processed`"));
    }
    if query
        .source
        .as_deref()
        .is_some_and(|source| source.contains('\0'))
    {
        return Err(Problem::bad_request(
            "`source` holds the character NUL, which no source has",
        ));
    }
    let mut tx = graph.begin(&caller).await?;
    let filter = store::RawFilter {
        status,
        source: query.source.as_deref(),
        before,
        limit: size as i64 + 1,
    };
    let rows = store::raw_list(&mut tx, &filter)
        .await
        .map_err(AccessError::from)?;
    let (rows, next_cursor) = page(rows, size, |row| (row.received_at, row.id));
    tx.audit(
        "read",
        format!("raw-records?status={}", status.unwrap_or("*")),
        Some(rows.len() as u64),
    )?;
    tx.commit().await?;
    Ok(Json(RawRecordPage {
        items: rows.into_iter().map(Into::into).collect(),
        next_cursor,
    }))
}

impl From<store::RawHead> for RawRecordView {
    fn from(head: store::RawHead) -> Self {
        Self {
            id: head.id,
            connection: head.connection,
            source: head.source,
            stream: head.stream,
            media_type: head.media_type,
            status: head.status,
            reason: head.reason,
            tries: head.tries,
            received_at: head.received_at,
        }
    }
}
