//! What was erased is forgotten by the journals of runs, too: the run stays, with what it read and said removed.

use async_trait::async_trait;
use contracts::events::data::EntityErased;
use contracts::{Event, EventPayload};
use spine::{Consumer, HandleError, ScopedTx};

use super::store;

/// The consumer `rules.erase`.
#[derive(Debug)]
pub(crate) struct ForgetErased;

#[async_trait]
impl Consumer for ForgetErased {
    fn name(&self) -> &'static str {
        "rules.erase"
    }

    fn types(&self) -> Vec<String> {
        vec![EntityErased::TYPE.to_owned()]
    }

    async fn handle(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError> {
        if let Some(erased) = event.payload::<EntityErased>() {
            let erased = erased?;
            let mut ids: Vec<String> = erased.merged.iter().map(ToString::to_string).collect();
            ids.push(erased.entity.to_string());
            let named = store::journals_naming(tx, &erased.names).await?;
            store::journals_erase(tx, &ids, &named).await?;
        }
        Ok(())
    }
}
