//! `allod serve`: starts everything in order, says where it is, and stops in order.
//!
//! Invariant: whatever fails at the start names what to do about it; a stop drains what runs, and a kill loses
//! nothing either.
//! Begin with [`run`].

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::SystemClock;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use spine::database::{Database, DatabaseConfig, DatabaseError, ExternalDatabase, HubLock};
use spine::queue::{Concurrency, RunnerOptions};
use spine::vault::Vault;
use spine::{MediaSettings, Running, S3Settings, Settings, Spine};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Media};
use crate::{health, render, services};

/// How long a stop waits for what runs.
const DRAIN: Duration = Duration::from_secs(20);

/// Why the hub could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The keys.
    #[error(transparent)]
    Vault(#[from] spine::vault::VaultError),
    /// An address or socket.
    #[error("can't listen on {0}: {1}\n  hint: choose another with --listen or ALLOD_LISTEN")]
    Listen(String, #[source] std::io::Error),
    /// A file that the configuration names.
    #[error("{0}: {1}")]
    File(String, #[source] std::io::Error),
    /// The spine.
    #[error("the spine can't start")]
    Start(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ServeError {
    /// True if another hub has the data directory: it runs, or is still stopping.
    pub(crate) fn is_locked(&self) -> bool {
        matches!(self, Self::Database(DatabaseError::Locked { .. }))
    }
}

/// A hub that runs.
struct Hub {
    running: Running,
    database: Database,
    doors: CancellationToken,
    serving: tokio::task::JoinSet<()>,
    _lock: HubLock,
}

/// Serves until it is told to stop by SIGTERM or SIGINT.
pub(crate) async fn run(config: &Config) -> Result<(), ServeError> {
    let started = Instant::now();
    // Heard from now on: a stop that is asked for during the start comes in good order after it.
    let stop = stop_signal();
    let hub = start(config, started).await?;
    stop.await;
    tracing::info!("stopping: what runs is finished first");
    hub.stop(&config.control_socket()).await;
    tracing::info!("stopped");
    Ok(())
}

async fn start(config: &Config, started: Instant) -> Result<Hub, ServeError> {
    let lock = HubLock::acquire(&config.data_dir)?;
    make_private(&config.data_dir.join("keys"))?;
    let listener = listen(config.listen).await?;
    let listen = listener
        .local_addr()
        .map_err(|error| ServeError::Listen(config.listen.to_string(), error))?;
    let database = Database::open(&database_config(config)).await?;
    match furnish(config, &database, listener, listen).await {
        Ok((running, doors, serving)) => {
            tracing::info!(address = %listen, ready_ms = started.elapsed().as_millis() as u64, "the hub is ready");
            Ok(Hub {
                running,
                database,
                doors,
                serving,
                _lock: lock,
            })
        }
        Err(error) => {
            database.stop().await;
            Err(error)
        }
    }
}

/// Everything on top of the database.
async fn furnish(
    config: &Config,
    database: &Database,
    listener: TcpListener,
    listen: SocketAddr,
) -> Result<(Running, CancellationToken, tokio::task::JoinSet<()>), ServeError> {
    let settings = settings(config, listen)?;
    let key = config.data_dir.join("keys/master");
    let vault = Vault::open_for(&key, database.has_data().await?)?;
    let (spine, gate) = Spine::new(
        database.app().clone(),
        database.spine().clone(),
        vault,
        Arc::new(SystemClock),
        settings,
    );
    let context = spine.context().clone();
    let mut routes = edge::Routes::default();
    let mut services = Vec::new();
    for service in services::services(&context) {
        let mut service = service.map_err(|why| ServeError::Start(why.into()))?;
        routes.take(&mut service);
        services.push(service);
    }
    let missing = context.ports.missing();
    if !missing.is_empty() {
        return Err(ServeError::Start(
            format!("no service provides {}", missing.join(", ")).into(),
        ));
    }
    let metrics = edge::Metrics::install().map_err(|error| ServeError::Start(Box::new(error)))?;
    routes.add_api(health::status_routes(
        config,
        listen,
        database.clone(),
        spine.admin().clone(),
    ));
    let ranges: Vec<_> = config.trusted_proxies.iter().map(|range| range.0).collect();
    let proxies = edge::TrustedProxies::new(&ranges);
    let edge = edge::build(edge::Parts {
        context: context.clone(),
        admin: spine.admin().clone(),
        gate,
        routes,
        checks: vec![
            Arc::new(health::DatabaseCheck(database.clone())),
            Arc::new(health::DiskCheck(config.data_dir.clone())),
            Arc::new(health::ConsumersCheck(spine.admin().clone())),
        ],
        metrics: Some(metrics.clone()),
        metrics_public: config.metrics_public,
        proxies: proxies.clone(),
    });
    let jobs = RunnerOptions {
        concurrency: Concurrency {
            realtime: config.jobs.realtime,
            interactive: config.jobs.interactive,
            background: config.jobs.background,
        },
        ..RunnerOptions::default()
    };
    let running = spine
        .start(services, jobs)
        .await
        .map_err(|error| ServeError::Start(Box::new(error)))?;
    let control = control_listener(&config.control_socket())?;
    // One token ends live streams and listeners alike.
    let doors = edge.streams.clone();
    let mut serving = tokio::task::JoinSet::new();
    let (network_stop, control_stop) = (doors.clone(), doors.clone());
    let limits = edge::Limits::new(descriptors(), proxies);
    serving.spawn(edge::serve(listener, edge.network, limits, network_stop));
    serving.spawn(async move {
        let _ = axum::serve(control, edge.control)
            .with_graceful_shutdown(control_stop.cancelled_owned())
            .await;
    });
    serving.spawn(async move {
        let _ = metrics.upkeep().await;
    });
    greet(&context, listen).await;
    Ok((running, doors, serving))
}

/// Says where the hub is, and where its first owner signs up.
async fn greet(context: &spine::Context, listen: SocketAddr) {
    render::line(format!("allod is ready at http://{listen}"));
    match accounts::setup_link(context).await {
        Ok(Some(link)) => {
            render::line("Nobody lives here yet. Open this link to make the first account (it works once):");
            render::line(format!("  {link}"));
        }
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(%error, "no set-up link could be made; `allod account setup-link` makes one");
        }
    }
}

impl Hub {
    /// No new requests, then jobs and consumers, then the database.
    async fn stop(mut self, control: &Path) {
        self.doors.cancel();
        let answered = tokio::time::timeout(Duration::from_secs(5), async {
            // Streams of live updates end with their client; nobody waits for them.
            while self.serving.len() > 1 && self.serving.join_next().await.is_some() {}
        });
        let _ = answered.await;
        self.serving.abort_all();
        self.running.drain(DRAIN).await;
        self.database.stop().await;
        let _ = std::fs::remove_file(control);
    }
}

/// A folder that the hub's user alone may enter, whatever it was before.
fn make_private(folder: &Path) -> Result<(), ServeError> {
    let failed = |error| ServeError::File(folder.display().to_string(), error);
    std::fs::create_dir_all(folder).map_err(failed)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).map_err(failed)
}

/// How many descriptors the process may open, after raising that to what the system grants.
fn descriptors() -> u64 {
    let granted = getrlimit(Resource::Nofile);
    let wished = Rlimit {
        current: granted.maximum,
        maximum: granted.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, wished) {
        tracing::warn!(%error, "the limit of open files can't be raised");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| ServeError::Listen(address.to_string(), error))
}

/// The lock of the data directory is held, so a socket that is there belongs to a hub that was killed.
fn control_listener(path: &Path) -> Result<UnixListener, ServeError> {
    let failed = |error| ServeError::Listen(path.display().to_string(), error);
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// How the database is reached: from the configuration and, for passwords, the environment.
pub(crate) fn database_config(config: &Config) -> DatabaseConfig {
    let variable = |name: &str| std::env::var(name).ok();
    let external = config.database.url.clone().map(|url| ExternalDatabase {
        url,
        owner_url: variable("ALLOD_DATABASE_OWNER_URL"),
        app_url: variable("ALLOD_DATABASE_APP_URL"),
        spine_url: variable("ALLOD_DATABASE_SPINE_URL"),
    });
    DatabaseConfig {
        external,
        postgres_bin: config.postgres_bin.clone(),
        app_connections: config.database.app_connections,
        spine_connections: config.database.spine_connections,
        ..DatabaseConfig::new(&config.data_dir)
    }
}

fn settings(config: &Config, listen: SocketAddr) -> Result<Settings, ServeError> {
    let read = |path: &std::path::PathBuf| {
        std::fs::read(path).map_err(|error| ServeError::File(path.display().to_string(), error))
    };
    Ok(Settings {
        data_dir: config.data_dir.clone(),
        packs_dir: config.packs_dir(),
        recipes_dir: config.recipes_dir(),
        public_url: config.public_url(listen),
        upload_bytes_max: config.imports.upload_bytes_max,
        extra_ca_pem: config.fetch.extra_ca.iter().map(read).collect::<Result<_, _>>()?,
        media: media_settings(&config.media)?,
    })
}

fn media_settings(media: &Media) -> Result<MediaSettings, ServeError> {
    let s3 = match &media.bucket {
        None => None,
        Some(bucket) => Some(S3Settings {
            bucket: bucket.clone(),
            region: media.region.clone(),
            endpoint: media.endpoint.clone(),
            prefix: media.prefix.clone(),
            access_key_id: media.access_key_id.clone().unwrap_or_default(),
            secret_access_key: media_secret(media)?,
            allowed_ranges: media
                .allowed_ranges
                .iter()
                .map(|range| range.0.to_string())
                .collect(),
        }),
    };
    Ok(MediaSettings {
        file_bytes_max: media.file_bytes_max,
        account_bytes_max: media.account_bytes_max,
        grace: Duration::from_secs(u64::from(media.grace_days) * 24 * 3600),
        s3,
    })
}

/// The key itself, or what the file holds that is named for it.
fn media_secret(media: &Media) -> Result<String, ServeError> {
    match (&media.secret_access_key, &media.secret_access_key_file) {
        (Some(secret), _) => Ok(secret.clone()),
        (None, Some(file)) => {
            let read = std::fs::read_to_string(file);
            let text = read.map_err(|error| ServeError::File(file.display().to_string(), error))?;
            Ok(text.trim().to_owned())
        }
        (None, None) => Ok(String::new()),
    }
}

/// Listens from the call on; what it returns ends with the first SIGTERM or SIGINT.
fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let heard = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut term), Ok(mut int)) = heard else {
            tracing::error!("signals can't be heard: stop the hub by killing it");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    }
}
