//! What was kept for a connection goes with it.

use async_trait::async_trait;
use contracts::events::connector::ConnectionRemoved;
use contracts::{Event, EventPayload};
use spine::{Consumer, HandleError, ScopedTx};

use super::store;

/// The consumer `connectors.imap`.
#[derive(Debug)]
pub(crate) struct Forget;

#[async_trait]
impl Consumer for Forget {
    fn name(&self) -> &'static str {
        "connectors.imap"
    }

    fn types(&self) -> Vec<String> {
        vec![ConnectionRemoved::TYPE.to_owned()]
    }

    async fn handle(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError> {
        if let Some(removed) = event.payload::<ConnectionRemoved>() {
            store::forget(tx, removed?.connection).await?;
        }
        Ok(())
    }
}
