//! `graph.timeline_gap`: how far what was written before there were timelines is put on them.

use chrono::{DateTime, Utc};
use contracts::EntityId;
use serde_json::{Map, Value};
use spine::ScopedTx;
use uuid::Uuid;

/// An entity that has a time.
#[derive(Debug)]
pub(crate) struct Timed {
    pub(crate) id: EntityId,
    pub(crate) kind: String,
    pub(crate) props: Map<String, Value>,
    pub(crate) at: DateTime<Utc>,
}

/// After which entity the account's gap begins, locked until the commit. `None`: there is none.
pub(crate) async fn gap_hold(tx: &mut ScopedTx) -> Result<Option<Uuid>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_scalar!(
        "SELECT after FROM graph.timeline_gap WHERE account = $1 FOR UPDATE",
        account.0
    )
    .fetch_optional(tx.conn())
    .await
}

/// The next entities that have a time, deleted and merged ones too.
pub(crate) async fn gap_items(tx: &mut ScopedTx, after: Uuid, limit: i64) -> Result<Vec<Timed>, sqlx::Error> {
    let account = tx.account();
    let rows = sqlx::query!(
        r#"
        SELECT id, type AS kind, props, starts_at AS "at!" FROM graph.entity
        WHERE account = $1 AND id > $2 AND starts_at IS NOT NULL ORDER BY id LIMIT $3
        "#,
        account.0,
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let timed = rows.into_iter().map(|row| Timed {
        id: EntityId(row.id),
        kind: row.kind,
        props: row.props.as_object().cloned().unwrap_or_default(),
        at: row.at,
    });
    Ok(timed.collect())
}

/// Puts items on the timelines of what they are related to.
pub(crate) async fn gap_relate(tx: &mut ScopedTx, items: &[Uuid]) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        r#"
        INSERT INTO graph.timeline (account, item, about, role, kind, at)
        SELECT DISTINCT ON (item.id, ends.about, ends.predicate) $1, item.id, ends.about, ends.predicate, item.type,
            item.starts_at
        FROM (
            SELECT from_entity AS item, to_entity AS about, predicate FROM graph.relation
            WHERE account = $1 AND from_entity = ANY($2) AND removed_at IS NULL AND NOT refused
            UNION ALL SELECT to_entity, from_entity, predicate FROM graph.relation
            WHERE account = $1 AND to_entity = ANY($2) AND removed_at IS NULL AND NOT refused
        ) AS ends
        JOIN graph.entity item ON item.account = $1 AND item.id = ends.item AND item.starts_at IS NOT NULL
        ON CONFLICT (account, item, about, role) DO NOTHING
        "#,
        account.0,
        items
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The gap begins later now.
pub(crate) async fn gap_move(tx: &mut ScopedTx, after: Uuid) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        "UPDATE graph.timeline_gap SET after = $2 WHERE account = $1",
        account.0,
        after
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// There is no gap any more.
pub(crate) async fn gap_close(tx: &mut ScopedTx) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!("DELETE FROM graph.timeline_gap WHERE account = $1", account.0)
        .execute(tx.conn())
        .await?;
    Ok(())
}
