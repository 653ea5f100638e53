//! The one list of services. A new service is a crate below `src/` (or `rules`, `federation`) and a line here.

use spine::{Context, Service};

type Build = fn(&Context) -> Service;

/// Builds every service, one after the other. Ports are wired as they are built and asked only once everything runs.
pub(crate) fn services(context: &Context) -> impl Iterator<Item = Service> {
    let all: [Build; _] = [
        accounts::service,
        graph::service,
        state::service,
        connectors::service,
        etl::service,
        plugins::service,
        channels::service,
        intentions::service,
        rules::service,
    ];
    all.into_iter().map(|build| build(context))
}
