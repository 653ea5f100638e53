//! Finds an installed PostgreSQL. Distributions keep the server's programs outside of PATH, each in its own place.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::DatabaseError;

/// The oldest major version that allod works with.
pub(super) const OLDEST: u32 = 15;
/// Versions looked for by name; a newer one is still found through PATH.
const NEWEST_NAMED: u32 = 25;

/// What to type where PostgreSQL is missing.
pub(super) const INSTALL_HINT: &str = "Install it (package and command), then start again:
  Debian, Ubuntu   postgresql          sudo apt-get install postgresql
  Fedora, RHEL     postgresql-server   sudo dnf install postgresql-server
  Alpine           postgresql          sudo apk add postgresql
  Arch             postgresql          sudo pacman -S postgresql
  macOS            postgresql@17       brew install postgresql@17
Its own server need not run: allod starts a private one. ALLOD_POSTGRES_BIN names another folder with `postgres` in it,
and DATABASE_URL a server that runs already.";

/// The programs of one installed version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) directory: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// The binaries for a cluster: of exactly the version that made it, or the newest for a fresh one.
pub(super) fn find(chosen: Option<&Path>, cluster: Option<(&Path, u32)>) -> Result<Binaries, DatabaseError> {
    let installed = match chosen {
        Some(directory) => match probe(directory) {
            Some(binaries) if binaries.major >= OLDEST => vec![binaries],
            _ => return Err(DatabaseError::NoBinariesIn(directory.to_owned())),
        },
        None => installed(),
    };
    choose(&installed, cluster)
}

fn choose(installed: &[Binaries], cluster: Option<(&Path, u32)>) -> Result<Binaries, DatabaseError> {
    let mut found: Vec<u32> = installed.iter().map(|b| b.major).collect();
    found.sort_unstable();
    found.dedup();
    match cluster {
        Some((directory, needed)) => installed
            .iter()
            .find(|b| b.major == needed)
            .cloned()
            .ok_or_else(|| DatabaseError::OtherVersion {
                directory: directory.to_owned(),
                needed,
                found,
            }),
        None => installed
            .iter()
            .filter(|b| b.major >= OLDEST)
            .max_by_key(|b| b.major)
            .cloned()
            .ok_or(DatabaseError::NotInstalled { found }),
    }
}

fn installed() -> Vec<Binaries> {
    let mut seen = Vec::new();
    let mut list: Vec<Binaries> = Vec::new();
    for directory in candidates(std::env::var_os("PATH").as_deref()) {
        // /usr/local/bin/postgres is often a link into a versioned folder that was looked at already.
        let Ok(real) = directory.join("postgres").canonicalize() else {
            continue;
        };
        if seen.contains(&real) {
            continue;
        }
        seen.push(real);
        list.extend(probe(&directory));
    }
    list
}

/// Where distributions put the server, newest first, then PATH.
fn candidates(path: Option<&std::ffi::OsStr>) -> Vec<PathBuf> {
    let mut list: Vec<PathBuf> = Vec::new();
    for version in (OLDEST..=NEWEST_NAMED).rev() {
        list.extend(
            [
                format!("/usr/lib/postgresql/{version}/bin"), // Debian, Ubuntu
                format!("/usr/pgsql-{version}/bin"),          // Fedora, RHEL from PGDG
                format!("/usr/libexec/postgresql{version}"),  // Alpine
                format!("/usr/lib/postgresql{version}/bin"),  // SUSE
                format!("/opt/homebrew/opt/postgresql@{version}/bin"), // Homebrew, Apple silicon
                format!("/usr/local/opt/postgresql@{version}/bin"), // Homebrew, Intel
                format!("/home/linuxbrew/.linuxbrew/opt/postgresql@{version}/bin"),
                format!("/opt/local/lib/postgresql{version}/bin"), // MacPorts
                format!("/Applications/Postgres.app/Contents/Versions/{version}/bin"),
            ]
            .map(PathBuf::from),
        );
    }
    list.extend(
        path.map(std::env::split_paths)
            .into_iter()
            .flatten()
            .filter(|p| p.is_absolute()),
    );
    list.extend(
        [
            "/usr/bin",
            "/usr/local/bin",
            "/usr/local/pgsql/bin",
            "/opt/homebrew/bin",
        ]
        .map(PathBuf::from),
    );
    list
}

fn probe(directory: &Path) -> Option<Binaries> {
    if !directory.join("initdb").is_file() {
        return None;
    }
    let output = Command::new(directory.join("postgres"))
        .arg("--version")
        .output()
        .ok()?;
    let major = major_version(&String::from_utf8_lossy(&output.stdout))?;
    Some(Binaries {
        directory: directory.to_owned(),
        major,
    })
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, `postgres (PostgreSQL) 18beta1`.
fn major_version(text: &str) -> Option<u32> {
    let number = text.split("(PostgreSQL)").nth(1)?.trim_start();
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number.get(..digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(major: u32) -> Binaries {
        Binaries {
            directory: PathBuf::from(format!("/pg/{major}")),
            major,
        }
    }

    #[test]
    fn the_version_is_read_as_distributions_print_it() {
        assert_eq!(
            major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_version("postgres: command not found"), None);
    }

    #[test]
    fn a_fresh_directory_gets_the_newest_version_and_an_old_one_its_own() {
        let installed = [version(14), version(15), version(17)];
        assert_eq!(choose(&installed, None).unwrap().major, 17);
        assert_eq!(
            choose(&installed, Some((Path::new("/data"), 15))).unwrap().major,
            15
        );
    }

    #[test]
    fn data_of_a_version_that_is_not_installed_is_refused_by_name() {
        let refused = choose(&[version(15)], Some((Path::new("/data"), 16)))
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("made by PostgreSQL 16") && refused.contains("postgresql-16"),
            "{refused}"
        );
        assert!(refused.contains("only 15"), "{refused}");
    }

    #[test]
    fn a_machine_without_postgresql_is_told_package_and_command() {
        let refused = choose(&[version(13)], None).unwrap_err().to_string();
        for line in [
            "found only 13",
            "apt-get install postgresql",
            "dnf install",
            "apk add",
            "pacman -S",
            "brew install",
        ] {
            assert!(refused.contains(line), "{line} in {refused}");
        }
    }
}
