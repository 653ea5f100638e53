//! `POST /device-events`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use contracts::Problem;
use serde_json::Value;
use spine::access::TokenKind;
use spine::edge::{Json, Peer};
use spine::limit::MinuteLimit;
use spine::{Access, AccessError, Cause, Context, Principal, Scope};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::credentials::{Credentials, credentials};
use super::report;
use super::take_in::{record, take_in};
use crate::device::{Graph, Sender};

/// A location has some 300 bytes; a dump of all waypoints some thousands.
const BODY_MAX: usize = 64 * 1024;
/// What the 401 asks for.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"allod device\", charset=\"UTF-8\"");

/// Wrong tokens from one source in a minute that are told so; more are told to wait.
pub(crate) const REFUSALS_PER_SOURCE_MAX: u32 = 60;

pub(crate) fn routes(context: &Context) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(device_events))
        .with_state(Door {
            context: context.clone(),
            refusals: Arc::new(MinuteLimit::new(REFUSALS_PER_SOURCE_MAX)),
        })
}

/// What the route shares.
#[derive(Debug, Clone)]
struct Door {
    context: Context,
    refusals: Arc<MinuteLimit>,
}

/// Takes in what a device reports, as the OwnTracks app sends it. HTTP Basic: the password is a device token.
#[utoipa::path(post, path = "/device-events", tag = "devices",
    request_body(content = Value, description = "One OwnTracks message; an empty body is legal"),
    responses((status = OK, description = "Kept; an empty list, as the app expects", body = Vec<Value>),
        (status = 401, body = Problem), (status = 413, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn device_events(State(door): State<Door>, request: Request) -> Response {
    let context = door.context;
    let peer = Peer::of(request.extensions());
    match sender(&context.access, request.headers()).await {
        Err(error) => Problem::from(error).into_response(),
        Ok(None) => {
            context.access.sign_in_refused(&peer.to_string());
            // A right token is taken whatever else came from its address: failures alone are limited.
            match door.refusals.hit(&peer.limit_key(), context.clock.now()) {
                Ok(()) => refused(),
                Err(error) => Problem::from(error).into_response(),
            }
        }
        // The body is read after the token was checked: strangers can't make the hub hold it.
        Ok(Some((scope, sender))) => match keep(&context, &scope, &sender, request).await {
            Ok(()) => Json(Vec::<Value>::new()).into_response(),
            Err(problem) => problem.into_response(),
        },
    }
}

/// Which device's token a request bears.
pub(crate) async fn sender(
    access: &Access,
    headers: &axum::http::HeaderMap,
) -> Result<Option<(Scope, Sender)>, AccessError> {
    let Some(Credentials { device_name, token }) = credentials(headers) else {
        return Ok(None);
    };
    let Some(scope) = access.scope_by_token(TokenKind::Device, &token).await? else {
        return Ok(None);
    };
    let Principal::Token { id, .. } = *scope.principal() else {
        return Ok(None);
    };
    Ok(Some((
        scope,
        Sender {
            token: id,
            name: device_name,
        },
    )))
}

async fn keep(
    context: &Context,
    scope: &Scope,
    sender: &Sender,
    mut request: Request,
) -> Result<(), Problem> {
    DefaultBodyLimit::max(BODY_MAX).apply(&mut request);
    let body = Bytes::from_request(request, &()).await;
    let body = body.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    let report = report::read(&body, context.clock.now());
    if report == report::Report::Empty {
        return Ok(());
    }
    let graph = Graph {
        read: context.ports.graph_read(),
        write: context.ports.graph_write(),
    };
    let mut tx = context.access.begin(scope, Cause::outside()).await?;
    let raw = record(&tx, &report, &body);
    take_in(&mut tx, &graph, sender, &report, raw).await?;
    Ok(tx.commit().await?)
}

/// The 401 that says what is wanted.
pub(crate) fn refused() -> Response {
    let problem = Problem::unauthorized("the device token is missing, wrong or revoked").hint(
        "make a device token for this phone and enter it as the password in the app; the user name is free",
    );
    let mut response = problem.into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
    response
}

#[cfg(test)]
mod tests;
