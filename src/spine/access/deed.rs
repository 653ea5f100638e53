//! What somebody does to the spine itself, with its entry in their audit: both stand in one commit, or neither.

use contracts::NewEvent;
use contracts::events::audit::AccessRecorded;
use sqlx::{Postgres, Transaction};

use super::{Access, AccessError, Cause, Scope, ScopedTx};
use crate::log::outbox::Outbox;

fn entry(on: String) -> Result<NewEvent, AccessError> {
    Ok(NewEvent::of(&AccessRecorded {
        action: "act".to_owned(),
        on,
        count: None,
    })?)
}

impl Access {
    /// Commits a deed of role `allod_spine`. `on`: what was done to what.
    pub(crate) async fn commit_deed(
        &self,
        mut tx: Transaction<'static, Postgres>,
        by: &Scope,
        on: String,
    ) -> Result<(), AccessError> {
        let (now, mut told) = (self.now(), Outbox::default());
        told.push(entry(on)?, by.principal().to_string(), &Cause::outside(), now)?;
        told.insert(&mut tx, by.account(), now, None).await?;
        tx.commit().await?;
        self.wake().sealer(true);
        Ok(())
    }
}

impl ScopedTx {
    /// A part of the hub does this because somebody of the same account said so, in whose name it is written down.
    pub(crate) fn audit_deed(&mut self, by: &Scope, on: String) -> Result<(), AccessError> {
        let (actor, now) = (by.principal().to_string(), self.now());
        self.outbox().push(entry(on)?, actor, &Cause::outside(), now)
    }
}
