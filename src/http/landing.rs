//! The front page: what this is and where to go. Nothing that tells who lives here.

use axum::http::{HeaderName, header};
use axum::response::Html;

/// The front page.
pub(crate) async fn page() -> Html<&'static str> {
    Html(include_str!("../../static/landing.html"))
}

/// The style of the hub's plain pages.
pub(crate) async fn style() -> ([(HeaderName, &'static str); 2], &'static str) {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "max-age=3600"),
    ];
    (headers, include_str!("../../static/allod.css"))
}
