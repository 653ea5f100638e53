//! The spine: event log, sealer and consumers; durable jobs; the database with its roles; access; ports.
//!
//! Invariant: whatever changes state does so in a [`access::ScopedTx`], which writes rows, events and jobs in one
//! commit or not at all. Knows no service and no domain.
//! Begin with [`service`] (what a service is), then [`access`], then [`log`].
#![warn(missing_docs)]

pub mod database;
pub mod queue;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
