//! Folds calls into `call.active`: true while any call runs.

use contracts::events::communication::{CallStarted, CallStatusChanged};
use contracts::{EntityId, Event};
use spine::{HandleError, ScopedTx};

use crate::fold::{Moment, observe};
use crate::model::CALL_ACTIVE;
use crate::signal::Observation;

/// The statuses after which nothing comes.
const ENDED: [&str; 5] = ["completed", "busy", "no-answer", "failed", "canceled"];

/// A call begins, ringing included.
pub(crate) async fn started(
    tx: &mut ScopedTx,
    at: Moment,
    event: &Event,
    started: &CallStarted,
) -> Result<(), HandleError> {
    observe(tx, at, seen(event, started.call, true)).await
}

/// A call's status changed; only its end says something new.
pub(crate) async fn changed(
    tx: &mut ScopedTx,
    at: Moment,
    event: &Event,
    changed: &CallStatusChanged,
) -> Result<(), HandleError> {
    if !ENDED.contains(&changed.status.as_str()) {
        return Ok(());
    }
    observe(tx, at, seen(event, changed.call, false)).await
}

fn seen(event: &Event, call: EntityId, runs: bool) -> Observation {
    Observation {
        key: CALL_ACTIVE.to_owned(),
        value: runs.into(),
        unit: None,
        taken_at: event.occurred_at,
        confidence: 1.0,
        valid_for: None,
        voice: format!("call/{call}"),
        source: format!("call/{call}"),
    }
}
