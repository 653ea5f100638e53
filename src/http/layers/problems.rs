//! Everything that goes wrong before or around a handler, as `application/problem+json`.

use std::any::Any;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use contracts::Problem;

/// Nobody waits longer for an answer to begin. A live stream begins at once.
const DEADLINE: Duration = Duration::from_secs(30);
/// The extractors' own refusals are a line.
const REFUSAL_BYTES_MAX: usize = 4096;

/// There is no such route.
pub(crate) async fn not_found() -> Problem {
    Problem::not_found("there is nothing at this address").hint("/api/v1/openapi.json lists what there is")
}

/// The route is there, the method isn't.
pub(crate) async fn method_not_allowed(method: Method) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} is not possible at this address"),
    )
    .hint("/api/v1/openapi.json lists what is")
}

/// The first walks the whole log, which takes as long as it is long; for the operator alone, who may hang up. The others
/// take files in, and give up by themselves when one stops on its way.
const WITHOUT_DEADLINE: [&str; 3] = ["/api/v1/audit/verify", "/api/v1/imports", "/api/v1/media"];

/// Ends what takes too long.
pub(crate) async fn deadline(request: Request, next: Next) -> Response {
    if WITHOUT_DEADLINE.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    match tokio::time::timeout(DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            tracing::warn!(
                "a request took longer than {} s and was given up",
                DEADLINE.as_secs()
            );
            Problem::unavailable("this took too long and was given up", 5).into_response()
        }
    }
}

/// PostgreSQL's text can't hold NUL, and no name, id or filter has one: refused here for every route.
pub(crate) async fn refuse_nul(request: Request, next: Next) -> Response {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    if [path, query].iter().any(|text| text.contains("%00")) {
        return Problem::bad_request("the address has a NUL character (%00)").into_response();
    }
    next.run(request).await
}

/// A handler panicked: our bug. The message goes to the log only.
pub(crate) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let told = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(panic = told, "a request's handler panicked");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the hub failed to do this; its log says why",
    )
    .into_response()
}

/// The framework's own refusals in the API (a path or query that can't be read) are plain text: they become problems.
pub(crate) async fn say_as_problem(request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let response = next.run(request).await;
    let status = response.status();
    if !is_api || !(status.is_client_error() || status.is_server_error()) || !is_plain(&response) {
        return response;
    }
    let text = to_bytes(response.into_body(), REFUSAL_BYTES_MAX)
        .await
        .unwrap_or_default();
    Problem::new(status, String::from_utf8_lossy(&text).into_owned()).into_response()
}

fn is_plain(response: &Response<Body>) -> bool {
    match response.headers().get(header::CONTENT_TYPE) {
        None => true,
        Some(kind) => kind.as_bytes().starts_with(b"text/plain"),
    }
}
