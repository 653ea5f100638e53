//! The passwords of the hub's three roles, in a file that only the hub's user may read.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::database::error::DatabaseError;
use crate::database::lock::make_private_dir;
use crate::database::roles::Role;

const FILE: &str = "database.toml";

/// Three generated passwords.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Passwords {
    pub(super) owner: String,
    pub(super) app: String,
    pub(super) spine: String,
}

impl Passwords {
    pub(super) fn of(&self, role: Role) -> &str {
        match role {
            Role::Owner => &self.owner,
            Role::App => &self.app,
            Role::Spine => &self.spine,
        }
    }
}

pub(super) fn passwords_path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

pub(super) fn read_passwords(data_dir: &Path) -> Result<Passwords, DatabaseError> {
    let path = passwords_path(data_dir);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(DatabaseError::NotInitialised(path));
        }
        Err(e) => return Err(DatabaseError::file("cannot read", &path)(e)),
    };
    // The parser's own message would quote the line, and the line holds a password.
    toml::from_str(&text).map_err(|_| DatabaseError::File {
        what: "owner, app and spine, each with a password, are expected in",
        path,
        source: std::io::ErrorKind::InvalidData.into(),
    })
}

pub(super) fn write_passwords(data_dir: &Path, passwords: &Passwords) -> Result<(), DatabaseError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    make_private_dir(data_dir)?;
    let path = passwords_path(data_dir);
    let text = toml::to_string(passwords).map_err(|e| DatabaseError::File {
        what: "cannot write",
        path: path.clone(),
        source: std::io::Error::other(e),
    })?;
    let partial = data_dir.join(format!("{FILE}.new"));
    let write = || {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)?;
        file.write_all(b"# Passwords of the hub's database roles, made by `allod db init`.\n")?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&partial, &path)
    };
    write().map_err(DatabaseError::file("cannot write", &path))
}
