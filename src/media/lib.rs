//! Media: contents (pictures, documents, recordings) by their hash, what they show, and what of them may leave.
//!
//! Events in: `data.EntityDeleted|Restored|Erased|Merged|Unmerged`, `accounts.AccountErased`. Events out:
//! `media.MediaStored`, `MediaProcessed`, `MediaRemoved`. Jobs: `process-media`, `collect-media`,
//! `remove-account-media`.
//! Invariant: a row that isn't about to go has its object, whoever is killed when; who puts or removes an object holds
//! the lock of its account and hash until the rows are committed. Nothing is handed to others with metadata in it.
//! Begin with [`keep`] (how a content comes in), then [`collect`] (how it goes), then [`process`] (what is made of it).

mod blobs;
mod caretaker;
mod check;
mod collect;
mod digest;
mod disk;
mod http;
mod keep;
mod on_account_erased;
mod on_graph_changed;
mod picture;
mod port;
mod process;
mod s3;
mod sniff;
mod staging;
mod store;
#[cfg(test)]
mod stories;
mod strip;

use std::sync::Arc;

use spine::queue::JobRegistry;
use spine::{Context, Service};

use crate::blobs::Blobs;
use crate::keep::Keeper;
use crate::staging::Staging;

/// The media service.
///
/// # Errors
/// Why the store that the configuration names can't be used.
pub fn service(context: &Context) -> Result<Service, String> {
    let settings = &context.settings.media;
    let blobs = Blobs::open(&context.settings)?;
    let staging = Staging::open(&context.settings.data_dir, settings.file_bytes_max)
        .map_err(|error| format!("the folder for uploads can't be made: {error}"))?;
    Ok(build(context, blobs, staging))
}

fn build(context: &Context, blobs: Blobs, staging: Staging) -> Service {
    let keeper = Arc::new(Keeper {
        context: context.clone(),
        blobs,
        staging,
    });
    context.ports.provide_media_store(keeper.clone());
    let mut jobs = JobRegistry::default();
    jobs.register(process::Process::new(keeper.clone()));
    jobs.register(collect::Collect(keeper.clone()));
    jobs.register(on_account_erased::RemoveAll(keeper.clone()));
    let caretaker = caretaker::Caretaker(context.clone());
    Service {
        name: "media",
        consumers: vec![
            Arc::new(on_graph_changed::Holders(context.ports.clone())),
            Arc::new(on_account_erased::AccountGone),
        ],
        jobs,
        tasks: vec![Box::new(move |stop| Box::pin(caretaker.run(stop)))],
        api: http::router(keeper),
        personal_tables: &["media.reference", "media.removed", "media.blob", "media.account"],
        ..Service::default()
    }
}
