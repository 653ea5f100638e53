//! The plugin manager: packs, connections with their sealed secrets, webhooks in, messages out, streams
//! read page by page, history read again.
//!
//! Events in: none; providers' webhooks instead. Jobs in: `ReconcileConnection`, `SyncStream`. Events out: `connector.Connection…`,
//! `communication.CallStarted`, `CallStatusChanged`, `MessageReceived`, `MessageStatusChanged`. Ports: `ChannelDriver`, `Connections`.
//! Invariant: knows no provider by name: what is particular to one stands in its pack, and goes with its folder. Packs
//! never see a secret and reach no host but those that they declare.
//! Begin with `manifest/mod.rs` (what a pack says of itself), then `on_webhook.rs`, `channel.rs` and `sync/mod.rs`.

mod authoring;
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
#[cfg(test)]
mod stories;
mod stream;
mod sync;
mod time;
mod xml;

use std::sync::Arc;

use axum::routing::any;
use spine::queue::JobRegistry;
use spine::{Context, Service};
use utoipa_axum::router::OpenApiRouter;

use crate::manager::Manager;

pub use authoring::{check, create};

/// The service. Reads the packs; what is wrong with one is listed by `GET /plugins` and stops nothing.
pub fn service(context: &Context) -> Service {
    let manager = Manager::new(context);
    context.ports.provide_channel_driver(Arc::new(manager.clone()));
    context.ports.provide_connections(Arc::new(manager.clone()));
    let mut jobs = JobRegistry::default();
    jobs.register(reconcile::Reconcile(manager.clone()));
    jobs.register(sync::Sync(manager.clone()));
    let hooks = OpenApiRouter::new()
        .route(
            "/hooks/{plugin}/{connection}/{*rest}",
            any(on_webhook::on_webhook),
        )
        .with_state(manager.clone());
    let timekeeper = reconcile::Timekeeper(manager.clone());
    let reader = sync::timekeeper::Timekeeper(manager.clone());
    Service {
        name: "plugins",
        jobs,
        tasks: vec![
            Box::new(move |stop| Box::pin(timekeeper.run(stop))),
            Box::new(move |stop| Box::pin(reader.run(stop))),
        ],
        api: http_api::routes(manager),
        public: hooks,
        personal_tables: &[
            "plugins.told",
            "plugins.kept",
            "plugins.stream",
            "plugins.secret",
            "plugins.connection",
        ],
        ..Service::default()
    }
}
