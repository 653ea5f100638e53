//! Facts over HTTP: the present, the present as of a position of the log, the history of one fact, and the owner's word
//! on how long readings hold and on what is not so.
//!
//! Invariant: what changes a fact goes through the log; the answer (202) says that it is written down, and the fold
//! follows within moments.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use contracts::events::state::{
    FACT_KEY_FORM, FactRetracted, VALIDITY_FORM, ValidityChanged, is_fact_key, validity,
};
use contracts::{Position, Problem};
use serde::{Deserialize, Serialize};
use spine::edge::{Caller, Json, page_by, page_size};
use spine::{Access, Cause, Context};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::model::{KeptFact, PastFact};
use crate::store::{self, Stretch};

const PAGE: u32 = 100;

pub(crate) fn routes(context: &Context) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(fact_list))
        .routes(routes!(fact_get, fact_retract))
        .routes(routes!(fact_history))
        .routes(routes!(fact_settings))
        .with_state(context.access.clone())
}

/// The present.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct FactPage {
    /// By key.
    items: Vec<KeptFact>,
    /// Where the next page begins: pass it as `cursor`. Absent: this is the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What a fact was.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct HistoryPage {
    /// Newest first.
    items: Vec<PastFact>,
    /// Where the next page begins: pass it as `cursor`. Absent: this is the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<Position>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct Prefix {
    /// Only facts whose keys begin so, such as `home.`.
    prefix: Option<String>,
    /// How many at most: 1 to 200, 100 if not said.
    limit: Option<u32>,
    /// Where the last page ended: its `next_cursor`.
    cursor: Option<String>,
}

/// All facts, by key; those that expired are among them, with `expired_at`.
#[utoipa::path(get, path = "/state", tag = "state", params(Prefix), responses(
    (status = OK, body = FactPage), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 503, body = Problem)))]
async fn fact_list(
    State(access): State<Access>,
    Caller(scope): Caller,
    Query(query): Query<Prefix>,
) -> Result<Json<FactPage>, Problem> {
    let size = page_size(query.limit.or(Some(PAGE)))?;
    let prefix = query.prefix.unwrap_or_default();
    let after = query.cursor.unwrap_or_default();
    let mut tx = access.begin(&scope, Cause::outside()).await?;
    let facts = store::fact_list(&mut tx, readable(&prefix)?, readable(&after)?, size as i64 + 1).await?;
    let (items, next_cursor) = page_by(facts, size, |last| last.key.clone());
    tx.audit("read", "state", Some(items.len() as u64))?;
    tx.commit().await?;
    Ok(Json(FactPage { items, next_cursor }))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct AsOf {
    /// A position of the log; without it: now.
    as_of: Option<Position>,
}

/// One fact, now or as of a position of the log. One that expired reads as null, with `expired_at`.
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
    let key = readable(&key)?;
    let fact = store::fact_as_of(&mut tx, key, query.as_of.unwrap_or(Position::MAX)).await?;
    tx.audit("read", format!("state/{key}"), Some(fact.iter().count() as u64))?;
    tx.commit().await?;
    fact.map(Json).ok_or_else(|| unknown(key))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Only what held after this moment.
    since: Option<DateTime<Utc>>,
    /// Only what held before this moment.
    until: Option<DateTime<Utc>>,
    /// How many at most: 1 to 200, 100 if not said.
    limit: Option<u32>,
    /// Where the last page ended: its `next_cursor`.
    cursor: Option<Position>,
}

/// What a fact was, newest first; one row a change, with since when and until when it held.
#[utoipa::path(get, path = "/state/{key}/history", tag = "state",
    params(("key" = String, Path, description = "Such as me.place"), Wanted),
    responses((status = OK, body = HistoryPage), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 503, body = Problem)))]
async fn fact_history(
    State(access): State<Access>,
    Caller(scope): Caller,
    Path(key): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<HistoryPage>, Problem> {
    let size = page_size(Some(wanted.limit.unwrap_or(PAGE)))? as i64;
    let mut tx = access.begin(&scope, Cause::outside()).await?;
    let key = readable(&key)?;
    let stretch = Stretch {
        since: wanted.since,
        until: wanted.until,
        before: wanted.cursor.unwrap_or(Position::MAX),
    };
    let items = store::fact_history(&mut tx, key, stretch, size).await?;
    tx.audit("read", format!("state/{key}/history"), Some(items.len() as u64))?;
    tx.commit().await?;
    let full = items.len() as i64 == size;
    let next_cursor = items.last().filter(|_| full).map(|fact| fact.position);
    Ok(Json(HistoryPage { items, next_cursor }))
}

/// The owner's word that a fact is not so and that it is unknown now. The next reading makes it known again.
#[utoipa::path(delete, path = "/state/{key}", tag = "state",
    params(("key" = String, Path, description = "Such as me.place")),
    responses((status = ACCEPTED), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 503, body = Problem)))]
async fn fact_retract(
    State(access): State<Access>,
    Caller(scope): Caller,
    Path(key): Path<String>,
) -> Result<StatusCode, Problem> {
    let mut tx = access.begin(&scope, Cause::outside()).await?;
    let key = readable(&key)?;
    let fact = store::fact_as_of(&mut tx, key, Position::MAX).await?;
    fact.filter(|fact| fact.expired_at.is_none())
        .ok_or_else(|| unknown(key))?;
    let retracted = FactRetracted { key: key.to_owned() };
    tx.publish_about(key, &retracted)?;
    tx.audit("write", format!("state/{key}"), None)?;
    tx.commit().await?;
    Ok(StatusCode::ACCEPTED)
}

/// How readings of a key are treated.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// How long a reading holds, such as `30m`, `12h`, `1h30m`; null: for ever.
    #[serde(deserialize_with = "stated")]
    valid_for: Option<String>,
}

/// A field that must be there, if only as null.
fn stated<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(value)
}

/// Sets how long readings of a key hold from now on, unless they say so themselves.
#[utoipa::path(put, path = "/state/{key}/settings", tag = "state", request_body = Settings,
    params(("key" = String, Path, description = "Such as me.place")),
    responses((status = ACCEPTED, body = Settings), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn fact_settings(
    State(access): State<Access>,
    Caller(scope): Caller,
    Path(key): Path<String>,
    Json(settings): Json<Settings>,
) -> Result<(StatusCode, Json<Settings>), Problem> {
    if !is_fact_key(&key) {
        return Err(Problem::unprocessable(FACT_KEY_FORM));
    }
    let wish = settings.valid_for.as_deref().map(validity);
    if wish == Some(None) {
        return Err(Problem::unprocessable(VALIDITY_FORM));
    }
    let changed = ValidityChanged {
        key: key.clone(),
        valid_for_s: wish.flatten().map(|length| length.num_seconds()),
    };
    let mut tx = access.begin(&scope, Cause::outside()).await?;
    tx.publish_about(&key, &changed)?;
    tx.audit("write", format!("state/{key}/settings"), None)?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(settings)))
}

fn unknown(key: &str) -> Problem {
    Problem::not_found(format!("nothing is known about {key}"))
}

/// A key as the database and the audit can hold it.
fn readable(key: &str) -> Result<&str, Problem> {
    let fits = key.len() <= 200 && !key.chars().any(char::is_control);
    if fits {
        Ok(key)
    } else {
        Err(Problem::bad_request(
            "a key has at most 200 characters, none of them a control character",
        ))
    }
}
