//! What the owner's devices and programs report.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event;
use crate::EntityId;

/// A device reported where it is. The envelope's `occurred_at` is the time of the fix.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PositionReported {
    /// The Reading in the graph.
    pub reading: EntityId,
    /// The Device in the graph.
    pub device: EntityId,
    /// Degrees north, WGS 84.
    pub latitude: f64,
    /// Degrees east, WGS 84.
    pub longitude: f64,
    /// Radius of the 68 % circle, in metres; `None` if the device doesn't say.
    pub accuracy_m: Option<f64>,
    /// Percent of battery left.
    pub battery_percent: Option<u8>,
}
event!(PositionReported, "device.PositionReported");

/// Somebody reported a reading, such as a temperature. The envelope's `occurred_at` is when it was taken.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReadingReported {
    /// The Reading in the graph.
    pub reading: EntityId,
    /// What it is a reading of: the key of a fact, such as `home.temperature`.
    pub key: String,
    /// A JSON value; null: it is known that there is none.
    pub value: Value,
    /// What it is measured in.
    pub unit: Option<String>,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    /// How long it holds, in seconds; `None`: as the owner set it for this key.
    pub valid_for_s: Option<i64>,
    /// What told it, such as `device/…`.
    pub source: String,
}
event!(ReadingReported, "device.ReadingReported");
