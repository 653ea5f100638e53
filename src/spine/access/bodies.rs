//! Removing the bodies of events that tell of something that is erased; their envelopes stay in the chain.

use serde_json::Value;

use super::{AccessError, ScopedTx};

/// What the keyed hash of a name is for.
const NAME: &str = "erased/name";

impl ScopedTx {
    /// Removes the bodies of the account's events, sealed or not yet, that hold any of `texts`, such as an entity's id
    /// or an address, or one of `names`; how many. A name is looked for as the whole of a member that holds a name or
    /// a fact's value; one of several words also as words of any text. What this transaction publishes itself is not
    /// among them. Reads every body of the account: for jobs, not for requests.
    ///
    /// # Errors
    /// [`AccessError::Database`] when the database is away.
    pub async fn erase_bodies(&mut self, texts: &[String], names: &[String]) -> Result<u64, AccessError> {
        let gone = sqlx::query_scalar!(
            r#"SELECT spine.event_bodies_erase($1, $2) AS "gone!""#,
            texts,
            names
        )
        .fetch_one(self.conn())
        .await?;
        self.bodies_erased();
        Ok(u64::try_from(gone).unwrap_or_default())
    }

    /// A mark by which services find an erased name in what they keep, without the event that tells of the erasure
    /// holding it: its keyed hash, in hex.
    pub fn name_mark(&self, name: &str) -> String {
        hex::encode(self.pseudonym(NAME, name.trim().to_lowercase().as_bytes()))
    }

    /// True if a text in this value is a name with one of these marks.
    pub fn is_marked(&self, value: &Value, marks: &[String]) -> bool {
        match value {
            Value::String(text) => !text.is_empty() && marks.contains(&self.name_mark(text)),
            Value::Array(items) => items.iter().any(|item| self.is_marked(item, marks)),
            Value::Object(members) => members.values().any(|member| self.is_marked(member, marks)),
            _ => false,
        }
    }
}
