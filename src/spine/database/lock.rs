//! One hub per data directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::error::DatabaseError;

/// The right to use a data directory, held as long as this value lives. The kernel takes it back when the process
/// ends in any way, so nothing stale can stay behind.
#[derive(Debug)]
pub struct HubLock {
    // Closing the file releases the lock. The file stays: removing it would let two hubs lock two files.
    _file: File,
    // The directory itself too: a lock file that is moved away or removed would let a second hub in.
    _directory: File,
    path: PathBuf,
}

impl HubLock {
    /// Takes the lock of `data_dir`, making the directory (mode 0700) when it is missing. Fails at once with the
    /// holder's process id when another hub has it.
    pub fn acquire(data_dir: &Path) -> Result<Self, DatabaseError> {
        make_private_dir(data_dir)?;
        let path = data_dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(DatabaseError::file("cannot open", &path))?;
        let directory = File::open(data_dir).map_err(DatabaseError::file("cannot open", data_dir))?;
        if !exclusive(&file, &path)? || !exclusive(&directory, data_dir)? {
            return Err(DatabaseError::Locked {
                pid: holder(&mut file),
                directory: data_dir.to_owned(),
            });
        }
        write_holder(&mut file).map_err(DatabaseError::file("cannot write", &path))?;
        Ok(Self {
            _file: file,
            _directory: directory,
            path,
        })
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// True if nobody else holds it and this process does now.
fn exclusive(file: &File, name: &Path) -> Result<bool, DatabaseError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(DatabaseError::file("cannot lock", name)(errno.into())),
    }
}

/// Makes a directory, and its parents, that only its owner may enter. One that exists keeps its mode.
pub(super) fn make_private_dir(path: &Path) -> Result<(), DatabaseError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(DatabaseError::file("cannot make the directory", path))
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(20).read_to_string(&mut text) {
        Ok(_) if text.trim().parse::<u32>().is_ok() => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn write_holder(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn a_second_hub_on_the_same_directory_is_told_who_holds_it() {
        let data = TempDir::new();
        let lock = HubLock::acquire(data.path()).unwrap();
        let refused = HubLock::acquire(data.path()).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("pid {}", std::process::id())),
            "{refused}"
        );
        drop(lock);
        HubLock::acquire(data.path()).unwrap();
    }

    #[test]
    fn moving_the_lock_file_away_lets_no_second_hub_in() {
        let data = TempDir::new();
        let lock = HubLock::acquire(data.path()).unwrap();
        std::fs::rename(lock.path(), data.path().join("moved")).unwrap();
        let refused = HubLock::acquire(data.path()).unwrap_err();
        assert!(matches!(refused, DatabaseError::Locked { .. }), "{refused}");
        drop(lock);
        HubLock::acquire(data.path()).unwrap();
    }

    #[test]
    fn a_lock_file_left_behind_by_a_killed_hub_locks_nobody_out() {
        let data = TempDir::new();
        std::fs::write(
            data.path().join("lock"),
            "4711\nleft behind, and longer than a pid",
        )
        .unwrap();
        let lock = HubLock::acquire(data.path()).unwrap();
        assert_eq!(
            std::fs::read_to_string(lock.path()).unwrap(),
            format!("{}\n", std::process::id())
        );
    }
}
