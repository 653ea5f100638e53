//! The routes of intentions, below `/api/v1`.
//!
//! Invariant: what a caller writes of a task or goal is the owner's own word in the graph, planned in the same
//! transaction, so that a list asked for afterwards holds it. Writes are audited one by one, reads once with their count.
//! Begin with [`router`].

mod goals;
mod schedule_write;
mod schedules;
mod task_done;
mod task_write;
mod tasks;
mod upcoming;
mod words;

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use contracts::{EntityId, Problem};
use serde::Serialize;
use spine::edge::{Caller, Json, REPLAYED, RequestKey};
use spine::{Cause, Context, ScopedTx};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::planner::Planner;

/// Whose keys of idempotency these are.
const SERVICE: &str = "intentions";

/// What the routes work with.
pub(crate) struct Desk {
    context: Context,
    planner: Arc<Planner>,
}

pub(crate) fn router(context: &Context, planner: Arc<Planner>) -> OpenApiRouter {
    let desk = Arc::new(Desk {
        context: context.clone(),
        planner,
    });
    OpenApiRouter::new()
        .routes(routes!(tasks::list, task_write::create))
        .routes(routes!(tasks::detail, task_write::update))
        .routes(routes!(task_done::complete))
        .routes(routes!(task_done::reopen))
        .routes(routes!(goals::list, goals::create))
        .routes(routes!(goals::detail, goals::update))
        .routes(routes!(schedules::list, schedule_write::create))
        .routes(routes!(
            schedules::detail,
            schedule_write::update,
            schedule_write::remove
        ))
        .routes(routes!(schedule_write::pause))
        .routes(routes!(schedule_write::resume))
        .routes(routes!(upcoming::list))
        .with_state(desk)
}

impl Desk {
    async fn begin(&self, caller: &Caller) -> Result<ScopedTx, Problem> {
        Ok(self.context.access.begin(&caller.0, Cause::outside()).await?)
    }
}

/// Ends a request that made something: under its key it answers with this from now on.
async fn made(
    mut tx: ScopedTx,
    key: RequestKey,
    (id, audited): (Uuid, String),
    shown: impl Serialize,
) -> Result<Response, Problem> {
    key.answer(&mut tx, id).await?;
    tx.audit("write", audited, None)?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

/// Ends a request that was made before: shows what it led to.
async fn made_before(mut tx: ScopedTx, audited: String, shown: impl Serialize) -> Result<Response, Problem> {
    tx.audit("read", audited, Some(1))?;
    tx.commit().await?;
    Ok((StatusCode::OK, REPLAYED, Json(shown)).into_response())
}

/// An id of the graph in a path; what isn't one names nothing.
fn entity_id(what: &str, text: &str) -> Result<EntityId, Problem> {
    text.parse()
        .map_err(|_| Problem::not_found(format!("there is no {what} {}", shorten(text))))
}

/// Enough to recognise it by, in a message.
fn shorten(text: &str) -> String {
    text.chars().take(60).filter(|c| !c.is_control()).collect()
}
