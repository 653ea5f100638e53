//! The account's events: a page of them, and live.

use axum::extract::{Query, State as Shared};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use contracts::events::state::{FactChanged, FactExpired};
use contracts::{Event, EventPayload, Position, Problem};
use serde::Serialize;
use spine::edge::{Caller, Json, page_by};
use spine::log::reader::{self, Filter};
use spine::{AccessError, Cause, ScopedTx};
use utoipa::ToSchema;

use super::{number, unknown_parameter};
use crate::{State, sse};

const PAGE_EVENTS: i64 = 50;
const PAGE_EVENTS_MAX: i64 = 500;
const TYPES_MAX: usize = 50;

/// A stretch of the log.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventPage {
    /// Oldest first.
    items: Vec<Event>,
    /// Give it as `after` for what comes next; null when there is nothing yet.
    next_after: Option<Position>,
    /// Give it as `before` for what was before; null when nothing was, and on a page that was asked for by `after`.
    next_before: Option<Position>,
}

/// Which stretch of the log is wanted, as the document of the interface tells it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`Wish` reads them, since one of them may be repeated")]
pub(crate) struct Stretch {
    /// Only these types; repeat it for several.
    #[param(rename = "type")]
    kind: Option<Vec<String>>,
    /// Only what one occurrence set off.
    correlation: Option<uuid::Uuid>,
    /// Only after this position, the oldest of them first.
    after: Option<i64>,
    /// Only before this position, the newest of them.
    before: Option<i64>,
    /// 1 to 500; 50 when it is not given.
    limit: Option<i64>,
}

