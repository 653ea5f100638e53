//! The files of the private PostgreSQL: made once by `initdb`, configured anew at each start.
//!
//! Invariant: `<data>/postgres` is a whole cluster or isn't there. It is made under another name and renamed, so a
//! kill in the middle leaves something that the next start throws away.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::binaries::{self, Binaries};
use super::error::DatabaseError;
use super::program::{command, has_parent_death_signal};

/// The bootstrap superuser; only the hub's own system user may become it.
pub(super) const SUPERUSER: &str = "postgres";
const DIRECTORY: &str = "postgres";
const DISCARD_TRIES: u32 = 30;
const DISCARD_PAUSE: Duration = Duration::from_millis(100);
const UNFINISHED_PREFIX: &str = "postgres.unfinished-";

/// The cluster's folder within the data directory.
pub(super) fn directory(data_dir: &Path) -> PathBuf {
    data_dir.join(DIRECTORY)
}

/// Finds the programs and, the first time, makes the cluster. Needs the hub's lock: it removes leftovers.
pub(super) fn prepare(data_dir: &Path, chosen: Option<&Path>) -> Result<Binaries, DatabaseError> {
    remove_unfinished(data_dir)?;
    let directory = directory(data_dir);
    let exists = directory
        .try_exists()
        .map_err(DatabaseError::file("cannot look at", &directory))?;
    let version = if exists {
        Some(cluster_version(&directory)?)
    } else {
        None
    };
    let binaries = binaries::find(chosen, version.map(|v| (directory.as_path(), v)))?;
    if rustix::process::geteuid().is_root() {
        return Err(DatabaseError::Root);
    }
    if version.is_none() {
        create(data_dir, &directory, &binaries)?;
    }
    Ok(binaries)
}

fn remove_unfinished(data_dir: &Path) -> Result<(), DatabaseError> {
    let entries = std::fs::read_dir(data_dir).map_err(DatabaseError::file("cannot read", data_dir))?;
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED_PREFIX) {
            tracing::info!(path = %entry.path().display(), "a database that an earlier start left unfinished is removed");
            discard(&entry.path())?;
        }
    }
    Ok(())
}

fn cluster_version(directory: &Path) -> Result<u32, DatabaseError> {
    std::fs::read_to_string(directory.join("PG_VERSION"))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| DatabaseError::NotACluster(directory.to_owned()))
}

fn create(data_dir: &Path, directory: &Path, binaries: &Binaries) -> Result<(), DatabaseError> {
    tracing::info!(directory = %directory.display(), version = binaries.major, "a new database is made; this takes a few seconds");
    let unfinished = data_dir.join(format!("{UNFINISHED_PREFIX}{}", std::process::id()));
    // C.UTF-8 sorts by code point on every machine. Where the system doesn't know it (macOS before 15, musl), C does
    // the same for all but upper and lower case beyond ASCII.
    if let Err(first) = initdb(binaries, &unfinished, "C.UTF-8") {
        tracing::debug!(%first, "initdb with C.UTF-8 failed, now with C");
        discard(&unfinished)?;
        initdb(binaries, &unfinished, "C").inspect_err(|_| drop(discard(&unfinished)))?;
    }
    std::fs::rename(&unfinished, directory).map_err(DatabaseError::file("cannot rename", &unfinished))?;
    std::fs::File::open(data_dir)
        .and_then(|parent| parent.sync_all())
        .map_err(DatabaseError::file("cannot sync", data_dir))
}

/// Tried for a few seconds: a program of an earlier start may still be ending, and write a last file.
fn discard(unfinished: &Path) -> Result<(), DatabaseError> {
    let mut tries = 0;
    loop {
        match std::fs::remove_dir_all(unfinished) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) if tries >= DISCARD_TRIES => {
                return Err(DatabaseError::file("cannot remove", unfinished)(e));
            }
            Err(_) => {
                tries += 1;
                std::thread::sleep(DISCARD_PAUSE);
            }
        }
    }
}

