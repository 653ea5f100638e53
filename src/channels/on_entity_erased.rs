//! The attempts to send a message are removed with it.

use async_trait::async_trait;
use contracts::events::data::EntityErased;
use contracts::{Event, EventPayload};
use spine::{Consumer, HandleError, ScopedTx};

use crate::store;

/// The consumer `channels.erase`.
#[derive(Debug)]
pub(crate) struct ForgetErased;

#[async_trait]
impl Consumer for ForgetErased {
    fn name(&self) -> &'static str {
        "channels.erase"
    }

    fn types(&self) -> Vec<String> {
        vec![EntityErased::TYPE.to_owned()]
    }

    async fn handle(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError> {
        if let Some(erased) = event.payload::<EntityErased>() {
            let erased = erased?;
            for gone in erased.merged.iter().chain([&erased.entity]) {
                store::attempts_erase(tx, *gone).await?;
            }
        }
        Ok(())
    }
}
