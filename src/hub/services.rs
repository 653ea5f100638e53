//! The one list of services. A new service is a crate below `src/` (or `rules`, `federation`) and a line here.

use spine::{Context, Service};

/// Builds every service. Ports are wired as they are built and asked only once everything runs.
///
/// # Errors
/// Why a service can't be built from what the configuration says.
pub(crate) fn services(context: &Context) -> Result<Vec<Service>, String> {
    Ok(vec![
        accounts::service(context),
        graph::service(context),
        state::service(context),
        connectors::service(context),
        etl::service(context),
        plugins::service(context),
        channels::service(context),
        intentions::service(context),
        media::service(context)?,
        rules::service(context),
    ])
}
