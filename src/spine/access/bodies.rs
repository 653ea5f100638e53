//! Removing the bodies of events that tell of something that is erased; their envelopes stay in the chain.

use super::{AccessError, ScopedTx};

impl ScopedTx {
    /// Removes the bodies of the account's events that hold any of these texts, such as an entity's id or an address,
    /// sealed or not yet; how many. What this transaction publishes itself is not among them. Reads every body of the
    /// account: for jobs, not for requests.
    ///
    /// # Errors
    /// [`AccessError::Database`] when the database is away.
    pub async fn erase_bodies(&mut self, texts: &[String]) -> Result<u64, AccessError> {
        let gone = sqlx::query_scalar!(r#"SELECT spine.event_bodies_erase($1) AS "gone!""#, texts)
            .fetch_one(self.conn())
            .await?;
        self.bodies_erased();
        Ok(u64::try_from(gone).unwrap_or_default())
    }
}
