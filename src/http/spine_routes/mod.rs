//! The spine's own routes: the spine knows no HTTP, so the edge speaks for it.

mod audit;
mod erasure;
mod events;
mod parked;
mod status;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::State;

/// Routes behind a caller.
pub(crate) fn api(state: State) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(events::event_list))
        .routes(routes!(events::event_stream))
        .routes(routes!(parked::parked_list))
        .routes(routes!(parked::parked_retry))
        .routes(routes!(parked::replay))
        .routes(routes!(audit::verify))
        .routes(routes!(status::status))
        .routes(routes!(erasure::account_erase))
        .with_state(state)
}
