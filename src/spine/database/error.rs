//! What can go wrong between the hub and its database, in words that name the next step.

use std::path::{Path, PathBuf};

use super::binaries::INSTALL_HINT;
use super::tls;

/// Why the database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// No usable PostgreSQL was found on this machine.
    #[error("no PostgreSQL 15 or newer is installed here{}\n{INSTALL_HINT}", seen(.found))]
    NotInstalled {
        /// Older versions that were seen, for the message.
        found: Vec<u32>,
    },
    /// `ALLOD_POSTGRES_BIN` names a folder that holds no PostgreSQL.
    #[error("{} (ALLOD_POSTGRES_BIN) holds no working `initdb` and `postgres` of version 15 or newer", .0.display())]
    NoBinariesIn(PathBuf),
    /// The data directory was made by a version of PostgreSQL that isn't installed.
    #[error(
        "the data in {} was made by PostgreSQL {needed}, and only {} is installed here. Install PostgreSQL {needed} \
         (Debian and Ubuntu: apt-get install postgresql-{needed}); its data is neither changed nor upgraded by itself",
        .directory.display(), versions(.found)
    )]
    OtherVersion {
        /// The cluster's directory.
        directory: PathBuf,
        /// The major version that made it.
        needed: u32,
        /// The major versions that are installed.
        found: Vec<u32>,
    },
    /// The directory exists but isn't a PostgreSQL cluster.
    #[error("{} is not a PostgreSQL data directory (PG_VERSION is missing or unreadable); move it away", .0.display())]
    NotACluster(PathBuf),
    /// The server or initdb can't run as root.
    #[error("PostgreSQL refuses to run as root; start the hub with `allod serve`, which gives up root first")]
    Root,
    /// `initdb` failed.
    #[error("initdb could not make the database in {}:\n{output}", .directory.display())]
    Initdb {
        /// Where it should have been made.
        directory: PathBuf,
        /// What initdb said.
        output: String,
    },
    /// The server ended before it answered.
    #[error("PostgreSQL did not start ({status}); its log is in {}{}", .log.display(), indented(.output))]
    NotStarted {
        /// How it ended.
        status: String,
        /// The folder of its log files.
        log: PathBuf,
        /// The last lines that it wrote.
        output: String,
    },
    /// The server of an earlier hub doesn't end.
    #[error(
        "an earlier PostgreSQL (pid {pid}) still runs on {} and did not end within {waited_s} s; look at it, then \
         `kill -QUIT {pid}`", .directory.display()
    )]
    OldServerStays {
        /// Its process id.
        pid: i32,
        /// Its data directory.
        directory: PathBuf,
        /// How long the hub has waited, in seconds.
        waited_s: u64,
    },
    /// No folder could be found for the socket.
    #[error("no safe folder for the database socket: {0}")]
    SocketDirectory(String),
    /// A hub already runs on this data directory.
    #[error("another hub (pid {pid}) already runs on {}; stop it first, or choose another data directory", .directory.display())]
    Locked {
        /// The holder's process id, or `unknown`.
        pid: String,
        /// The data directory.
        directory: PathBuf,
    },
    /// A file or program could not be used.
    #[error("{what} {}: {source}", .path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A database address is wrong.
    #[error("{key} is not a usable PostgreSQL address: {why}")]
    Address {
        /// The setting's name.
        key: &'static str,
        /// What is wrong, without the address (it may hold a password).
        why: String,
    },
    /// The external database's roles have no passwords here.
    #[error(
        "DATABASE_URL is set, but {} is missing: run `allod db init` with ALLOD_DATABASE_ADMIN_URL, or set \
         ALLOD_DATABASE_OWNER_URL, ALLOD_DATABASE_APP_URL and ALLOD_DATABASE_SPINE_URL (`allod doctor` prints the SQL)",
        .0.display()
    )]
    NotInitialised(PathBuf),
    /// The roles exist already and belong, perhaps, to another hub.
    #[error(
        "the roles allod_* exist on that server already, and {} does not hold their passwords: copy that file from \
         the hub that made them, or run `allod db init --reset-passwords`, which locks that other hub out", .0.display()
    )]
    RolesExist(PathBuf),
    /// The server can't be reached or turned the hub away.
    #[error("the database does not let {role} in: {why}")]
    Unreachable {
        /// The role that tried.
        role: &'static str,
        /// What the driver said.
        why: String,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
    /// The server is too old.
    #[error("the database server is PostgreSQL {0}; allod needs 15 or newer")]
    TooOld(String),
    /// Roles that could step over row-level security, or can't do their work.
    #[error("the hub does not start, because its database roles are not safe:\n- {}\n`allod doctor` prints the SQL that sets them right", .0.join("\n- "))]
    UnsafeRoles(Vec<String>),
    /// A shipped migration differs from the one that was applied.
    #[error(
        "migration {0} differs from the one that this database was made with; shipped migrations are never edited: use the binary that made this database, or a newer release"
    )]
    MigrationEdited(i64),
    /// The database was used by a newer hub.
    #[error(
        "this database was already used by a newer allod (migration {0} is unknown here); start that version or a newer one"
    )]
    Newer(i64),
    /// A migration failed; its transaction was rolled back.
    #[error("migration {version} failed and was rolled back: {why}")]
    Migration {
        /// Its number; 0 when none had begun.
        version: i64,
        /// What the server said.
        why: String,
    },
    /// A query of the start failed.
    #[error("the database failed while {what}: {source}")]
    Query {
        /// What was being done.
        what: &'static str,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
}

impl DatabaseError {
    pub(super) fn file(what: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::File { what, path, source }
    }

    pub(crate) fn query(what: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Query { what, source }
    }

    pub(super) fn unreachable(role: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Unreachable {
            role,
            why: tls::refusal(&source).unwrap_or_else(|| source.to_string()),
            source,
        }
    }

    /// Whether waiting may help: the server isn't there (yet), or is starting or stopping.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } | Self::Query { source, .. } => is_transient(source),
            _ => false,
        }
    }
}

/// Whether the driver's error speaks of a server that is away, starting or stopping, not of a refusal.
pub(super) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        _ if tls::refusal(error).is_some() => false,
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        // 57P01-57P03: shut down by the administrator, crashed, can't connect now. 53300: too many connections.
        sqlx::Error::Database(e) => {
            matches!(e.code().as_deref(), Some("57P01" | "57P02" | "57P03" | "53300"))
        }
        _ => false,
    }
}

fn versions(found: &[u32]) -> String {
    match found {
        [] => "no other version".to_owned(),
        _ => found.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn seen(found: &[u32]) -> String {
    if found.is_empty() {
        ".".to_owned()
    } else {
        format!(" (found only {}).", versions(found))
    }
}

fn indented(output: &str) -> String {
    output.trim().lines().map(|line| format!("\n  {line}")).collect()
}
