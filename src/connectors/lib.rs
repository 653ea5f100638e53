//! Connectors that are built in: what devices and servers say by a protocol of their own, taken into the graph.
//!
//! Events in: `connector.ConnectionRemoved`. Events out: `device.PositionReported`, `device.ReadingReported`; the graph tells of what it takes in and parks for us
//! (`connector.DataReceived`, `connector.RecordParked`).
//! Invariant: what is taken in becomes raw record, entities and event in one commit; the same report twice changes
//! nothing; nothing that a device sends makes the hub fail.
//! What is read page by page (mailboxes, feeds) goes to the plugin manager instead, by the port `Connector`.
//! Begin with [`owntracks`] (positions) and [`readings`] (anything else), and with [`imap`] and [`feeds`].

mod device;
mod feeds;
mod imap;
mod owntracks;
mod readings;

use std::sync::Arc;

use spine::{Context, Service};

/// The connector service.
pub fn service(context: &Context) -> Service {
    let imap = imap::Imap::new(context);
    context.ports.provide_connector(Arc::new(imap.clone()));
    context
        .ports
        .provide_connector(Arc::new(feeds::Feeds::new(context)));
    Service {
        name: "connectors",
        consumers: vec![Arc::new(imap::Forget)],
        tasks: vec![imap.watch(context)],
        personal_tables: &[
            "connectors.imap_gone",
            "connectors.imap_mail",
            "connectors.imap_folder",
        ],
        public: owntracks::routes(context).merge(readings::public_routes(context)),
        api: owntracks::retry_routes(context).merge(readings::api_routes(context)),
        ..Service::default()
    }
}
