//! Changes of the present state.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event;

/// A fact about the present changed, such as `me.place` from `Home` to `Work`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FactChanged {
    /// The fact's key, such as `me.place`.
    pub key: String,
    /// Its value before; null if there was none.
    pub from: Value,
    /// Its value now; null if it is unknown.
    pub to: Value,
    /// Since when it holds.
    pub since: DateTime<Utc>,
    /// What told it.
    pub source: String,
}
event!(FactChanged, "state.FactChanged");
