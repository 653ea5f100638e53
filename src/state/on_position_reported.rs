//! Folds positions into `me.place`, and the battery that they tell of into `phone.battery`.
//!
//! Invariant: only a live reading that is newer than those used before, of a device that tells where its owner is,
//! changes a fact.

use contracts::Event;
use contracts::events::device::PositionReported;
use serde_json::Value;
use spine::ports::Ports;
use spine::{HandleError, ScopedTx};

use crate::consumer::graph_refused;
use crate::fold::{Moment, observe};
use crate::geofence::{Fix, Geofence, locate};
use crate::model::{ME_PLACE, PHONE_BATTERY, Whereabouts, geofence, is_news, tells_where_i_am};
use crate::signal::{Observation, POSITIONS};
use crate::store;

/// Folds one report.
pub(crate) async fn fold(
    ports: &Ports,
    tx: &mut ScopedTx,
    at: Moment,
    event: &Event,
    report: &PositionReported,
    now: &mut Whereabouts,
) -> Result<(), HandleError> {
    let devices = ports.graph_read().entities(tx, "Device").await;
    if !tells_where_i_am(&devices.map_err(graph_refused)?, report.device) {
        return Ok(());
    }
    let seen = |key: &str, value: Value, confidence: f64| Observation {
        key: key.to_owned(),
        value,
        unit: None,
        taken_at: event.occurred_at,
        confidence,
        valid_for: None,
        voice: POSITIONS.to_owned(),
        source: format!("device/{}", report.device),
    };
    if let Some(percent) = report.battery_percent
        && is_news(now.battery_at, event.occurred_at, event.recorded_at)
    {
        now.battery_at = Some(event.occurred_at);
        observe(tx, at, seen(PHONE_BATTERY, percent.into(), 1.0)).await?;
    }
    if is_news(now.fix_at, event.occurred_at, event.recorded_at) {
        now.fix_at = Some(event.occurred_at);
        if let Some((value, confidence)) = place(ports, tx, at, report, now).await? {
            observe(tx, at, seen(ME_PLACE, value, confidence)).await?;
        }
    }
    Ok(())
}

/// The place that a position says, and how sure it is; `None` if it says nothing.
async fn place(
    ports: &Ports,
    tx: &mut ScopedTx,
    at: Moment,
    report: &PositionReported,
    now: &mut Whereabouts,
) -> Result<Option<(Value, f64)>, HandleError> {
    let places = ports.graph_read().entities(tx, "Place").await;
    let fences: Vec<Geofence> = places
        .map_err(graph_refused)?
        .iter()
        .filter_map(geofence)
        .collect();
    let fix = Fix {
        latitude: report.latitude,
        longitude: report.longitude,
        accuracy_m: report.accuracy_m,
    };
    let located = locate(&now.places, &fix, &fences);
    let smallest = located
        .places
        .first()
        .and_then(|id| fences.iter().find(|fence| fence.id == *id));
    let newest = store::fact_newest(tx, ME_PLACE).await?;
    let known = newest.is_some_and(|fact| fact.holds_at(at.recorded_at));
    now.places = located.places;
    let value = smallest.map_or(Value::Null, |fence| fence.name.clone().into());
    Ok((known || smallest.is_some() || located.clear).then_some((value, located.confidence)))
}
