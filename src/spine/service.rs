//! What a service is: consumers of events, handlers of jobs, routes, and the tables of which it is the only writer.
//!
//! A service crate's `lib.rs` has one public function, `service(&Context) -> Service`. The hub lists them all in one
//! place (`src/hub/services.rs`) and gives the list to [`crate::Spine::start`].

use std::path::PathBuf;
use std::sync::Arc;

use contracts::Clock;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use crate::access::Access;
use crate::log::consumer::Consumer;
use crate::ports::Ports;
use crate::queue::JobRegistry;
use crate::vault::Vault;

/// Settings that several services read. Validated by the hub's configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Folders with plugin packs, one folder each.
    pub packs_dir: PathBuf,
    /// The rules that come with the hub.
    pub recipes_dir: PathBuf,
    /// Under which address the world reaches the hub, without a trailing slash, such as `https://hub.example`.
    pub public_url: String,
    /// Certificate authorities beside the public ones, in PEM: for tests and private networks.
    pub extra_ca_pem: Vec<Vec<u8>>,
    /// Bytes of one file that is uploaded to be imported.
    pub upload_bytes_max: u64,
}

/// What a service is given when it is built.
#[derive(Debug, Clone)]
pub struct Context {
    /// Transactions for scopes.
    pub access: Access,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Questions to other services.
    pub ports: Ports,
    /// Sealing of secrets.
    pub vault: Vault,
    /// Settings.
    pub settings: Arc<Settings>,
}

/// Work that goes on beside events and jobs until the token is cancelled, such as writing down what was counted.
pub type Task = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>;

/// A service.
#[derive(Default)]
pub struct Service {
    /// Its name: that of its crate and of its database schema.
    pub name: &'static str,
    /// Its consumers of events.
    pub consumers: Vec<Arc<dyn Consumer>>,
    /// Its handlers of jobs.
    pub jobs: JobRegistry,
    /// What it does beside; started once everything else runs.
    pub tasks: Vec<Task>,
    /// Its routes below `/api/v1`, each behind a [`crate::edge::Caller`].
    pub api: OpenApiRouter,
    /// Its routes at the root, which check their callers themselves (signatures, device tokens).
    pub public: OpenApiRouter,
    /// Its tables with a column `account`, children before parents: what erasing an account removes.
    pub personal_tables: &'static [&'static str],
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name)
            .field("consumers", &self.consumers.len())
            .finish_non_exhaustive()
    }
}
