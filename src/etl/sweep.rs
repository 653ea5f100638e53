//! After a start: uploads that a stop of the hub cut off have failed, and files of no import go.
//!
//! Invariant: a file is removed only if no import that has one stands in the database after the file was seen; an import
//! has its row before its file. Begin with [`sweep`].

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use spine::{AccessError, Cause, Context};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{files, store};

/// After a database that was away, it is tried again.
const PAUSE: Duration = Duration::from_secs(10);

/// Sweeps once, for a hub that began then.
pub(crate) async fn sweep(context: Context, began: DateTime<Utc>, stop: CancellationToken) {
    while let Err(error) = sweep_now(&context, began).await {
        tracing::warn!(%error, "what uploads left behind is removed later");
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = stop.cancelled() => return,
        }
    }
}

pub(crate) async fn sweep_now(context: &Context, began: DateTime<Utc>) -> Result<(), AccessError> {
    let files = files_of_imports(&context.settings.data_dir).await;
    let mut accounts = HashSet::new();
    for (scope, _) in context.access.open_imports().await? {
        if accounts.insert(scope.account()) {
            match context.access.begin(&scope, Cause::outside()).await {
                Ok(mut tx) => {
                    store::uploads_end(&mut tx, began).await?;
                    tx.commit().await?;
                }
                // Its imports go with the account.
                Err(AccessError::Erased) => {}
                Err(error) => return Err(error),
            }
        }
    }
    let open = context.access.open_imports().await?;
    let open: HashSet<Uuid> = open.into_iter().map(|(_, import)| import).collect();
    for (path, _) in files.iter().filter(|(_, import)| !open.contains(import)) {
        files::remove(path).await;
    }
    Ok(())
}

async fn files_of_imports(data_dir: &Path) -> Vec<(PathBuf, Uuid)> {
    let mut found = Vec::new();
    let Ok(mut accounts) = tokio::fs::read_dir(data_dir.join("imports")).await else {
        return found;
    };
    while let Ok(Some(account)) = accounts.next_entry().await {
        let Ok(mut files) = tokio::fs::read_dir(account.path()).await else {
            continue;
        };
        while let Ok(Some(file)) = files.next_entry().await {
            let path = file.path();
            let import = path
                .file_stem()
                .and_then(|name| Uuid::try_parse(name.to_str()?).ok());
            found.extend(import.map(|import| (path.clone(), import)));
        }
    }
    found
}
