//! What was erased is forgotten by the facts, too: where they name it, or it told them, they read as unknown.
//!
//! Invariant: the row stays, without value and source, so that what held before it doesn't seem to have lasted on.

use contracts::events::data::EntityErased;
use spine::{HandleError, ScopedTx};

use crate::store;

/// Empties the facts and forgets the signals that name an erased entity, by its id or by a name that it alone bore.
pub(crate) async fn forget(tx: &mut ScopedTx, erased: &EntityErased) -> Result<(), HandleError> {
    let gone: Vec<_> = erased.merged.iter().chain([&erased.entity]).copied().collect();
    store::forget::place_forget(tx, &gone).await?;
    let ids: Vec<String> = gone.iter().map(ToString::to_string).collect();
    let mut values = Vec::new();
    if !erased.names.is_empty() {
        // Each value once, however often it was true.
        for value in store::forget::text_values(tx).await? {
            if tx.is_marked(&value, &erased.names) {
                values.push(value);
            }
        }
    }
    for key in store::forget::facts_empty(tx, &ids, &values).await? {
        store::deadline_set(tx, &key, None).await?;
    }
    store::forget::signals_remove(tx, &ids, &values).await?;
    Ok(())
}
