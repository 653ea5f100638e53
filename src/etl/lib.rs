//! ETL: what came in becomes a change of the graph: mails, cards, calendars, tables of contacts, exports.
//!
//! Jobs in: `process-incoming-data`, `reprocess-records`, `run-import`. Events in: `accounts.AccountErased`. Events out:
//! what the graph tells.
//! Invariant: the same record understood again, or the same file imported again, adds nothing; a bad item is parked with
//! its reason and stops nothing; nothing of the content stands in a log, a job or a reason.
//! Begin with [`map`] (what bytes mean), then [`understand`] (how that reaches the graph), then [`run_import`]. Port: `UnderstandRecords`.

mod archive;
mod contents;
mod dead_letters;
mod export;
mod files;
mod format;
mod http;
mod map;
mod on_account_erased;
mod on_record;
mod places;
mod revision;
mod run_import;
mod split;
mod store;
mod sweep;
mod take_in;
mod understand;

use std::sync::Arc;

use spine::queue::JobRegistry;
use spine::{Context, Service};

/// The ETL service.
pub fn service(context: &Context) -> Service {
    let understander = take_in::Understander(context.clone());
    context.ports.provide_understand_records(Arc::new(understander));
    let mut jobs = JobRegistry::default();
    jobs.register(on_record::Process(context.clone()));
    jobs.register(on_record::Reprocess(context.clone()));
    jobs.register(run_import::RunImportHandler::new(context));
    let (sweeping, watching) = (context.clone(), context.clone());
    let began = context.clock.now();
    Service {
        name: "etl",
        consumers: vec![Arc::new(on_account_erased::RemoveFiles {
            data_dir: context.settings.data_dir.clone(),
        })],
        jobs,
        tasks: vec![
            Box::new(move |stop| Box::pin(sweep::sweep(sweeping, began, stop))),
            Box::new(move |stop| Box::pin(dead_letters::watch(watching, stop))),
        ],
        api: http::routes(context),
        personal_tables: &["etl.reprocess", "etl.import"],
        ..Service::default()
    }
}
