//! The folder of the database's socket. A socket's path is limited (107 bytes on Linux), so a long data directory
//! gets a short folder elsewhere, with a name that stays the same.
//!
//! Invariant: the folder belongs to this user and nobody else may enter it, so nobody can put a socket of his own in
//! the place of ours.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::DatabaseError;

/// The name that PostgreSQL gives to the socket of port 5432, with the slash before it.
const SOCKET_NAME: &str = "/.s.PGSQL.5432";
/// `sun_path` without its closing zero byte.
const LONGEST_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The socket folder for `data_dir`, made and checked.
pub(super) fn socket_directory(data_dir: &Path) -> Result<PathBuf, DatabaseError> {
    let directory = choose(
        data_dir,
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).as_deref(),
        own_uid(),
    );
    make_private(&directory)?;
    Ok(directory)
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// In the data directory when the path is short enough, else in the user's runtime directory, else below /tmp.
fn choose(data_dir: &Path, runtime_dir: Option<&Path>, uid: u32) -> PathBuf {
    let inside = data_dir.join("run");
    if fits(&inside) {
        return inside;
    }
    let name = short_name(data_dir);
    runtime_dir
        .filter(|dir| dir.is_absolute() && dir.metadata().is_ok_and(|meta| meta.uid() == uid))
        .map(|dir| dir.join(format!("allod-{name}")))
        .filter(|dir| fits(dir))
        .unwrap_or_else(|| PathBuf::from(format!("/tmp/allod-{uid}-{name}")))
}

/// Short enough, and without the characters that PostgreSQL's list of directories gives a meaning to.
fn fits(directory: &Path) -> bool {
    let bytes = directory.as_os_str().as_bytes();
    directory.is_absolute()
        && bytes.len() + SOCKET_NAME.len() <= LONGEST_PATH
        && directory
            .to_str()
            .is_some_and(|text| !text.contains([',', '"', '\'', '\\', '\n', '@']))
        && !bytes.ends_with(b" ")
}

fn short_name(data_dir: &Path) -> String {
    let digest = Sha256::digest(data_dir.as_os_str().as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn make_private(directory: &Path) -> Result<(), DatabaseError> {
    let refuse = |why: String| DatabaseError::SocketDirectory(format!("{} {why}", directory.display()));
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(refuse(format!("cannot be made: {e}"))),
    }
    // Not followed: below /tmp somebody else may have put a link there first.
    let meta = directory
        .symlink_metadata()
        .map_err(|e| refuse(format!("cannot be read: {e}")))?;
    if !meta.is_dir() {
        return Err(refuse("is a link or a file, not a folder".to_owned()));
    }
    if meta.uid() != own_uid() {
        return Err(refuse(format!("belongs to another user (uid {})", meta.uid())));
    }
    if meta.mode() & 0o077 != 0 {
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
            .map_err(|e| refuse(format!("cannot be closed to others: {e}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn a_short_data_directory_holds_its_socket_itself() {
        assert_eq!(
            choose(Path::new("/var/lib/allod"), None, 7),
            Path::new("/var/lib/allod/run")
        );
    }

    #[test]
    fn a_long_data_directory_gets_a_short_folder_that_keeps_its_name() {
        let long = PathBuf::from(format!("/home/alice/{}", "long".repeat(30)));
        let first = choose(&long, None, 7);
        assert!(first.starts_with("/tmp") && fits(&first), "{}", first.display());
        assert_eq!(first, choose(&long, None, 7));
        assert_ne!(first, choose(&long.join("other"), None, 7));
        let runtime = TempDir::new();
        let uid = runtime.path().metadata().unwrap().uid();
        assert!(choose(&long, Some(runtime.path()), uid).starts_with(runtime.path()));
        assert!(
            choose(&long, Some(runtime.path()), uid + 1).starts_with("/tmp"),
            "another user's runtime directory"
        );
    }

    #[test]
    fn a_name_that_postgresql_would_read_as_a_list_is_not_used() {
        assert!(!fits(Path::new("/srv/a,b")));
        assert!(choose(Path::new("/srv/a,b"), None, 7).starts_with("/tmp"));
    }

    #[test]
    fn a_link_in_the_place_of_the_folder_is_refused() {
        let dir = TempDir::new();
        let link = dir.path().join("run");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        let refused = make_private(&link).unwrap_err().to_string();
        assert!(refused.contains("is a link"), "{refused}");
    }

    #[test]
    fn an_open_folder_is_closed_to_others() {
        let dir = TempDir::new();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        make_private(dir.path()).unwrap();
        assert_eq!(dir.path().metadata().unwrap().mode() & 0o777, 0o700);
    }
}
