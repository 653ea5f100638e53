//! Connectors that are built in: what devices and servers say by a protocol of their own, taken into the graph.
//!
//! Events in: none. Events out: `device.PositionReported`, `device.ReadingReported`; the graph tells of what it takes in and parks for us
//! (`connector.DataReceived`, `connector.RecordParked`).
//! Invariant: what is taken in becomes raw record, entities and event in one commit; the same report twice changes
//! nothing; nothing that a device sends makes the hub fail.
//! Begin with [`owntracks`] (positions) and [`readings`] (anything else).

mod device;
mod owntracks;
mod readings;

use spine::{Context, Service};

/// The connector service.
pub fn service(context: &Context) -> Service {
    Service {
        name: "connectors",
        public: owntracks::routes(context).merge(readings::public_routes(context)),
        api: owntracks::retry_routes(context).merge(readings::api_routes(context)),
        ..Service::default()
    }
}
