//! Events that a consumer could not handle: see them, try them again, or let a consumer read a stretch again.

use axum::extract::{Path, Query, State as Shared};
use contracts::{EventId, Lane, Position, Problem};
use serde::{Deserialize, Serialize};
use spine::edge::{Caller, Json, page_by, page_size, unknown_cursor};
use spine::log::consumer::{self, Parked};
use spine::{Cause, HandleError};
use utoipa::ToSchema;

use crate::State;

/// Events that lie parked.
#[derive(Serialize, ToSchema)]
pub(crate) struct ParkedList {
    /// Oldest first.
    items: Vec<Parked>,
    /// Where the next page begins: pass it as `cursor`. Absent: this is the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParkedWanted {
    /// How many at most: 1 to 200, 50 if not said.
    limit: Option<u32>,
    /// Where the last page ended: its `next_cursor`.
    cursor: Option<String>,
}

/// The account's parked events, each with the reason.
#[utoipa::path(get, path = "/events/parked", tag = "events", params(ParkedWanted), responses(
    (status = 200, body = ParkedList),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn parked_list(
    Shared(state): Shared<State>,
    caller: Caller,
    Query(wanted): Query<ParkedWanted>,
) -> Result<Json<ParkedList>, Problem> {
    let size = page_size(wanted.limit)?;
    let after = match &wanted.cursor {
        Some(cursor) => place(cursor).ok_or_else(unknown_cursor)?,
        None => (0, ""),
    };
    let mut tx = state.context.access.begin(&caller.0, Cause::outside()).await?;
    let items = consumer::parked_list(&mut tx, after, size as i64 + 1).await?;
    let (items, next_cursor) = page_by(items, size, |last| format!("{}_{}", last.position, last.consumer));
    Ok(Json(ParkedList { items, next_cursor }))
}

/// The place that a list gave: a position, and the consumer that parked the event there.
fn place(cursor: &str) -> Option<(Position, &str)> {
    let (position, consumer) = cursor.split_once('_')?;
    Some((position.parse().ok()?, consumer))
}

/// That it is done.
#[derive(Serialize, ToSchema)]
pub(crate) struct Done {
    /// Always true: else there is a problem.
    done: bool,
}

/// Handles a parked event again, now.
#[utoipa::path(post, path = "/events/parked/{consumer}/{event}/retry", tag = "events",
    params(("consumer" = String, Path), ("event" = EventId, Path)), responses(
    (status = 200, body = Done),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "It is not parked there.", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It failed again and stays parked.", body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn parked_retry(
    Shared(state): Shared<State>,
    caller: Caller,
    Path((consumer, event)): Path<(String, EventId)>,
) -> Result<Json<Done>, Problem> {
    match state.admin.parked_retry(&caller.0, &consumer, event).await {
        Ok(true) => Ok(Json(Done { done: true })),
        Ok(false) => Err(Problem::not_found("that consumer has no such event parked")),
        Err(HandleError::Access(error)) => Err(error.into()),
        Err(HandleError::Poison(reason)) => Err(Problem::conflict(format!("it failed again: {reason}"))
            .hint("it stays parked with the new reason")),
    }
}

/// From where a consumer shall read again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayWish {
    /// The consumer's name.
    consumer: String,
    /// After which position.
    after: Position,
    /// Which lane; without it, live.
    #[serde(default)]
    lane: Lane,
}

/// Lets a consumer read a lane again from after a position, over all accounts. For the operator.
#[utoipa::path(post, path = "/events/replay", tag = "events", request_body = ReplayWish, responses(
    (status = 200, body = Done),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn replay(
    Shared(state): Shared<State>,
    caller: Caller,
    Json(wish): Json<ReplayWish>,
) -> Result<Json<Done>, Problem> {
    caller.require_operator()?;
    let (consumer, lane, after) = (&wish.consumer, wish.lane, wish.after);
    if !state.admin.replay(&caller.0, consumer, lane, after).await? {
        return Err(
            Problem::not_found("no such consumer has read that far in that lane")
                .hint("`allod status` names the consumers and how far each is"),
        );
    }
    Ok(Json(Done { done: true }))
}
