//! Where an import's file lies until it is understood: below the data directory, under ids alone.
//!
//! Invariant: no part of a path is what somebody sent; only the hub's own user can read a file.

use std::path::{Path, PathBuf};

use contracts::AccountId;
use uuid::Uuid;

/// How a file ends whose upload isn't finished; nothing names it.
const UNFINISHED: &str = "part";

/// The folder of an account.
pub(crate) fn folder(data_dir: &Path, account: AccountId) -> PathBuf {
    data_dir.join("imports").join(account.0.simple().to_string())
}

/// The file of an import.
pub(crate) fn path(data_dir: &Path, account: AccountId, import: Uuid) -> PathBuf {
    folder(data_dir, account).join(import.simple().to_string())
}

/// The file of an import that is still being uploaded.
pub(crate) fn unfinished(data_dir: &Path, account: AccountId, import: Uuid) -> PathBuf {
    path(data_dir, account, import).with_extension(UNFINISHED)
}

/// Removes an import's file. It may be gone already.
pub(crate) async fn remove(path: &Path) {
    if let Err(error) = tokio::fs::remove_file(path).await
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "an import's file could not be removed");
    }
}

/// Removes all files of an account. There may be none.
pub(crate) async fn remove_folder(data_dir: &Path, account: AccountId) -> std::io::Result<()> {
    match tokio::fs::remove_dir_all(folder(data_dir, account)).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
