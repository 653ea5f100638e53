//! The present: facts folded from events, such as `me.place`, `phone.battery`, `call.active` and any reading, with
//! source, confidence, expiry and history.
//!
//! Events in: `device.PositionReported`, `device.ReadingReported`, `data.EntityCreated` (Readings), calls' start and
//! end, `data.EntityErased`, `state.FactRetracted`, `state.ValidityChanged`. Events out: `state.FactChanged`, `state.FactExpired`, and
//! `state.DeadlinePassed`, the clock's word, which comes in again.
//! Invariant: a fact holds from a position of the log on, and what was answered as of a position is answered again;
//! late, backfilled or untrustworthy readings never move the present. All tables can be made anew from the log.
//! Begin with [`signal`] (who is believed), [`fold`] (what comes of it) and [`geofence`] (when somebody is in a place).

mod consumer;
mod fold;
mod geofence;
mod http;
mod model;
mod on_call;
mod on_entity_erased;
mod on_position_reported;
mod on_reading;
mod signal;
mod store;
#[cfg(test)]
mod stories;
mod timekeeper;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::{Lane, Position};
use spine::ports::{Fact, StateRead};
use spine::service::Task;
use spine::{AccessError, Context, ScopedTx, Service};

/// The state service.
pub fn service(context: &Context) -> Service {
    context.ports.provide_state_read(Arc::new(Facts));
    Service {
        name: "state",
        consumers: vec![Arc::new(consumer::StateFold::new(context.ports.clone()))],
        tasks: vec![timekeeper(context.clone())],
        api: http::routes(context),
        personal_tables: &[
            "state.fact",
            "state.signal",
            "state.setting",
            "state.deadline",
            "state.whereabouts",
        ],
        ..Service::default()
    }
}

/// How often somebody looks whether facts expired.
const LOOK: Duration = Duration::from_secs(1);

fn timekeeper(context: Context) -> Task {
    Box::new(move |stop| {
        Box::pin(async move {
            while !stop.is_cancelled() {
                if let Err(error) = timekeeper::look(&context).await {
                    tracing::warn!(%error, "whether facts expired is looked at again in a moment");
                }
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    () = stop.cancelled() => {}
                }
            }
        })
    })
}

/// Answers other services from the table of facts.
struct Facts;

#[async_trait]
impl StateRead for Facts {
    async fn fact(&self, tx: &mut ScopedTx, key: &str, as_of: Position) -> Result<Option<Fact>, AccessError> {
        tx.wants_read(consumer::NAME, Lane::Live, &consumer::types(), as_of, |event| {
            consumer::may_move(event, key)
        })?;
        Ok(store::fact_as_of(tx, key, as_of).await?.map(Fact::from))
    }
}
