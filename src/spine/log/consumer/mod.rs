//! Consumers: named readers of the log, whose effects commit together with their position.
//!
//! Events in: whatever a consumer asks for. Out: what its handler publishes and queues.
//! Invariant: what is in the database happens exactly once an event, whatever is killed when. A poison event is
//! parked with its reason, visible and retryable, and the consumer goes on; a database that is away parks nothing.
//! Begin with [`Consumer`], then [`run`].

mod lane;
mod parked;
pub(crate) mod store;

use async_trait::async_trait;
use contracts::{Event, Lane};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

pub(crate) use lane::run;
pub(crate) use parked::parked_retry;
pub use parked::{Parked, parked_list};

use super::wake::Wake;
use crate::access::{Access, AccessError, ScopedTx};

/// Why an event was not handled.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// The database is away, or refused for a passing reason: the whole consumer waits.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// This event can't be handled: parked with this reason, the consumer goes on.
    #[error("{0}")]
    Poison(String),
}

impl From<sqlx::Error> for HandleError {
    fn from(error: sqlx::Error) -> Self {
        Self::Access(AccessError::Database(error))
    }
}

impl From<serde_json::Error> for HandleError {
    fn from(error: serde_json::Error) -> Self {
        Self::Poison(format!("the body doesn't have the promised shape: {error}"))
    }
}

impl HandleError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Access(error) if error.is_transient())
    }

    fn was_cut_off(&self) -> bool {
        matches!(self, Self::Access(error) if error.was_cut_off())
    }
}

/// Lets a consumer handle an event. One that panics over it has found poison: others must not stand still for it.
/// False: the event doesn't concern it, and nothing was done.
async fn handle(consumer: &dyn Consumer, tx: &mut ScopedTx, event: &Event) -> Result<bool, HandleError> {
    let handled = crate::panics::caught(async {
        let concerned = consumer.concerns(tx, event).await?;
        if concerned {
            consumer.handle(tx, event).await?;
        }
        Ok(concerned)
    })
    .await;
    handled.unwrap_or_else(|panic| Err(HandleError::Poison(format!("the consumer panicked: {panic}"))))
}

/// A named reader of the log.
#[async_trait]
pub trait Consumer: Send + Sync + 'static {
    /// Its name, for ever: the position is kept under it.
    fn name(&self) -> &'static str;

    /// The full type names that it wants; empty: all.
    fn types(&self) -> Vec<String>;

    /// The lanes that it reads.
    fn lanes(&self) -> &'static [Lane] {
        &Lane::ALL
    }

    /// Whether the event, of a type that it wants, may concern it, as far as can be told without the database: for
    /// what can't, no transaction is even begun.
    fn may_concern(&self, _event: &Event) -> bool {
        true
    }

    /// Whether the event concerns it at all: what doesn't is passed over without a commit,
    /// and may be asked about again after a restart. Only reads.
    async fn concerns(&self, _tx: &mut ScopedTx, _event: &Event) -> Result<bool, HandleError> {
        Ok(true)
    }

    /// Handles one event. Everything that it does goes through `tx`; it may run twice for the same event (a batch
    /// that failed is redone), and what the first run did was rolled back.
    async fn handle(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError>;
}

/// What a running consumer needs.
#[derive(Debug, Clone)]
pub(crate) struct Runtime {
    pub(crate) pool: PgPool,
    pub(crate) access: Access,
    pub(crate) wake: Wake,
    pub(crate) stop: CancellationToken,
}
