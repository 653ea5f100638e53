//! The present: facts, and since when they hold.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use contracts::Position;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::access::{AccessError, ScopedTx};

/// A fact about the present (or about what was the present at a position of the log).
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Fact {
    /// Such as `me.place`.
    pub key: String,
    /// Such as `"Work"`.
    pub value: Value,
    /// Since when it holds, in the world.
    pub since: DateTime<Utc>,
    /// What told it.
    pub source: String,
    /// 0 to 1.
    pub confidence: f64,
    /// From which position of the log on it holds.
    pub position: Position,
}

/// Reads the present state.
#[async_trait]
pub trait StateRead: Send + Sync {
    /// The fact as of a position of the log; `None`: nothing is known.
    async fn fact(&self, tx: &mut ScopedTx, key: &str, as_of: Position) -> Result<Option<Fact>, AccessError>;
}
