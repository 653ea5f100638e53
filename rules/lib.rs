//! Rules: what the owner wants to happen when something happens, in files of Rhai.
//!
//! Events in: all types, as rules listen to them. Out: messages with `SendOutgoingMessage` jobs, `rules.RunFinished`,
//! `rules.RuleChanged`.
//! Invariant: an event runs a rule once at the most; its journal, actions, limits and the consumer's position commit
//! together. A rule's mistake is told to its owner and touches no other rule.
//! Begin with `engine` (what a rule is), then `runs` (what happens), then `lint` (what is refused).
#![warn(missing_docs)]

use std::sync::Arc;

use spine::{Context, Service};

mod catalog;
mod engine;
mod http;
mod lint;
mod manage;
mod recipes;
mod runs;
mod store;
#[cfg(test)]
mod stories;

pub mod bench_api;

pub use lint::{Diagnostic, Severity, check};

use runs::on_entity_erased::ForgetErased;
use runs::on_event::OnEvent;
use runs::retention;
use runs::runner::Runner;

/// The service.
pub fn service(context: &Context) -> Service {
    let runner = Runner {
        ports: context.ports.clone(),
        clock: context.clock.clone(),
        catalog: Arc::default(),
    };
    let swept = context.clone();
    Service {
        name: "rules",
        consumers: vec![
            Arc::new(OnEvent {
                runner: runner.clone(),
            }),
            Arc::new(ForgetErased),
        ],
        tasks: vec![Box::new(move |stop| Box::pin(retention::run(swept, stop)))],
        api: http::routes(context, runner),
        personal_tables: &[
            "rules.journal_entry",
            "rules.run",
            "rules.limit_counter",
            "rules.rule",
            "rules.rule_version",
            "rules.epoch",
        ],
        ..Service::default()
    }
}
