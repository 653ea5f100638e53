//! The plugin manager: packs, connections with their sealed secrets, webhooks in, messages out, history read again.
//!
//! Events in: none; providers' webhooks instead. Jobs in: `ReconcileConnection`. Events out: `connector.Connection…`,
//! `communication.CallStarted`, `CallStatusChanged`, `MessageReceived`, `MessageStatusChanged`. Port: `ChannelDriver`.
//! Invariant: knows no provider by name: what is particular to one stands in its pack, and goes with its folder. Packs
//! never see a secret and reach no host but those that they declare.
//! Begin with `manifest/mod.rs` (what a pack says of itself), then `on_webhook.rs` and `channel.rs`.

mod channel;
mod http_api;
mod intake;
mod manager;
mod manifest;
mod model;
mod on_webhook;
mod reconcile;
mod record;
mod registry;
mod script;
mod settings;
mod signature;
mod store;
mod time;
mod xml;

use std::sync::Arc;

use axum::routing::any;
use spine::queue::JobRegistry;
use spine::{Context, Service};
use utoipa_axum::router::OpenApiRouter;

use crate::manager::Manager;

/// Why the service can't be built.
#[derive(Debug, thiserror::Error)]
#[error("the outgoing HTTP client can't be set up")]
pub struct PluginsError(#[from] fetch::FetchError);

/// The service. Reads the packs; what is wrong with one is listed by `GET /plugins` and stops nothing.
///
/// # Errors
/// [`PluginsError`]: a configured certificate authority can't be read.
pub fn service(context: &Context) -> Result<Service, PluginsError> {
    let manager = Manager::new(context)?;
    context.ports.provide_channel_driver(Arc::new(manager.clone()));
    let mut jobs = JobRegistry::default();
    jobs.register(reconcile::Reconcile(manager.clone()));
    let hooks = OpenApiRouter::new()
        .route("/hooks/{plugin}/{connection}/{*rest}", any(on_webhook::on_webhook))
        .with_state(manager.clone());
    Ok(Service {
        name: "plugins",
        jobs,
        background: vec![Arc::new(reconcile::Timekeeper(manager.clone()))],
        api: http_api::routes(manager),
        public: hooks,
        personal_tables: &["plugins.secret", "plugins.connection"],
        ..Service::default()
    })
}
