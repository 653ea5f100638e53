//! Folds positions into `me.place`, and the battery that they tell of into `phone.battery`.
//!
//! Invariant: only a live reading that is newer than those used before, of a device that tells where its owner is,
//! changes a fact.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use contracts::events::device::PositionReported;
use contracts::events::state::FactChanged;
use contracts::{Event, EventPayload, Lane, NewEvent, Position};
use serde_json::Value;
use spine::ports::{GraphError, Ports};
use spine::{AccessError, Consumer, HandleError, ScopedTx};

use crate::geofence::{Fix, Geofence, locate};
use crate::model::{KeptFact, ME_PLACE, PHONE_BATTERY, Whereabouts, geofence, is_news, tells_where_i_am};
use crate::store;

const NAME: &str = "state";

/// The consumer `state`. Rules read after it.
pub(crate) struct StateFold {
    ports: Ports,
}

impl StateFold {
    pub(crate) fn new(ports: Ports) -> Self {
        Self { ports }
    }

    async fn fold(
        &self,
        tx: &mut ScopedTx,
        event: &Event,
        report: &PositionReported,
    ) -> Result<(), HandleError> {
        let devices = self
            .ports
            .graph_read()
            .entities(tx, "Device")
            .await
            .map_err(graph_refused)?;
        if !tells_where_i_am(&devices, report.device) {
            return Ok(());
        }
        let mut now = store::whereabouts_lock(tx).await?;
        let reading = Reading {
            taken_at: event.occurred_at,
            source: format!("device/{}", report.device),
            holds_from: holds_from(tx, event).await?,
        };
        let before = now.clone();
        if let Some(percent) = report.battery_percent
            && is_news(now.battery_at, event.occurred_at, event.recorded_at)
        {
            now.battery_at = Some(event.occurred_at);
            fact_observed(tx, &reading, PHONE_BATTERY, percent.into(), 1.0).await?;
        }
        if is_news(now.fix_at, event.occurred_at, event.recorded_at) {
            self.place(tx, &reading, report, &mut now).await?;
        }
        if now != before {
            store::whereabouts_update(tx, &now).await?;
        }
        Ok(())
    }

    async fn place(
        &self,
        tx: &mut ScopedTx,
        reading: &Reading,
        report: &PositionReported,
        now: &mut Whereabouts,
    ) -> Result<(), HandleError> {
        let places = self
            .ports
            .graph_read()
            .entities(tx, "Place")
            .await
            .map_err(graph_refused)?;
        let fences: Vec<Geofence> = places.iter().filter_map(geofence).collect();
        let fix = Fix {
            latitude: report.latitude,
            longitude: report.longitude,
            accuracy_m: report.accuracy_m,
        };
        let located = locate(&now.places, &fix, &fences);
        now.fix_at = Some(reading.taken_at);
        let smallest = located
            .places
            .first()
            .and_then(|id| fences.iter().find(|fence| fence.id == *id));
        let known = store::fact_as_of(tx, ME_PLACE, Position::MAX).await?.is_some();
        if known || smallest.is_some() || located.clear {
            let value = smallest.map_or(Value::Null, |fence| fence.name.clone().into());
            fact_observed(tx, reading, ME_PLACE, value, located.confidence).await?;
        }
        now.places = located.places;
        Ok(())
    }
}

#[async_trait]
impl Consumer for StateFold {
    fn name(&self) -> &'static str {
        NAME
    }

    fn types(&self) -> Vec<String> {
        vec![PositionReported::TYPE.to_owned()]
    }

    /// Reads backfill too, and folds none of it: rules that ask for backfill wait for this consumer on that lane.
    async fn handle(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError> {
        if event.lane == Lane::Backfill {
            return Ok(());
        }
        match event.payload::<PositionReported>() {
            Some(report) => self.fold(tx, event, &report?).await,
            None => Ok(()), // erased
        }
    }
}

/// What facts keep of a reading.
struct Reading {
    taken_at: DateTime<Utc>,
    source: String,
    holds_from: Position,
}

/// From which position on a fact of this event holds: the event's own; for a parked event that is retried, the next
/// one of the log, since what was answered as of the positions between stays answered.
async fn holds_from(tx: &mut ScopedTx, event: &Event) -> Result<Position, AccessError> {
    if event.position > store::fold_position(tx, NAME).await? {
        return Ok(event.position);
    }
    Ok(tx.log_head().await?.max(event.position) + 1)
}

async fn fact_observed(
    tx: &mut ScopedTx,
    reading: &Reading,
    key: &str,
    value: Value,
    confidence: f64,
) -> Result<(), AccessError> {
    let before = store::fact_as_of(tx, key, Position::MAX).await?;
    if let Some(before) = before.as_ref().filter(|before| before.value == value) {
        return store::fact_confirm(tx, key, before.position, reading.taken_at).await;
    }
    let fact = KeptFact {
        key: key.to_owned(),
        value,
        since: reading.taken_at,
        source: reading.source.clone(),
        confidence,
        observed_at: reading.taken_at,
        position: reading.holds_from,
    };
    store::fact_insert(tx, &fact).await?;
    let from = before.map_or(Value::Null, |before| before.value);
    if from == fact.value {
        return Ok(()); // from unknown to "in no place": nothing that anybody waits for
    }
    let changed = FactChanged {
        key: fact.key,
        from,
        to: fact.value,
        since: fact.since,
        source: fact.source,
    };
    tx.publish(NewEvent::of(&changed)?.about(key).occurred(reading.taken_at))?;
    Ok(())
}

fn graph_refused(error: GraphError) -> HandleError {
    match error {
        GraphError::Access(error) => error.into(),
        other => HandleError::Poison(other.to_string()),
    }
}
