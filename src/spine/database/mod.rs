//! The hub's database: a private PostgreSQL of its own, or one that runs elsewhere, behind one handle.
//!
//! Opening it starts the server where it is ours, looks at the roles, migrates, and opens a pool for each role.
//! Takes and makes no events or jobs.
//! Invariant: services get connections of `allod_app` and `allod_spine` only, and neither can step over row-level
//! security (`ARCHITECTURE.md`, "Roles").
//! Begin with [`Database::open`], then `embedded` or `external`, then `roles`.

mod binaries;
mod cluster;
mod embedded;
mod error;
mod external;
mod lock;
mod migrations;
pub(crate) mod pools;
mod postmaster;
mod program;
mod roles;
mod server;
mod socket;
#[cfg(test)]
mod tests;
mod tls;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{ConnectOptions, Connection};

pub use embedded::EmbeddedPostgres;
pub use error::DatabaseError;
pub use external::{DbInit, ExternalDatabase, db_init};
pub use lock::HubLock;
pub use roles::{Role, doctor_sql};

#[cfg(any(test, feature = "testing"))]
pub(crate) use self::{migrations::fingerprint, roles::make as make_roles};
pub(crate) use migrations::migrate;
#[cfg(any(test, feature = "testing"))]
pub(crate) use migrations::migrate_to;

/// Connections of the private server beside the pools: the queue's own dozen, listeners, migrations, a backup, whoever
/// looks with psql, and those that PostgreSQL keeps for its superuser.
const ROOM: u32 = 34;
/// It takes this many however small the pools are.
const CONNECTIONS_MIN: u32 = 60;
const RETRY_EVERY: Duration = Duration::from_secs(2);
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What [`Database::open`] needs to know.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// The hub's data directory.
    pub data_dir: PathBuf,
    /// A server that runs elsewhere; the private one when `None`.
    pub external: Option<ExternalDatabase>,
    /// The folder of `initdb` and `postgres`, instead of looking for it (`ALLOD_POSTGRES_BIN`).
    pub postgres_bin: Option<PathBuf>,
    /// The most connections of `allod_app`.
    pub app_connections: u32,
    /// The most connections of `allod_spine`.
    pub spine_connections: u32,
    /// How long an external server that can't be reached yet is waited for at the start.
    pub patience: Duration,
}

impl DatabaseConfig {
    /// The defaults: a private server, 16 and 8 connections, a minute of patience.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            external: None,
            postgres_bin: None,
            app_connections: 16,
            spine_connections: 8,
            patience: Duration::from_secs(60),
        }
    }

    /// How many connections the private server takes: those of both pools, and room beside them.
    fn server_connections(&self) -> u32 {
        let pools = self.app_connections.saturating_add(self.spine_connections);
        pools.saturating_add(ROOM).max(CONNECTIONS_MIN)
    }
}

/// The open database. Clones share it.
#[derive(Debug, Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    app: PgPool,
    spine: PgPool,
    options: RoleOptions,
    embedded: Option<EmbeddedPostgres>,
    server_version: String,
}

/// How each role connects.
#[derive(Debug, Clone)]
pub(crate) struct RoleOptions {
    owner: PgConnectOptions,
    app: PgConnectOptions,
    spine: PgConnectOptions,
}

impl RoleOptions {
    /// The same server and database for each role.
    pub(crate) fn all(base: &PgConnectOptions) -> Self {
        Self::new([base.clone(), base.clone(), base.clone()])
    }

