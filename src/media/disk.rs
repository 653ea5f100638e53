//! Files of the local store.
//!
//! Invariant: a file is complete and on the disk before it bears its name, and only the hub's own user can read it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use spine::AccessError;
use tokio::io::AsyncWriteExt;

/// Writes a file that is on the disk when this returns.
pub(crate) async fn write_down(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(path).await?;
    file.write_all(bytes).await?;
    file.flush().await?;
    file.sync_all().await
}

/// Renames a finished file to where it belongs; its name is on the disk, too, then.
pub(crate) async fn adopt(root: &Path, from: PathBuf, key: &str) -> Result<(), AccessError> {
    let (root, to) = (root.to_owned(), root.join(key));
    let done = tokio::task::spawn_blocking(move || {
        let folder = to.parent().unwrap_or(&to);
        std::fs::create_dir_all(folder)?;
        std::fs::rename(&from, &to)?;
        // Folders that are new are names in the one above.
        for above in folder.ancestors().take_while(|above| above.starts_with(&root)) {
            std::fs::File::open(above)?.sync_all()?;
        }
        Ok(())
    });
    match done.await {
        Ok(done) => done.map_err(disk),
        Err(error) => Err(AccessError::Store(error.to_string())),
    }
}

/// The disk is full, or broken.
pub(crate) fn disk(error: io::Error) -> AccessError {
    tracing::error!(%error, "the disk refused a content");
    AccessError::Store("the hub's disk refused a content".to_owned())
}

/// A folder that the hub alone may enter.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}
