//! What an erased account uploaded and nobody has read yet goes with it.

use std::path::PathBuf;

use async_trait::async_trait;
use contracts::events::accounts::AccountErased;
use contracts::{Event, EventPayload};
use spine::{Consumer, HandleError, ScopedTx};

use crate::files;

/// The consumer `etl.erase`. The event is the hub's own, and is told once nobody works for the account any more.
#[derive(Debug)]
pub(crate) struct RemoveFiles {
    pub(crate) data_dir: PathBuf,
}

#[async_trait]
impl Consumer for RemoveFiles {
    fn name(&self) -> &'static str {
        "etl.erase"
    }

    fn types(&self) -> Vec<String> {
        vec![AccountErased::TYPE.to_owned()]
    }

    async fn handle(&self, _: &mut ScopedTx, event: &Event) -> Result<(), HandleError> {
        if let Some(erased) = event.payload::<AccountErased>() {
            files::remove_folder(&self.data_dir, erased?.account)
                .await
                .map_err(|error| {
                    HandleError::Poison(format!("files of imports could not be removed: {error}"))
                })?;
        }
        Ok(())
    }
}
