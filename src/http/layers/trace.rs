//! The id of each request, its span, its log line and its metrics.
//!
//! Invariant: the log has the route's pattern and never the address as it came: path and query may hold secrets.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use contracts::CorrelationId;
use tracing::Instrument;

const CORRELATION_HEADER: HeaderName = HeaderName::from_static("x-correlation-id");

/// Runs the request under an id of its own; the answer bears it, and so does every event that it publishes.
pub(crate) async fn trace(request: Request, next: Next) -> Response {
    let id = CorrelationId::new();
    let method = known_method(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("-", MatchedPath::as_str)
        .to_owned();
    let span = tracing::info_span!("request", correlation = %id, method, route);
    let began = Instant::now();
    let mut response = spine::edge::with_correlation(id, next.run(request))
        .instrument(span.clone())
        .await;
    let (status, took) = (response.status(), began.elapsed());
    span.in_scope(|| {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(status = status.as_u16(), ms, "answered");
    });
    metrics::histogram!(
        "allod_http_request_seconds",
        "method" => method,
        "route" => route,
        "status" => status.as_u16().to_string()
    )
    .record(took.as_secs_f64());
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(CORRELATION_HEADER, value);
    }
    response
}

/// Strangers may invent methods; metrics would keep each for ever.
fn known_method(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
