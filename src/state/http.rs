//! Reads of facts over HTTP: the present, the present as of a position of the log, and the history of one fact.

use axum::extract::{Path, Query, State};
use contracts::{Position, Problem};
use serde::{Deserialize, Serialize};
use spine::edge::{Caller, Json};
use spine::{Access, Cause, Context};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::model::KeptFact;
use crate::store;

const PAGE: i64 = 100;

pub(crate) fn routes(context: &Context) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(fact_list))
        .routes(routes!(fact_get))
        .routes(routes!(fact_history))
        .with_state(context.access.clone())
}

/// Facts.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct FactPage {
    /// In order.
    items: Vec<KeptFact>,
    /// Where the next page of a history begins: pass it as `before`. None: this is the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before: Option<Position>,
}

/// All current facts, by key.
#[utoipa::path(get, path = "/state", tag = "state", responses(
    (status = OK, body = FactPage), (status = 401, body = Problem), (status = 503, body = Problem)))]
async fn fact_list(State(access): State<Access>, Caller(scope): Caller) -> Result<Json<FactPage>, Problem> {
    let mut tx = access.begin(&scope, Cause::outside()).await?;
    let items = store::fact_list(&mut tx).await?;
    tx.audit("read", "state", Some(items.len() as u64))?;
    tx.commit().await?;
    Ok(Json(FactPage {
        items,
        next_before: None,
    }))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct AsOf {
    /// A position of the log; without it: now.
    as_of: Option<Position>,
}

/// One fact, now or as of a position of the log.
#[utoipa::path(get, path = "/state/{key}", tag = "state",
    params(("key" = String, Path, description = "Such as me.place"), AsOf),
    responses((status = OK, body = KeptFact), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 503, body = Problem)))]
async fn fact_get(
    State(access): State<Access>,
    Caller(scope): Caller,
    Path(key): Path<String>,
    Query(query): Query<AsOf>,
) -> Result<Json<KeptFact>, Problem> {
    let mut tx = access.begin(&scope, Cause::outside()).await?;
    let key = clean(&key)?;
    let fact = store::fact_as_of(&mut tx, key, query.as_of.unwrap_or(Position::MAX)).await?;
    tx.audit("read", format!("state/{key}"), Some(fact.iter().count() as u64))?;
    tx.commit().await?;
    fact.map(Json)
        .ok_or_else(|| Problem::not_found(format!("nothing is known about {key}")))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct Before {
    /// Only what held from an earlier position of the log on.
    before: Option<Position>,
}

/// What a fact was, newest first.
#[utoipa::path(get, path = "/state/{key}/history", tag = "state",
    params(("key" = String, Path, description = "Such as me.place"), Before),
    responses((status = OK, body = FactPage), (status = 401, body = Problem), (status = 503, body = Problem)))]
async fn fact_history(
    State(access): State<Access>,
    Caller(scope): Caller,
    Path(key): Path<String>,
    Query(query): Query<Before>,
) -> Result<Json<FactPage>, Problem> {
    let mut tx = access.begin(&scope, Cause::outside()).await?;
    let key = clean(&key)?;
    let items = store::fact_history(&mut tx, key, query.before.unwrap_or(Position::MAX), PAGE).await?;
    tx.audit("read", format!("state/{key}/history"), Some(items.len() as u64))?;
    tx.commit().await?;
    let full = items.len() as i64 == PAGE;
    let next_before = items.last().filter(|_| full).map(|fact| fact.position);
    Ok(Json(FactPage { items, next_before }))
}

/// A key as the database and the audit can hold it.
fn clean(key: &str) -> Result<&str, Problem> {
    let fits = key.len() <= 200 && !key.chars().any(char::is_control);
    if fits {
        Ok(key)
    } else {
        Err(Problem::bad_request(
            "a key has at most 200 characters, none of them a control character",
        ))
    }
}