fn initdb(binaries: &Binaries, directory: &Path, locale: &str) -> Result<(), DatabaseError> {
    let initdb = binaries.program("initdb");
    // Killed with the hub: one that went on would write into what the next start removes.
    let output = command(&initdb, has_parent_death_signal().then_some("KILL"))
        .arg("--pgdata")
        .arg(directory)
        .args([
            "--username",
            SUPERUSER,
            "--encoding=UTF8",
            "--auth=peer",
            "--data-checksums",
            "--no-instructions",
        ])
        .arg(format!("--locale={locale}"))
        .arg("--text-search-config=simple")
        .stdin(Stdio::null())
        .output()
        .map_err(DatabaseError::file("cannot run", &initdb))?;
    if output.status.success() {
        return Ok(());
    }
    Err(DatabaseError::Initdb {
        directory: directory.to_owned(),
        output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// Writes the three configuration files; done at each start, so that a moved directory, another system user or a newer
/// hub's settings need no migration.
pub(super) fn configure(
    directory: &Path,
    socket_dir: &Path,
    system_user: &str,
    connections: u32,
) -> Result<(), DatabaseError> {
    let own_file = directory
        .parent()
        .is_some_and(|data| data.join("postgresql.local.conf").is_file());
    write_if_changed(
        &directory.join("postgresql.conf"),
        &settings(socket_dir, own_file, connections),
    )?;
    write_if_changed(&directory.join("pg_hba.conf"), HBA)?;
    write_if_changed(&directory.join("pg_ident.conf"), &ident_map(system_user))
}

fn write_if_changed(path: &Path, text: &str) -> Result<(), DatabaseError> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(".new");
    std::fs::write(&partial, text)
        .and_then(|()| std::fs::rename(&partial, path))
        .map_err(DatabaseError::file("cannot write", path))
}

const HBA: &str = "# Written by allod at each start.\nlocal all all peer map=allod\n";

/// The one system user that runs the hub may log in as each of the hub's roles, and nobody else may log in at all.
fn ident_map(system_user: &str) -> String {
    let mut text = String::from("# Written by allod at each start.\n");
    for role in [SUPERUSER, "allod_owner", "allod_app", "allod_spine"] {
        text.push_str(&format!(
            "allod \"{}\" {role}\n",
            system_user.replace('"', "\"\"")
        ));
    }
    text
}

fn settings(socket_dir: &Path, own_file: bool, connections: u32) -> String {
    let include = if own_file {
        "include '../postgresql.local.conf'"
    } else {
        ""
    };
    // The folder's characters were checked when it was chosen.
    format!(
        "# Written by allod at each start. Settings of your own go into ../postgresql.local.conf, which is read here;
# what stands below it can't be changed there.
max_connections = {connections}
shared_buffers = 96MB
effective_cache_size = 512MB
max_wal_size = 512MB
wal_compression = on
checkpoint_timeout = 10min
autovacuum_naptime = 15s
random_page_cost = 1.1
max_locks_per_transaction = 128
jit = off
log_checkpoints = off
log_min_messages = warning
{include}

listen_addresses = ''
port = 5432
unix_socket_directories = '{socket}'
unix_socket_permissions = 0700
fsync = on
synchronous_commit = on
full_page_writes = on
timezone = 'UTC'
log_timezone = 'UTC'
# One file a weekday, begun anew each week. Terse, and without statements and parameters: they carry people's data.
logging_collector = on
log_directory = 'log'
log_filename = 'postgresql-%a.log'
log_file_mode = 0600
log_rotation_age = 1d
log_rotation_size = 0
log_truncate_on_rotation = on
log_error_verbosity = terse
log_min_error_statement = panic
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_line_prefix = '%m [%p] %u '
",
        socket = socket_dir.display()
    )
}

/// The name of the system user that this process runs as, as peer authentication will see it.
pub(super) fn system_user() -> Result<String, DatabaseError> {
    let output = Command::new("id")
        .arg("-un")
        .stdin(Stdio::null())
        .output()
        .map_err(DatabaseError::file("cannot run", "id"))?;
    let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && !name.is_empty() {
        return Ok(name);
    }
    let uid = rustix::process::geteuid().as_raw();
    Err(DatabaseError::File {
        what: "this process's user has no name, which peer authentication needs; look in",
        path: PathBuf::from("/etc/passwd"),
        source: std::io::Error::other(format!("no entry for uid {uid}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn half_a_cluster_of_a_killed_start_is_thrown_away_and_everything_else_stays() {
        let data = TempDir::new();
        std::fs::create_dir_all(data.path().join("postgres.unfinished-4711/base")).unwrap();
        std::fs::create_dir_all(data.path().join("postgres.mine")).unwrap();
        remove_unfinished(data.path()).unwrap();
        assert!(!data.path().join("postgres.unfinished-4711").exists());
        assert!(data.path().join("postgres.mine").exists());
    }

    #[test]
    fn a_folder_that_is_no_cluster_is_named_and_left_alone() {
        let data = TempDir::new();
        std::fs::create_dir(directory(data.path())).unwrap();
        let refused = prepare(data.path(), None).unwrap_err();
        assert!(matches!(refused, DatabaseError::NotACluster(_)), "{refused}");
        assert!(directory(data.path()).exists());
    }

    #[test]
    fn durability_and_the_socket_stand_after_the_owners_own_settings() {
        let text = settings(Path::new("/var/lib/allod/run"), true, 77);
        assert!(text.contains("\nmax_connections = 77\n"));
        let include = text.find("include '").unwrap();
        for fixed in [
            "listen_addresses = ''",
            "fsync = on",
            "synchronous_commit = on",
            "full_page_writes = on",
        ] {
            assert!(text.find(fixed).unwrap() > include, "{fixed}");
        }
    }

    #[test]
    fn only_the_hubs_own_system_user_is_mapped() {
        let map = ident_map("o\"dd");
        assert_eq!(
            map.lines()
                .filter(|l| l.starts_with("allod \"o\"\"dd\" "))
                .count(),
            4,
            "{map}"
        );
        assert!(!map.contains("allod_definer"), "it can't log in");
    }
}
