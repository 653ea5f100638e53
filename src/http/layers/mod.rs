//! What surrounds every request, from the outside in: its id and log line, headers, panics, deadline, problems.

pub(crate) mod auth;
pub(crate) mod client;
mod headers;
pub(crate) mod problems;
mod trace;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;

/// Puts the layers around the routes.
pub(crate) fn around(router: Router, proxies: client::TrustedProxies) -> Router {
    router
        .layer(from_fn(problems::refuse_nul))
        .layer(from_fn(problems::say_as_problem))
        .layer(from_fn(problems::deadline))
        .layer(CatchPanicLayer::custom(problems::panicked))
        .layer(from_fn_with_state(proxies, client::identify))
        .layer(from_fn(headers::secure))
        .layer(from_fn(trace::trace))
}
