//! Imports whose job ended without its handler's word: killed, too slow, or refused by the database, too often.
//!
//! Invariant: an import that waits or runs has a job that will go on with it, or has failed within a minute and holds
//! neither its file nor its place. Begin with [`look`].

use std::time::{Duration, Instant};

use contracts::jobs::RunImport;
use spine::{AccessError, Cause, Context};
use tokio_util::sync::CancellationToken;

use crate::{files, store};

/// How often dead letters are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// So far back the first look goes.
const FIRST_LOOK: Duration = Duration::from_secs(30 * 24 * 3600);
/// So far before the last look each later one goes: a commit may be seen later than its time says.
const OVERLAP: Duration = Duration::from_secs(600);

/// Looks until the hub stops.
pub(crate) async fn watch(context: Context, stop: CancellationToken) {
    let mut last: Option<Instant> = None;
    while !stop.is_cancelled() {
        let begun = Instant::now();
        let within = last.map_or(FIRST_LOOK, |last| last.elapsed() + OVERLAP);
        match look(&context, within).await {
            Ok(()) => last = Some(begun),
            Err(error) => tracing::debug!(%error, "imports that were given up are ended later"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Ends each import whose job was given up within so much time.
pub(crate) async fn look(context: &Context, within: Duration) -> Result<(), AccessError> {
    for letter in context.access.dead_letters::<RunImport>(within).await? {
        let id = letter.payload.import;
        let mut tx = match context.access.begin(&letter.scope, Cause::outside()).await {
            // Its files went with the account.
            Err(AccessError::Erased) => continue,
            begun => begun?,
        };
        let reason =
            "it was given up after too many attempts; import the file again: nothing is taken in twice";
        let ended = store::import_end(&mut tx, id, "failed", Some(reason)).await?;
        tx.commit().await?;
        if ended {
            files::remove(&files::path(
                &context.settings.data_dir,
                letter.scope.account(),
                id,
            ))
            .await;
        }
    }
    Ok(())
}