/// The account's events. With `after`, those that follow that position; without, the newest, or the newest before
/// `before`.
#[utoipa::path(get, path = "/events", tag = "events", params(Stretch), responses(
    (status = 200, body = EventPage),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn event_list(
    Shared(state): Shared<State>,
    caller: Caller,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<EventPage>, Problem> {
    let wish = Wish::parse(pairs)?;
    let mut tx = state.context.access.begin(&caller.0, Cause::outside()).await?;
    Ok(Json(wish.page(&mut tx).await?))
}

/// The hub's own audit: wrong tokens and passwords of strangers with their addresses, accounts made and erased, who
/// looked at it. For the operator, and for the hub's owner, signed in. Parameters as for `/events`.
#[utoipa::path(get, path = "/audit/instance", tag = "audit", params(Stretch), responses(
    (status = 200, body = EventPage),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn instance_audit(
    Shared(state): Shared<State>,
    caller: Caller,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<EventPage>, Problem> {
    require_owner(&state, &caller).await?;
    let wish = Wish::parse(pairs)?;
    let scope = state.gate.on_instance(&caller.0);
    let mut tx = state.context.access.begin(&scope, Cause::outside()).await?;
    let page = wish.page(&mut tx).await?;
    let account = caller.0.account();
    tx.audit(
        "read",
        format!("instance/events by account/{account}"),
        Some(page.items.len() as u64),
    )?;
    tx.commit().await?;
    Ok(Json(page))
}

async fn require_owner(state: &State, caller: &Caller) -> Result<(), Problem> {
    caller.require_person()?;
    let owner = state.context.ports.account_directory().account_of_owner();
    if caller.is_operator() || owner.await? == Some(caller.0.account()) {
        return Ok(());
    }
    Err(Problem::forbidden("only the hub's owner may read the hub's own audit").hint("ask the hub's owner"))
}

/// The account's events as they happen (server-sent events; the id of each is its position). It begins after
/// `Last-Event-ID` or `after`, else now, and ends after some minutes: clients come back by themselves.
#[utoipa::path(get, path = "/events/stream", tag = "events", params(
    ("type" = Option<Vec<String>>, Query, description = "Only these types; repeat it for several."),
    ("correlation" = Option<uuid::Uuid>, Query, description = "Only what one occurrence set off."),
    ("after" = Option<i64>, Query, description = "Only after this position."),
    ("Last-Event-ID" = Option<i64>, Header, description = "Where the last stream ended."),
), responses(
    (status = 200, description = "A stream without end.", body = String, content_type = "text/event-stream"),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Too many streams.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn event_stream(
    Shared(state): Shared<State>,
    caller: Caller,
    headers: HeaderMap,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let wish = Wish::parse(pairs)?;
    if wish.before.is_some() {
        return Err(unknown_parameter("before"));
    }
    follow(state, caller, &headers, wish).await
}

/// What changes in the present as it happens: `state.FactChanged` and `state.FactExpired`, as server-sent events; the
/// id of each is its position. It begins after `Last-Event-ID` or `after`, else now, and ends after some minutes.
#[utoipa::path(get, path = "/state/live", tag = "state", params(
    ("after" = Option<i64>, Query, description = "Only after this position."),
    ("Last-Event-ID" = Option<i64>, Header, description = "Where the last stream ended."),
), responses(
    (status = 200, description = "A stream without end.", body = String, content_type = "text/event-stream"),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Too many streams.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn state_stream(
    Shared(state): Shared<State>,
    caller: Caller,
    headers: HeaderMap,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    if let Some((other, _)) = pairs.iter().find(|(key, _)| key != "after") {
        return Err(unknown_parameter(other));
    }
    let mut wish = Wish::parse(pairs)?;
    wish.filter.types = vec![FactChanged::TYPE.to_owned(), FactExpired::TYPE.to_owned()];
    follow(state, caller, &headers, wish).await
}

async fn follow(state: State, caller: Caller, headers: &HeaderMap, wish: Wish) -> Result<Response, Problem> {
    let last = match headers.get("last-event-id") {
        Some(id) => Some(number("Last-Event-ID", id.to_str().unwrap_or_default())?),
        None => wish.after,
    };
    let place = state.places.take(caller.0.account()).ok_or_else(|| {
        Problem::unavailable("as many programs follow these events as the hub can serve", 30)
    })?;
    let after = match last {
        Some(after) => after,
        None => {
            state
                .context
                .access
                .begin(&caller.0, Cause::outside())
                .await?
                .log_head()
                .await?
        }
    };
    let live = sse::Live {
        scope: caller.0,
        filter: wish.filter,
        after,
        head: state.admin.head(),
        stop: state.streams,
        context: state.context,
        _place: place,
    };
    Ok(live.stream().into_response())
}

/// What somebody wants to see.
#[derive(Debug)]
struct Wish {
    filter: Filter,
    after: Option<Position>,
    before: Option<Position>,
    limit: i64,
}

impl Wish {
    async fn page(&self, tx: &mut ScopedTx) -> Result<EventPage, AccessError> {
        let (items, next_before) = match self.after {
            Some(after) => {
                let items = reader::event_list(tx, &self.filter, after, self.limit).await?;
                (items, None)
            }
            None => self.newest(tx).await?,
        };
        Ok(EventPage {
            next_after: items.last().map(|event| event.position).or(self.after),
            items,
            next_before,
        })
    }

    async fn newest(&self, tx: &mut ScopedTx) -> Result<(Vec<Event>, Option<Position>), AccessError> {
        let before = self.before.unwrap_or(Position::MAX);
        let newest = reader::event_tail(tx, &self.filter, before, self.limit + 1).await?;
        let size = usize::try_from(self.limit).unwrap_or_default();
        let (mut items, next_before) = page_by(newest, size, |oldest| oldest.position);
        items.reverse();
        Ok((items, next_before))
    }

    fn parse(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut wish = Self {
            filter: Filter::default(),
            after: None,
            before: None,
            limit: PAGE_EVENTS,
        };
        for (key, value) in pairs {
            match key.as_str() {
                "type" => wish.filter.types.push(value),
                "correlation" => {
                    let id = value
                        .parse()
                        .map_err(|_| Problem::bad_request("correlation is not a UUID"))?;
                    wish.filter.correlation = Some(id);
                }
                "after" => wish.after = Some(number("after", &value)?),
                "before" => wish.before = Some(number("before", &value)?),
                "limit" => wish.limit = number("limit", &value)?.clamp(1, PAGE_EVENTS_MAX),
                _ => return Err(unknown_parameter(&key)),
            }
        }
        if wish.after.is_some() && wish.before.is_some() {
            return Err(Problem::bad_request(
                "`after` and `before` lead opposite ways: give one of them",
            ));
        }
        if wish.filter.types.len() > TYPES_MAX {
            return Err(Problem::bad_request(format!(
                "at most {TYPES_MAX} types can be asked for at once"
            )));
        }
        Ok(wish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Wish, Problem> {
        Wish::parse(
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn several_types_are_asked_for_by_repeating_the_parameter() {
        let wish = parse(&[
            ("type", "a.B"),
            ("type", "c.D"),
            ("after", "7"),
            ("limit", "9999"),
        ])
        .unwrap();
        assert_eq!(wish.filter.types, ["a.B", "c.D"]);
        assert_eq!((wish.after, wish.limit), (Some(7), 500));
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (key, value) in [
            ("after", "x"),
            ("after", "-1"),
            ("limit", ""),
            ("before", "x"),
            ("correlation", "1"),
            ("tpye", "a.B"),
        ] {
            let problem = parse(&[(key, value)]).unwrap_err();
            assert_eq!(problem.status, 400);
            assert!(problem.detail.unwrap().contains(key));
        }
    }
}
