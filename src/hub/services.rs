//! The one list of services. A new service is a crate below `src/` (or `rules`, `federation`) and a line here.

use spine::{Context, Service};

type Build = fn(&Context) -> Result<Service, String>;

/// Builds every service, one after the other, or says why what the configuration says doesn't let it. Ports are wired as
/// they are built and asked only once everything runs.
pub(crate) fn services(context: &Context) -> impl Iterator<Item = Result<Service, String>> {
    let all: [Build; _] = [
        |context| Ok(accounts::service(context)),
        |context| Ok(graph::service(context)),
        |context| Ok(state::service(context)),
        |context| Ok(connectors::service(context)),
        |context| Ok(etl::service(context)),
        |context| Ok(plugins::service(context)),
        |context| Ok(channels::service(context)),
        |context| Ok(intentions::service(context)),
        media::service,
        |context| Ok(rules::service(context)),
    ];
    all.into_iter().map(|build| build(context))
}
