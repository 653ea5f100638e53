//! What the owner's devices report.

use serde::{Deserialize, Serialize};

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