    fn new([owner, app, spine]: [PgConnectOptions; 3]) -> Self {
        Self {
            owner: pools::for_role(owner, Role::Owner),
            app: pools::for_role(app, Role::App),
            spine: pools::for_role(spine, Role::Spine),
        }
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn owner(&self) -> &PgConnectOptions {
        &self.owner
    }

    fn of(&self, role: Role) -> &PgConnectOptions {
        match role {
            Role::Owner => &self.owner,
            Role::App => &self.app,
            Role::Spine => &self.spine,
        }
    }
}

/// How the database does, for `/health` and `allod status`.
#[derive(Debug, Clone, Serialize)]
pub struct DatabaseHealth {
    /// Both roles got an answer.
    pub ready: bool,
    /// How long the slower answer took, in milliseconds.
    pub answer_ms: u64,
    /// Connections of `allod_app` that are in use, and that are open.
    pub app_connections: (u32, u32),
    /// The same of `allod_spine`.
    pub spine_connections: (u32, u32),
    /// What is wrong, when something is.
    pub problem: Option<String>,
}

impl Database {
    /// Starts (or reaches) the server, refuses unsafe roles, migrates, and opens the pools. For the private server the
    /// caller holds the directory's [`HubLock`] until after [`Database::stop`].
    pub async fn open(config: &DatabaseConfig) -> Result<Self, DatabaseError> {
        let Some(external) = &config.external else {
            let (bin, connections) = (config.postgres_bin.as_deref(), config.server_connections());
            let server = EmbeddedPostgres::start(&config.data_dir, bin, connections).await?;
            let options = RoleOptions::all(&server.options());
            return Self::connect(options, Some(server), config).await;
        };
        let options = RoleOptions::new(external.options(&config.data_dir)?);
        let begun = Instant::now();
        loop {
            match Self::connect(options.clone(), None, config).await {
                Err(error) if error.may_pass() && begun.elapsed() < config.patience => {
                    tracing::warn!(%error, "the database can't be reached yet, the hub waits for it");
                    tokio::time::sleep(RETRY_EVERY).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Opens what runs already. A private server that the rest fails on is stopped again.
    pub(crate) async fn connect(
        options: RoleOptions,
        embedded: Option<EmbeddedPostgres>,
        config: &DatabaseConfig,
    ) -> Result<Self, DatabaseError> {
        match prepare(&options, config).await {
            Ok((app, spine, server_version)) => Ok(Self {
                inner: Arc::new(Inner {
                    app,
                    spine,
                    options,
                    embedded,
                    server_version,
                }),
            }),
            Err(error) => {
                if let Some(server) = embedded {
                    server.stop().await;
                }
                Err(error)
            }
        }
    }

    /// Connections of `allod_app`, which see one account's rows at a time.
    pub fn app(&self) -> &PgPool {
        &self.inner.app
    }

    /// Connections of `allod_spine`, for the event log and the queue.
    pub fn spine(&self) -> &PgPool {
        &self.inner.spine
    }

    /// Whether anything ever happened here: then there is data that only the hub's own keys open.
    ///
    /// # Errors
    /// [`DatabaseError::Query`].
    pub async fn has_data(&self) -> Result<bool, DatabaseError> {
        sqlx::query_scalar!(
            r#"SELECT position > 0 OR EXISTS (SELECT FROM spine.outbox) AS "any!" FROM spine.log_head"#
        )
        .fetch_one(self.spine())
        .await
        .map_err(DatabaseError::query("asking whether there is data"))
    }

    /// How a role connects, for pools and listeners with settings of their own. A later
    /// `.options([("search_path", …)])` overrides the search path set here.
    pub fn connect_options(&self, role: Role) -> PgConnectOptions {
        self.inner.options.of(role).clone()
    }

    /// The private server, if it is one.
    pub fn embedded(&self) -> Option<&EmbeddedPostgres> {
        self.inner.embedded.as_ref()
    }

    /// Asks both roles for an answer; takes two seconds at most.
    pub async fn health(&self) -> DatabaseHealth {
        let begun = Instant::now();
        let (app, spine) = tokio::join!(answer(self.app()), answer(self.spine()));
        let problem = app.or(spine);
        DatabaseHealth {
            ready: problem.is_none(),
            answer_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            app_connections: usage(self.app()),
            spine_connections: usage(self.spine()),
            problem,
        }
    }

    /// One line for people: which server this is.
    pub fn describe(&self) -> String {
        let version = &self.inner.server_version;
        match self.embedded() {
            Some(server) => {
                let pid = server
                    .pid()
                    .map_or_else(|| "not running now".to_owned(), |pid| format!("pid {pid}"));
                format!(
                    "PostgreSQL {version}, private, in {} ({pid})",
                    server.directory().display()
                )
            }
            None => {
                let at = self.inner.options.of(Role::App);
                let place = at.get_socket().map_or_else(
                    || format!("{}:{}", at.get_host(), at.get_port()),
                    |socket| socket.display().to_string(),
                );
                format!(
                    "PostgreSQL {version} at {place}, database {}",
                    at.get_database().unwrap_or("allod")
                )
            }
        }
    }

    /// Closes the pools, then stops the private server in good order. Connections still out after five seconds are
    /// ended by the server's shutdown, and their transactions rolled back.
    pub async fn stop(&self) {
        let close = async { tokio::join!(self.inner.app.close(), self.inner.spine.close()) };
        if tokio::time::timeout(CLOSE_TIMEOUT, close).await.is_err() {
            tracing::warn!("some database connections were still in use at the end");
        }
        if let Some(server) = self.embedded() {
            server.stop().await;
        }
    }
}

/// All that stands between a server that answers and one that the hub may use.
async fn prepare(
    options: &RoleOptions,
    config: &DatabaseConfig,
) -> Result<(PgPool, PgPool, String), DatabaseError> {
    let mut owner = options
        .owner
        .connect()
        .await
        .map_err(DatabaseError::unreachable(Role::Owner.name()))?;
    roles::verify(&mut owner).await?;
    migrate(&mut owner).await?;
    let version: String = sqlx::query_scalar("SELECT current_setting('server_version')")
        .fetch_one(&mut owner)
        .await
        .map_err(DatabaseError::query("asking for the server's version"))?;
    owner
        .close()
        .await
        .map_err(DatabaseError::query("closing a connection"))?;
    let app = pools::open(options.app.clone(), Role::App, config.app_connections).await?;
    let spine = pools::open(options.spine.clone(), Role::Spine, config.spine_connections).await?;
    // Debian adds its package's name in brackets.
    let version = version.split(' ').next().unwrap_or_default().to_owned();
    Ok((app, spine, version))
}

async fn answer(pool: &PgPool) -> Option<String> {
    match tokio::time::timeout(HEALTH_TIMEOUT, sqlx::query("SELECT 1").execute(pool)).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {} s", HEALTH_TIMEOUT.as_secs())),
    }
}

fn usage(pool: &PgPool) -> (u32, u32) {
    let open = pool.size();
    let idle = u32::try_from(pool.num_idle()).unwrap_or(open);
    (open.saturating_sub(idle), open)
}

/// The name of the private server's database, or of the one in `DATABASE_URL`; what [`doctor_sql`] wants.
pub fn database_name(external: Option<&ExternalDatabase>) -> Result<String, DatabaseError> {
    external.map_or_else(|| Ok(embedded::DATABASE.to_owned()), ExternalDatabase::database)
}

/// Where the private server's programs were found, for `allod doctor`.
///
/// # Errors
/// [`DatabaseError::NotInstalled`] and its like; the text names the package.
pub fn installed(chosen: Option<&Path>) -> Result<String, DatabaseError> {
    let found = binaries::find(chosen, None)?;
    Ok(format!("{} in {}", found.major, found.directory.display()))
}
