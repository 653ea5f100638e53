//! Looks whether facts expired, and tells the log.
//!
//! Invariant: each deadline is told once, in the commit that marks it; one that passed while the hub was off is told
//! when it starts; an account whose deadlines can't be told keeps no other one waiting. What comes of it is decided by the fold, in the log's order.

use contracts::NewEvent;
use contracts::events::state::DeadlinePassed;
use spine::{AccessError, Cause, Context, Scope};

use crate::store;

/// Tells the log of all deadlines that passed.
pub(crate) async fn look(context: &Context) -> Result<(), AccessError> {
    let now = context.clock.now();
    for scope in context.access.scopes_of_due_facts(now).await? {
        if let Err(error) = tell(context, &scope).await {
            if error.is_transient() {
                return Err(error);
            }
            tracing::warn!(%error, "the deadlines of an account can't be told");
        }
    }
    Ok(())
}

async fn tell(context: &Context, scope: &Scope) -> Result<(), AccessError> {
    let now = context.clock.now();
    let mut tx = context.access.begin(scope, Cause::outside()).await?;
    for (key, deadline) in store::deadlines_take(&mut tx, now).await? {
        let passed = DeadlinePassed {
            key: key.clone(),
            deadline,
        };
        tx.publish(NewEvent::of(&passed)?.about(key).occurred(deadline))?;
    }
    tx.commit().await
}
