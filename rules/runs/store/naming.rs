//! Which journals name what was erased, where only keyed hashes of the names are known.

use serde_json::Value;
use spine::access::{AccessError, ScopedTx};
use uuid::Uuid;

/// Entries that are read at once.
const PAGE: i64 = 1_000;

/// The runs whose journals hold a text with one of these marks ([`ScopedTx::name_mark`]). Reads every journal of the
/// account, a page at a time.
pub(crate) async fn journals_naming(tx: &mut ScopedTx, marks: &[String]) -> Result<Vec<Uuid>, AccessError> {
    let (account, mut after, mut found) = (tx.account(), (Uuid::nil(), -1), Vec::new());
    while !marks.is_empty() {
        let page = sqlx::query!(
            r#"
            SELECT run, seq, args, value FROM rules.journal_entry
            WHERE account = $1 AND (run, seq) > ($2, $3) ORDER BY run, seq LIMIT $4
            "#,
            account.0,
            after.0,
            after.1,
            PAGE
        )
        .fetch_all(tx.conn())
        .await?;
        let Some(last) = page.last() else { break };
        after = (last.run, last.seq);
        let named = |value: &Value| tx.is_marked(value, marks);
        found.extend(
            page.iter()
                .filter(|entry| named(&entry.args) || named(&entry.value))
                .map(|entry| entry.run),
        );
    }
    found.dedup();
    Ok(found)
}
