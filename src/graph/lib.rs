//! The data service: raw records, entities, claims with their source, identifiers and relations.
//!
//! Events in: its own `data.*`, to find who may be the same. Events out: `connector.DataReceived`,
//! `connector.RecordParked`, `data.EntityCreated`, `data.EntityUpdated`, `data.EntityDeleted`, `data.EntityRestored`, `data.EntityErased`,
//! `data.EntityMerged`, `data.EntityUnmerged`, `data.MergeSuggested`, `data.RelationAdded`, `data.RelationRemoved`.
//! Jobs in: `EraseEntity`.
//! Invariant: taking in the same thing twice changes nothing and tells nobody; what the user says outlives every
//! import; an entity's version counts exactly the changes that a reader can see.
//! Begin with `apply` (a change, step by step), then `model` (what wins when sources differ), then `identity`.
#![warn(missing_docs)]

mod apply;
mod batch;
mod check;
mod draft;
mod erase;
mod export;
mod http;
mod identity;
mod intake;
mod model;
mod normalise;
mod participants;
mod raw;
mod read;
mod schema;
mod store;
#[cfg(test)]
mod stories;
mod timeline_gap;
mod walk;

use std::sync::Arc;

use spine::queue::JobRegistry;
use spine::vault::Vault;
use spine::{Access, Context, Service};
use tokio::sync::OnceCell;

/// Wires the graph's ports and mounts its routes.
pub fn service(context: &Context) -> Service {
    let graph = Arc::new(Graph {
        access: context.access.clone(),
        vault: context.vault.clone(),
        types: OnceCell::new(),
    });
    let access = context.access.clone();
    let mut jobs = JobRegistry::default();
    jobs.register(erase::EraseHandler { graph: graph.clone() });
    context.ports.provide_graph_write(graph.clone());
    context.ports.provide_graph_read(graph.clone());
    context.ports.provide_graph_export(graph.clone());
    context.ports.provide_graph_merge(graph.clone());
    context.ports.provide_raw_records(graph.clone());
    context.ports.provide_record_intake(graph.clone());
    Service {
        name: "graph",
        consumers: vec![Arc::new(identity::on_somebody_changed::SuggestMerges {
            graph: graph.clone(),
        })],
        jobs,
        tasks: vec![Box::new(move |stop| Box::pin(timeline_gap::fill(access, stop)))],
        api: http::router(graph),
        personal_tables: &[
            "graph.timeline_gap",
            "graph.erasure",
            "graph.record_entity",
            "graph.record_relation",
            "graph.timeline",
            "graph.name_sound",
            "graph.merge_decision",
            "graph.relation",
            "graph.entity_identifier",
            "graph.identifier",
            "graph.claim",
            "graph.entity",
            "graph.raw_record",
        ],
        ..Service::default()
    }
}

/// The service itself: implements both graph ports.
#[derive(Debug)]
struct Graph {
    access: Access,
    vault: Vault,
    /// Read once: a type changes with a migration only, hence with a new start.
    types: OnceCell<schema::Types>,
}
