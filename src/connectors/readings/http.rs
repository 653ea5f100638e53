//! `POST /api/v1/readings` and `PUT /api/v1/state/{key}`.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use contracts::{EntityId, Problem};
use serde::Serialize;
use spine::access::TokenKind;
use spine::edge::{Caller, Json, Peer};
use spine::limit::MinuteLimit;
use spine::{AccessError, Cause, Context, Scope};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::report::{Report, Word, read};
use super::take_in::{Speaker, take_in};
use crate::device::Graph;
use crate::owntracks::{self, REFUSALS_PER_SOURCE_MAX};

/// A value has 4 KB at the most.
const BODY_MAX: usize = 16 * 1024;

/// Checks its callers itself, since devices have tokens of their own.
pub(crate) fn public_routes(context: &Context) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(reading_report))
        .with_state(Door {
            context: context.clone(),
            refusals: Arc::new(MinuteLimit::new(REFUSALS_PER_SOURCE_MAX)),
        })
}

pub(crate) fn api_routes(context: &Context) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(fact_put))
        .with_state(context.clone())
}

/// What the route shares.
#[derive(Debug, Clone)]
struct Door {
    context: Context,
    refusals: Arc<MinuteLimit>,
}

/// What became of a reading.
#[derive(Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub(super) struct Kept {
    /// The Reading in the graph; absent: the same reading was taken in before.
    #[serde(skip_serializing_if = "Option::is_none")]
    reading: Option<EntityId>,
    /// True if the same reading was taken in before: nothing was changed.
    duplicate: bool,
}

impl IntoResponse for Kept {
    fn into_response(self) -> Response {
        let status = if self.duplicate {
            StatusCode::OK
        } else {
            StatusCode::CREATED
        };
        (status, Json(self)).into_response()
    }
}

/// Takes in a reading of anything. HTTP Basic with a device token as the password, or a bearer token.
#[utoipa::path(post, path = "/api/v1/readings", tag = "devices", request_body = Report, responses(
    (status = CREATED, body = Kept), (status = OK, description = "The same was taken in before", body = Kept),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 413, body = Problem),
    (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn reading_report(State(door): State<Door>, request: Request) -> Response {
    let context = door.context;
    let peer = Peer::of(request.extensions());
    match speaker(&context, request.headers()).await {
        Err(error) => Problem::from(error).into_response(),
        Ok(None) => {
            context.access.sign_in_refused(&peer.to_string());
            match door.refusals.hit(&peer.limit_key(), context.clock.now()) {
                Ok(()) => owntracks::refused(),
                Err(error) => Problem::from(error).into_response(),
            }
        }
        // The body is read after the token was checked: strangers can't make the hub hold it.
        Ok(Some((scope, speaker))) => match reported(&context, &scope, &speaker, request).await {
            Ok(kept) => kept.into_response(),
            Err(problem) => problem.into_response(),
        },
    }
}

async fn speaker(context: &Context, headers: &HeaderMap) -> Result<Option<(Scope, Speaker)>, AccessError> {
    if let Some((scope, sender)) = owntracks::sender(&context.access, headers).await? {
        return Ok(Some((scope, Speaker::Device(sender))));
    }
    let Some(secret) = bearer(headers) else {
        return Ok(None);
    };
    for kind in [TokenKind::Api, TokenKind::Session] {
        if let Some(scope) = context.access.scope_by_token(kind, secret).await? {
            return Ok(Some((scope, Speaker::Caller)));
        }
    }
    Ok(None)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

pub(super) async fn reported(
    context: &Context,
    scope: &Scope,
    speaker: &Speaker,
    mut request: Request,
) -> Result<Kept, Problem> {
    DefaultBodyLimit::max(BODY_MAX).apply(&mut request);
    let Json(report) = Json::<Report>::from_request(request, &()).await?;
    let (key, word) = report.split();
    keep(context, scope, speaker, key, word).await
}

/// The owner's (or their program's) word on what something is now.
#[utoipa::path(put, path = "/state/{key}", tag = "state", request_body = Word,
    params(("key" = String, Path, description = "Such as home.temperature")),
    responses((status = CREATED, body = Kept), (status = OK, description = "The same was taken in before", body = Kept),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem)))]
async fn fact_put(
    State(context): State<Context>,
    Caller(scope): Caller,
    Path(key): Path<String>,
    Json(word): Json<Word>,
) -> Result<Kept, Problem> {
    keep(&context, &scope, &Speaker::Caller, key, word).await
}

async fn keep(
    context: &Context,
    scope: &Scope,
    speaker: &Speaker,
    key: String,
    word: Word,
) -> Result<Kept, Problem> {
    let reading = read(key, word, context.clock.now()).map_err(Problem::unprocessable)?;
    let graph = Graph {
        read: context.ports.graph_read(),
        write: context.ports.graph_write(),
    };
    let mut tx = context.access.begin(scope, Cause::outside()).await?;
    let key = reading.key.clone();
    let reading = take_in(&mut tx, &graph, speaker, reading).await?;
    if matches!(speaker, Speaker::Caller) {
        tx.audit("write", format!("state/{key}"), None)?;
    }
    tx.commit().await?;
    Ok(Kept {
        duplicate: reading.is_none(),
        reading,
    })
}

#[cfg(test)]
mod tests;
