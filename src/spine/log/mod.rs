//! The event log: append-only, gapless, chained and signed; bodies apart from it.
//!
//! Events in: the outbox rows that each [`crate::access::ScopedTx`] commits with its data.
//! Invariant: positions have no gaps and never change; a body may vanish, its hash and link stay.
//! Begin with [`outbox`], then [`sealer`] (which moves), [`chain`] (which links), [`consumer`] (which reads).

pub(crate) mod anchor;
pub mod chain;
pub mod consumer;
pub(crate) mod outbox;
pub mod reader;
pub(crate) mod sealer;
#[cfg(test)]
mod tests;
pub mod verify;
pub(crate) mod wake;
