//! What rules did.

use serde::{Deserialize, Serialize};

use super::event;
use crate::RunId;

/// A rule was added, changed, enabled or disabled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RuleChanged {
    /// The rule's id.
    pub rule: String,
    /// The version (a hash of its source) that holds from now on.
    pub version: String,
    /// Whether it runs.
    pub enabled: bool,
}
event!(RuleChanged, "rules.RuleChanged");

/// A run of a rule came to its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunFinished {
    /// The run.
    pub run: RunId,
    /// The rule's id.
    pub rule: String,
    /// `completed`, `failed`, `skipped`.
    pub outcome: String,
    /// How many actions were queued.
    pub actions: u32,
}
event!(RunFinished, "rules.RunFinished");
