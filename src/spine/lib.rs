//! The spine: event log, sealer and consumers; durable jobs; the database with its roles; access; ports.
//!
//! Invariant: whatever changes state does so in a [`access::ScopedTx`], which writes rows, events and jobs in one
//! commit or not at all. Knows no service and no domain.
//! Begin with [`service`] (what a service is), then [`access`], then [`log`].
#![warn(missing_docs)]

pub mod access;
mod backoff;
pub mod database;
pub mod edge;
mod erase;
pub mod limit;
pub mod log;
pub mod pace;
mod panics;
pub mod ports;
pub mod queue;
mod refusals;
mod runtime;
pub mod service;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod upkeep;
pub mod vault;

pub use access::{Access, AccessError, Cause, Principal, Scope, ScopedTx};
pub use log::consumer::{Consumer, HandleError};
pub use runtime::{Admin, ConsumerStatus, Running, Spine, SpineStatus};
pub use service::{Context, MediaSettings, S3Settings, Service, Settings};
