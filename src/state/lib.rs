//! The present: facts folded from events, such as `me.place` and `phone.battery`, with their history.
//!
//! Events in: `device.PositionReported`. Events out: `state.FactChanged`, when a fact's value changed.
//! Invariant: a fact holds from a position of the log on, and what was answered as of a position is answered again;
//! late, backfilled or untrustworthy readings never move the present. All tables can be made anew from the log.
//! Begin with [`geofence`] (when somebody is in a place), then [`on_position_reported`].

mod geofence;
mod http;
mod model;
mod on_position_reported;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use contracts::Position;
use spine::ports::{Fact, StateRead};
use spine::{AccessError, Context, ScopedTx, Service};

/// The state service.
pub fn service(context: &Context) -> Service {
    context.ports.provide_state_read(Arc::new(Facts));
    Service {
        name: "state",
        consumers: vec![Arc::new(on_position_reported::StateFold::new(
            context.ports.clone(),
        ))],
        api: http::routes(context),
        personal_tables: &["state.fact", "state.whereabouts"],
        ..Service::default()
    }
}

/// Answers other services from the table of facts.
struct Facts;

#[async_trait]
impl StateRead for Facts {
    async fn fact(&self, tx: &mut ScopedTx, key: &str, as_of: Position) -> Result<Option<Fact>, AccessError> {
        Ok(store::fact_as_of(tx, key, as_of).await?.map(Fact::from))
    }
}
