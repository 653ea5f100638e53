//! Folds readings of any kind, reported or taken into the graph by a connector, into the fact that they are named after.
//!
//! Invariant: a Reading whose `kind` is no fact's key, such as `position`, or that has no value, is no fact.

use chrono::TimeDelta;
use contracts::Event;
use contracts::events::data::EntityCreated;
use contracts::events::device::ReadingReported;
use contracts::events::state::is_fact_key;
use serde_json::Value;
use spine::ports::{Entity, Ports};
use spine::{HandleError, ScopedTx};

use crate::consumer::graph_refused;
use crate::fold::{Moment, observe};
use crate::signal::Observation;

/// Somebody reported a reading.
pub(crate) async fn reported(
    tx: &mut ScopedTx,
    at: Moment,
    event: &Event,
    report: ReadingReported,
) -> Result<(), HandleError> {
    let seen = Observation {
        key: report.key,
        value: report.value,
        unit: report.unit,
        taken_at: event.occurred_at,
        confidence: report.confidence.clamp(0.0, 1.0),
        valid_for: report.valid_for_s.and_then(TimeDelta::try_seconds),
        voice: report.source.clone(),
        source: report.source,
    };
    observe(tx, at, seen).await
}

/// Something came into the graph.
pub(crate) async fn created(
    ports: &Ports,
    tx: &mut ScopedTx,
    at: Moment,
    created: &EntityCreated,
) -> Result<(), HandleError> {
    let entity = ports.graph_read().entity(tx, created.entity).await;
    match entity.map_err(graph_refused)?.as_ref().and_then(observation) {
        Some(seen) => observe(tx, at, seen).await,
        None => Ok(()),
    }
}

/// What a Reading of the graph says; `None` for those that are no fact, and for reported ones, which have an event of
/// their own (and name their source).
fn observation(reading: &Entity) -> Option<Observation> {
    let text = |name: &str| reading.props.get(name).and_then(Value::as_str);
    let key = text("kind").filter(|kind| is_fact_key(kind) && text("source").is_none())?;
    let source = match (text("connection"), text("device")) {
        (Some(connection), _) => format!("connection/{connection}"),
        (None, Some(device)) => format!("device/{device}"),
        (None, None) => "graph".to_owned(),
    };
    let confidence = reading.props.get("confidence").and_then(Value::as_f64);
    Some(Observation {
        key: key.to_owned(),
        value: reading
            .props
            .get("value")
            .filter(|value| !value.is_null())?
            .clone(),
        unit: text("unit").map(str::to_owned),
        taken_at: reading.starts_at.unwrap_or(reading.created_at),
        confidence: confidence.unwrap_or(1.0).clamp(0.0, 1.0),
        valid_for: reading
            .props
            .get("valid_for_s")
            .and_then(Value::as_i64)
            .and_then(TimeDelta::try_seconds),
        voice: source.clone(),
        source,
    })
}
