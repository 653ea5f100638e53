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
    /// Where contents are kept, and how much.
    pub media: MediaSettings,
}

/// Where contents are kept, and how much.
#[derive(Debug, Clone)]
pub struct MediaSettings {
    /// The largest content that is taken, in bytes.
    pub file_bytes_max: u64,
    /// How much an account may keep, in bytes.
    pub account_bytes_max: u64,
    /// How long what nobody needs is kept, so that a deletion can be taken back.
    pub grace: std::time::Duration,
    /// A store that speaks S3; `None`: the folder `media` of the data directory.
    pub s3: Option<S3Settings>,
}

impl Default for MediaSettings {
    fn default() -> Self {
        Self {
            file_bytes_max: 1 << 30,
            account_bytes_max: 50 << 30,
            grace: std::time::Duration::from_secs(7 * 24 * 3600),
            s3: None,
        }
    }
}

/// A store that speaks S3. Its debug text shows no key.
#[derive(Clone)]
pub struct S3Settings {
    /// The bucket.
    pub bucket: String,
    /// Its region, such as `eu-central-1`.
    pub region: String,
    /// Where it is, such as `https://s3.example.com`; `None`: at Amazon's, by the region.
    pub endpoint: Option<String>,
    /// Below which name the hub's objects lie; empty: the bucket is the hub's alone.
    pub prefix: String,
    /// The key's name.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
    /// Address ranges that are not public and in which the endpoint may be.
    pub allowed_ranges: Vec<String>,
}

impl std::fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Settings")
            .field("bucket", &self.bucket)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
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
