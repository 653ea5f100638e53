//! The routes of intentions, below `/api/v1`.
//!
//! Invariant: what a caller writes of a task or goal is the owner's own word in the graph, planned in the same
//! transaction, so that a list asked for afterwards holds it. Writes are audited one by one, reads once with their count.
//! Begin with [`router`].

mod goals;
mod once;
mod schedule_write;
mod schedules;
mod task_done;
mod task_write;
mod tasks;
mod upcoming;
mod words;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use contracts::{EntityId, Problem};
use spine::edge::Caller;
use spine::{Cause, Context, ScopedTx};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::planner::Planner;

const PAGE_DEFAULT: u32 = 50;
const PAGE_MAX: u32 = 200;

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

/// Where a list goes on: after the due moment and id of the last item, in a form that callers hand back unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    due_at: Option<DateTime<Utc>>,
    id: Uuid,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.due_at {
            Some(at) => write!(f, "{}_{}", at.timestamp_micros(), self.id.simple()),
            None => write!(f, "none_{}", self.id.simple()),
        }
    }
}

impl std::str::FromStr for Cursor {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let parsed = text.split_once('_').and_then(|(micros, id)| {
            let due_at = match micros {
                "none" => None,
                micros => Some(DateTime::from_timestamp_micros(micros.parse().ok()?)?),
            };
            let id = Uuid::parse_str(id).ok()?;
            Some(Self { due_at, id })
        });
        parsed.ok_or_else(|| {
            Problem::bad_request("`cursor` is not one that a list gave; leave it out to begin anew")
        })
    }
}

/// The size of a page that is asked for, within bounds.
fn page_size(limit: Option<u32>) -> Result<usize, Problem> {
    match limit.unwrap_or(PAGE_DEFAULT) {
        limit @ 1..=PAGE_MAX => Ok(limit as usize),
        _ => Err(Problem::bad_request(format!("`limit` is 1 to {PAGE_MAX}"))),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_given_and_nothing_else_passes_for_one() {
        for due_at in [None, DateTime::from_timestamp_micros(1_780_000_000_123_456)] {
            let cursor = Cursor {
                due_at,
                id: Uuid::now_v7(),
            };
            assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        }
        for bad in ["", "_", "none_", "1_", "x_0", "99999999999999999999_0"] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
