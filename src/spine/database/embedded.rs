//! The private PostgreSQL in the hub's data directory, reached through a socket that only the hub's user may open.
//!
//! Invariant: what was committed survives a kill of the hub, of the server and of the machine (`fsync`,
//! `synchronous_commit` and `full_page_writes` are on).
//! Begin with [`EmbeddedPostgres::start`]; [`super::cluster`] has the files, [`super::server`] the process.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection};

use super::cluster::{self, SUPERUSER};
use super::error::{DatabaseError, is_transient};
use super::postmaster::{is_ready, wait_for_old_server};
use super::roles;
use super::server::{Launch, Server};
use super::socket::socket_directory;

/// The hub's database within the private cluster.
pub(super) const DATABASE: &str = "allod";
const POLL: Duration = Duration::from_millis(15);
/// Recovery after a crash replays at most `max_wal_size` of log, which takes seconds to a few minutes.
const READY_MAX: Duration = Duration::from_secs(900);
const TELL_EVERY: Duration = Duration::from_secs(10);

/// A running private PostgreSQL.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    server: Server,
    socket_dir: PathBuf,
    directory: PathBuf,
    major: u32,
}

impl EmbeddedPostgres {
    /// Makes the cluster in `<data_dir>/postgres` when there is none, starts it, and makes roles and database when
    /// they are missing. `binaries` names the folder of `initdb` and `postgres` instead of looking for it; `connections`
    /// is how many the server must be able to take.
    ///
    /// The caller holds the [`super::HubLock`] of the directory: leftovers of an earlier hub are waited for or removed.
    pub async fn start(
        data_dir: &Path,
        binaries: Option<&Path>,
        connections: u32,
    ) -> Result<Self, DatabaseError> {
        // The server's working directory is another one.
        let data_dir =
            std::path::absolute(data_dir).map_err(DatabaseError::file("cannot resolve", data_dir))?;
        let binaries = binaries.map(Path::to_owned);
        let prepared =
            tokio::task::spawn_blocking(move || prepare(&data_dir, binaries.as_deref(), connections));
        let (launch, socket_dir) = prepared.await.map_err(|e| DatabaseError::File {
            what: "preparing was broken off in",
            path: PathBuf::from(DATABASE),
            source: std::io::Error::other(e),
        })??;
        let (directory, major) = (launch.directory.clone(), launch.binaries.major);
        let started = Self {
            server: Server::start(launch)?,
            socket_dir,
            directory,
            major,
        };
        match started.finish_start().await {
            Ok(()) => Ok(started),
            Err(error) => {
                started.stop().await;
                Err(error)
            }
        }
    }

    async fn finish_start(&self) -> Result<(), DatabaseError> {
        let admin = self.options().username(SUPERUSER);
        let mut conn = self.wait_until_ready(&admin).await?;
        self.server.supervise();
        if !roles::are_complete(&mut conn, DATABASE).await? {
            roles::make(&mut conn, &admin, DATABASE, None).await?;
        }
        conn.close()
            .await
            .map_err(DatabaseError::query("closing a connection"))
    }

    /// Connects as superuser, to the hub's database or, before that exists, to the cluster's first one.
    async fn wait_until_ready(&self, admin: &PgConnectOptions) -> Result<PgConnection, DatabaseError> {
        let begun = Instant::now();
        let mut told = begun;
        let mut database = DATABASE;
        loop {
            if !is_ready(&self.directory) && begun.elapsed() < READY_MAX && self.server.failure().is_none() {
                told = tell(begun, told);
                tokio::time::sleep(POLL).await;
                continue;
            }
            let error = match admin.clone().database(database).connect().await {
                Ok(conn) => return Ok(conn),
                Err(error) => error,
            };
            if let Some(failure) = self.server.failure() {
                return Err(failure);
            }
            if error
                .as_database_error()
                .is_some_and(|e| e.code().as_deref() == Some("3D000"))
                && database == DATABASE
            {
                database = "postgres";
                continue;
            }
            if !is_transient(&error) || begun.elapsed() > READY_MAX {
                return Err(DatabaseError::unreachable(SUPERUSER)(error));
            }
            told = tell(begun, told);
            tokio::time::sleep(POLL).await;
        }
    }

    /// How to connect, but for the role.
    pub(super) fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket_dir)
            .port(5432)
            .ssl_mode(PgSslMode::Disable)
            .database(DATABASE)
    }

    /// The folder of the socket.
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The folder of the cluster.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The major version of PostgreSQL.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The server's process id while it runs.
    pub fn pid(&self) -> Option<i32> {
        self.server.pid()
    }

    /// Ends the server in good order (a fast shutdown with its checkpoint) and returns when it is gone. A second call
    /// finds it gone.
    pub async fn stop(&self) {
        self.server.stop().await;
    }
}

/// Says now and then that the start goes on; returns when that was last said.
fn tell(begun: Instant, told: Instant) -> Instant {
    if told.elapsed() < TELL_EVERY {
        return told;
    }
    tracing::info!(
        waited_s = begun.elapsed().as_secs(),
        "the database is not ready yet (recovering?)"
    );
    Instant::now()
}

fn prepare(
    data_dir: &Path,
    binaries: Option<&Path>,
    connections: u32,
) -> Result<(Launch, PathBuf), DatabaseError> {
    let binaries = cluster::prepare(data_dir, binaries)?;
    let directory = cluster::directory(data_dir);
    // Before the first connection is tried: it would reach the old server, which is about to end.
    wait_for_old_server(&directory)?;
    let socket_dir = socket_directory(data_dir)?;
    cluster::configure(&directory, &socket_dir, &cluster::system_user()?, connections)?;
    let start_log = data_dir.join("postgres-start.log");
    Ok((
        Launch {
            binaries,
            directory,
            start_log,
        },
        socket_dir,
    ))
}
