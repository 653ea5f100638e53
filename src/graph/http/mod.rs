//! The routes of the graph, below `/api/v1`.
//!
//! Invariant: what a caller writes here is the owner's own word (`by: user`), audited one by one; a read is audited
//! once, with its count. `me` stands for the owner's Person wherever an entity's id does.
//! Begin with [`router`].

mod entities;
mod entity_write;
mod history;
mod identity;
mod neighbours;
mod once;
mod raw_records;
mod relations;
mod timeline;

pub(crate) use timeline::{DATABASE_TIME_MAX, DATABASE_TIME_MIN};

use std::sync::Arc;

use chrono::{DateTime, Utc};
use contracts::{EntityId, Problem};
use serde::{Deserialize, Serialize};
use spine::edge::Caller;
use spine::ports::{Entity, GraphRead};
use spine::{Cause, ScopedTx};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::Graph;

const PAGE_DEFAULT: u32 = 50;
const PAGE_MAX: u32 = 200;

pub(crate) fn router(graph: Arc<Graph>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(entities::list, entity_write::create))
        .routes(routes!(entities::detail, entity_write::update, identity::remove))
        .routes(routes!(identity::restore))
        .routes(routes!(identity::erase))
        .routes(routes!(identity::merge))
        .routes(routes!(identity::unmerge))
        .routes(routes!(identity::tell_apart))
        .routes(routes!(identity::decisions))
        .routes(routes!(identity::settle))
        .routes(routes!(history::history))
        .routes(routes!(neighbours::neighbours))
        .routes(routes!(timeline::timeline))
        .routes(routes!(relations::create))
        .routes(routes!(relations::remove))
        .routes(routes!(raw_records::list))
        .with_state(graph)
}

impl Graph {
    async fn begin(&self, caller: &Caller) -> Result<ScopedTx, Problem> {
        Ok(self.access.begin(&caller.0, Cause::outside()).await?)
    }

    /// The id that a caller names, as `me` or as a UUID.
    async fn resolve(&self, tx: &mut ScopedTx, named: &str) -> Result<EntityId, Problem> {
        if named == "me" {
            return Ok(self.me(tx).await?);
        }
        named.parse().map_err(|_| {
            Problem::bad_request(
                "an entity is named by its id, a UUID, or by `me` for the owner's own Person",
            )
        })
    }
}

/// Where a list goes on: after the moment and id of the last item, in a form that callers hand back unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    at: DateTime<Utc>,
    id: Uuid,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_{}", self.at.timestamp_micros(), self.id.simple())
    }
}

impl std::str::FromStr for Cursor {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let parsed = text.split_once('_').and_then(|(micros, id)| {
            let at = DateTime::from_timestamp_micros(micros.parse().ok()?)
                .filter(|at| *at >= DateTime::UNIX_EPOCH)?;
            Some(Self {
                at,
                id: Uuid::parse_str(id).ok()?,
            })
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

/// Cuts a list that was read one longer than the page, and says where the next page begins.
fn page<T>(mut items: Vec<T>, size: usize, cursor: impl Fn(&T) -> Cursor) -> (Vec<T>, Option<String>) {
    let more = items.len() > size;
    items.truncate(size);
    let next = items.last().filter(|_| more).map(|last| cursor(last).to_string());
    (items, next)
}

/// An entity with where everything about it comes from.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct EntityDetail {
    /// The entity as it is shown.
    #[serde(flatten)]
    entity: Entity,
    /// By what it is known.
    identifiers: Vec<IdentifierView>,
    /// How it is related, in both directions, newest first, at most 200.
    relations: Vec<RelationView>,
    /// What each source said and says of it, newest first, at most 200.
    claims: Vec<ClaimView>,
    /// Entities that were merged into it; each can be taken out again.
    merged: Vec<Uuid>,
}

/// An address or id, with who says that the entity bears it.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct IdentifierView {
    /// Such as `tel`.
    scheme: String,
    /// In its one spelling.
    value: String,
    /// `user`, `connector`, `rule`, `agent` or `peer`.
    asserted_by: String,
    /// Through what.
    source: String,
    /// Since when the graph knows.
    recorded_at: DateTime<Utc>,
}

/// A relation, with who says so.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct RelationView {
    /// Its id.
    id: Uuid,
    /// From which entity.
    from: Uuid,
    /// What the second is to the first.
    predicate: String,
    /// To which entity.
    to: Uuid,
    /// The title of the end that isn't this entity.
    other_title: Option<String>,
    /// `user`, `connector`, `rule`, `agent` or `peer`.
    asserted_by: String,
    /// Through what.
    source: String,
    /// Since when the graph knows.
    recorded_at: DateTime<Utc>,
}

/// What one source said, from when until when.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct ClaimView {
    /// `user`, `connector`, `rule`, `agent` or `peer`.
    asserted_by: String,
    /// Through what.
    source: String,
    /// The title that it gave.
    title: Option<String>,
    /// The properties that it gave.
    #[schema(value_type = Object)]
    props: serde_json::Value,
    /// When it says that it happened or began.
    starts_at: Option<DateTime<Utc>>,
    /// 0 to 1.
    confidence: f32,
    /// Since when the graph has it from this source.
    recorded_from: DateTime<Utc>,
    /// Until when; absent: it still holds.
    recorded_to: Option<DateTime<Utc>>,
    /// The record that it was read from.
    raw_record: Option<Uuid>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_given_and_nothing_else_passes_for_one() {
        let cursor = Cursor {
            at: DateTime::from_timestamp_micros(1_780_000_000_123_456).unwrap(),
            id: Uuid::now_v7(),
        };
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        for bad in [
            "",
            "_",
            "1_",
            "-1_00000000000000000000000000000000",
            "x",
            "99999999999999999999_0",
        ] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_page_has_no_next_one() {
        let cursor = |id: &u128| Cursor {
            at: DateTime::UNIX_EPOCH,
            id: Uuid::from_u128(*id),
        };
        assert_eq!(page(vec![1, 2], 2, cursor), (vec![1, 2], None));
        let (items, next) = page(vec![1, 2, 3], 2, cursor);
        assert_eq!(
            (items, next.unwrap().parse::<Cursor>().unwrap().id.as_u128()),
            (vec![1, 2], 2)
        );
        assert!(page_size(Some(0)).is_err() && page_size(Some(201)).is_err());
    }
}
