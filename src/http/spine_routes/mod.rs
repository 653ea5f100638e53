//! The spine's own routes. The spine has the types that all routes share ([`spine::edge`]) and serves none itself, so
//! the edge speaks for it.

mod audit;
mod erasure;
mod events;
mod jobs;
mod parked;

use contracts::Problem;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::State;

/// Routes behind a caller.
pub(crate) fn api(state: State) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(events::event_list))
        .routes(routes!(events::event_stream))
        .routes(routes!(events::state_stream))
        .routes(routes!(parked::parked_list))
        .routes(routes!(parked::parked_retry))
        .routes(routes!(parked::replay))
        .routes(routes!(jobs::job_list))
        .routes(routes!(jobs::job_get, jobs::job_delete))
        .routes(routes!(jobs::job_retry))
        .routes(routes!(jobs::job_cancel))
        .routes(routes!(audit::verify))
        .routes(routes!(events::instance_audit))
        .routes(routes!(erasure::account_erase))
        .with_state(state)
}

/// A number from 0 up, out of a query or header.
fn number(name: &str, value: &str) -> Result<i64, Problem> {
    value
        .parse()
        .ok()
        .filter(|number| *number >= 0)
        .ok_or_else(|| Problem::bad_request(format!("{name} is not a number from 0 up")))
}

/// A parameter that the address doesn't have: most often a slip of the pen, so it isn't passed over.
fn unknown_parameter(name: &str) -> Problem {
    Problem::bad_request(format!("{name:?} is not a parameter of this address"))
}
