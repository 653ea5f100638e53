//! Which groups name somebody as a member, as claims about `graph.entity` rows of type `Group` say it.

use contracts::{EntityId, RawRecordId};
use spine::ScopedTx;
use spine::ports::GroupNaming;

/// Holds the groups of which any source names one of these, until the transaction ends.
pub(crate) async fn group_lock(tx: &mut ScopedTx, names: &[String]) -> Result<(), sqlx::Error> {
    let account = tx.account();
    // All groups of an account are read, which are few: under row-level security no index of what they say would be used.
    sqlx::query!(
        r#"
        SELECT e.id FROM graph.entity e
        WHERE e.account = $1 AND e.type = 'Group' AND e.deleted_at IS NULL AND EXISTS (
            SELECT FROM graph.claim c WHERE c.account = $1 AND c.entity = e.id AND c.recorded_to IS NULL
                AND c.props -> 'members' ?| $2)
        ORDER BY e.id FOR UPDATE OF e
        "#,
        account.0,
        names
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(())
}

/// The groups of which a source's record of this media type names any of these now.
pub(crate) async fn group_naming_list(
    tx: &mut ScopedTx,
    media_type: &str,
    names: &[String],
) -> Result<Vec<GroupNaming>, sqlx::Error> {
    let account = tx.account();
    let rows = sqlx::query!(
        r#"
        SELECT e.id, c.source, r.id AS record, ARRAY(
            SELECT DISTINCT said.name FROM jsonb_array_elements_text(c.props -> 'members') AS said (name)
            WHERE said.name = ANY($2) ORDER BY said.name) AS "names!"
        FROM graph.entity e
        JOIN graph.claim c ON c.account = $1 AND c.entity = e.id AND c.recorded_to IS NULL
        JOIN graph.raw_record r ON r.account = $1 AND r.id = c.raw_record AND r.media_type = $3
        WHERE e.account = $1 AND e.type = 'Group' AND e.deleted_at IS NULL AND c.asserted_by = 'connector'
            AND jsonb_typeof(c.props -> 'members') = 'array' AND c.props -> 'members' ?| $2
        ORDER BY e.id, c.source
        "#,
        account.0,
        names,
        media_type
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| GroupNaming {
            group: EntityId(row.id),
            record: RawRecordId(row.record),
            source: row.source,
            names: row.names,
        })
        .collect())
}
