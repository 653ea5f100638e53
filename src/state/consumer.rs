//! The consumer `state`, after which rules read: tells each event's kind to the part that folds it.
//!
//! Invariant: an event is folded once: what comes again in a replay changes nothing, and a parked event that is retried
//! holds from the log's end on.

use async_trait::async_trait;
use contracts::events::communication::{CallStarted, CallStatusChanged};
use contracts::events::data::{EntityCreated, EntityErased};
use contracts::events::device::{PositionReported, ReadingReported};
use contracts::events::state::{DeadlinePassed, FactRetracted, ValidityChanged};
use contracts::{Event, EventPayload, Lane};
use spine::ports::{GraphError, Ports};
use spine::{AccessError, Consumer, HandleError, ScopedTx};

use crate::fold::{Moment, lapse, retract};
use crate::model::{CALL_ACTIVE, OWNER, Whereabouts};
use crate::{on_call, on_entity_erased, on_position_reported, on_reading, store};

/// The consumer's name.
pub(crate) const NAME: &str = "state";

/// What the consumer asks others.
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
        at: Moment,
        event: &Event,
        now: &mut Whereabouts,
    ) -> Result<(), HandleError> {
        if let Some(report) = event.payload::<PositionReported>() {
            return on_position_reported::fold(&self.ports, tx, at, event, &report?, now).await;
        }
        if let Some(report) = event.payload::<ReadingReported>() {
            return on_reading::reported(tx, at, event, report?).await;
        }
        if let Some(created) = event.payload::<EntityCreated>() {
            return on_reading::created(&self.ports, tx, at, &created?).await;
        }
        if let Some(started) = event.payload::<CallStarted>() {
            return on_call::started(tx, at, event, &started?).await;
        }
        if let Some(changed) = event.payload::<CallStatusChanged>() {
            return on_call::changed(tx, at, event, &changed?).await;
        }
        if let Some(passed) = event.payload::<DeadlinePassed>() {
            return lapse(tx, at, &passed?.key).await.map(drop);
        }
        if let Some(retracted) = event.payload::<FactRetracted>() {
            return retract(tx, at, &retracted?.key, OWNER, event.occurred_at).await;
        }
        if let Some(changed) = event.payload::<ValidityChanged>() {
            let changed = changed?;
            store::setting_upsert(tx, &changed.key, changed.valid_for_s, event.position).await?;
        }
        Ok(()) // or erased
    }
}

#[async_trait]
impl Consumer for StateFold {
    fn name(&self) -> &'static str {
        NAME
    }

    fn types(&self) -> Vec<String> {
        types()
    }

    /// Reads backfill too, and folds none of it: what was erased is forgotten whichever lane tells of it. Who asks for a
    /// fact waits for the live lane, whichever lane's event they handle.
    fn may_concern(&self, event: &Event) -> bool {
        folds(event)
    }

    async fn handle(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError> {
        if let Some(erased) = event.payload::<EntityErased>() {
            return on_entity_erased::forget(tx, &erased?).await; // however often
        }
        if !folds(event) {
            return Ok(()); // parked before it could be known
        }
        let mut now = store::whereabouts_lock(tx).await?;
        let Some(at) = moment(tx, event, &now).await? else {
            return Ok(());
        };
        self.fold(tx, at, event, &mut now).await?;
        now.folded_to = now.folded_to.max(event.position);
        Ok(store::whereabouts_update(tx, &now).await?)
    }
}

/// The types of the events that it reads.
pub(crate) fn types() -> Vec<String> {
    let types = [
        PositionReported::TYPE,
        ReadingReported::TYPE,
        EntityCreated::TYPE,
        EntityErased::TYPE,
        CallStarted::TYPE,
        CallStatusChanged::TYPE,
        DeadlinePassed::TYPE,
        FactRetracted::TYPE,
        ValidityChanged::TYPE,
    ];
    types.map(str::to_owned).into()
}

/// Whether the fact of this key may be another one once the event is folded, as far as can be told without folding it.
pub(crate) fn may_move(event: &Event, key: &str) -> bool {
    let of_a_call = [CallStarted::TYPE, CallStatusChanged::TYPE].contains(&event.kind.as_str());
    folds(event) && (!of_a_call || key == CALL_ACTIVE)
}

fn folds(event: &Event) -> bool {
    let moves_the_present = event.lane == Lane::Live && !is_of_no_interest(event);
    moves_the_present || event.kind == EntityErased::TYPE
}

/// Nearly all entities that come into the graph are no readings.
fn is_of_no_interest(event: &Event) -> bool {
    let kind = event.body.as_ref().and_then(|body| body.get("type")?.as_str());
    event.kind == EntityCreated::TYPE && kind != Some("Reading")
}

/// From which position on a fact of this event holds: the event's own; for a parked event that is retried, the next
/// one of the log, since what was answered as of the positions between stays answered. `None`: it was folded before.
async fn moment(tx: &mut ScopedTx, event: &Event, now: &Whereabouts) -> Result<Option<Moment>, AccessError> {
    let recorded_at = event.recorded_at;
    if event.position > store::fold_position(tx, NAME).await? {
        let fresh = event.position > now.folded_to;
        return Ok(fresh.then_some(Moment {
            holds_from: event.position,
            recorded_at,
        }));
    }
    let now = tx.now();
    Ok(Some(Moment {
        holds_from: tx.log_head().await?.max(event.position) + 1,
        recorded_at: now,
    }))
}

pub(crate) fn graph_refused(error: GraphError) -> HandleError {
    match error {
        GraphError::Access(error) => error.into(),
        other => HandleError::Poison(other.to_string()),
    }
}
