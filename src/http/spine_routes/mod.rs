//! The spine's own routes. The spine has the types that all routes share ([`spine::edge`]) and serves none itself, so
//! the edge speaks for it.

mod audit;
mod erasure;
mod events;
mod jobs;
mod parked;

use contracts::Problem;
use spine::AccessError;
use spine::Cause;
use spine::edge::Caller;
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
        .routes(routes!(erasure::account_erase))
        .with_state(state)
}

/// Records in the audit what a caller is about to do. The deed itself is another transaction, of a consumer: so this
/// one goes first. No deed is without its entry; an entry may be of a deed that then failed.
async fn record(state: &State, caller: &Caller, on: String) -> Result<(), AccessError> {
    let mut tx = state.context.access.begin(&caller.0, Cause::outside()).await?;
    tx.audit("act", on, None)?;
    tx.commit().await
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
