//! `graph.relation`.

use chrono::{DateTime, Utc};
use contracts::{EntityId, RawRecordId, RelationId};
use spine::ScopedTx;
use spine::ports::RelationChange;
use uuid::Uuid;

use crate::model::{Asserter, by_name};

/// What is known of one edge, by a source.
#[derive(Debug)]
pub(crate) struct EdgeRow {
    pub(crate) id: RelationId,
    pub(crate) source: String,
    /// It holds.
    pub(crate) live: bool,
    /// The owner took it away.
    pub(crate) refused: bool,
}

/// A relation at one end of an entity, with the title of the other.
#[derive(Debug)]
pub(crate) struct RelationRow {
    pub(crate) id: Uuid,
    pub(crate) from_entity: Uuid,
    pub(crate) predicate: String,
    pub(crate) to_entity: Uuid,
    pub(crate) other_title: Option<String>,
    pub(crate) asserted_by: String,
    pub(crate) source: String,
    pub(crate) recorded_at: DateTime<Utc>,
}

/// What every source said of an edge.
pub(crate) async fn relation_rows(
    tx: &mut ScopedTx,
    edge: &RelationChange,
) -> Result<Vec<EdgeRow>, sqlx::Error> {
    let account = tx.account();
    let rows = sqlx::query!(
        r#"
        SELECT id, source, removed_at IS NULL AS "live!", refused
        FROM graph.relation WHERE account = $1 AND from_entity = $2 AND to_entity = $3 AND predicate = $4
        ORDER BY recorded_at, id
        "#,
        account.0,
        edge.from.0,
        edge.to.0,
        edge.predicate
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| EdgeRow {
            id: row.id.into(),
            source: row.source,
            live: row.live,
            refused: row.refused,
        })
        .collect())
}

pub(crate) async fn relation_insert(
    tx: &mut ScopedTx,
    id: RelationId,
    edge: &RelationChange,
    asserter: &Asserter,
    raw: Option<RawRecordId>,
) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        INSERT INTO graph.relation (account, id, from_entity, predicate, to_entity, asserted_by, source, recorded_at,
            raw_record)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        "#,
        account.0,
        id.0,
        edge.from.0,
        edge.predicate,
        edge.to.0,
        by_name(asserter.by),
        asserter.source,
        now,
        raw.map(Uuid::from)
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The owner says it again: sources may, too.
pub(crate) async fn relation_unrefuse(tx: &mut ScopedTx, edge: &RelationChange) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        r#"
        UPDATE graph.relation SET refused = false
        WHERE account = $1 AND from_entity = $2 AND to_entity = $3 AND predicate = $4 AND refused
        "#,
        account.0,
        edge.from.0,
        edge.to.0,
        edge.predicate
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The owner says that an edge doesn't hold, whichever source said it did.
pub(crate) async fn relation_refuse(tx: &mut ScopedTx, edge: &RelationChange) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        UPDATE graph.relation SET removed_at = $5, refused = true
        WHERE account = $1 AND from_entity = $2 AND to_entity = $3 AND predicate = $4 AND removed_at IS NULL
        "#,
        account.0,
        edge.from.0,
        edge.to.0,
        edge.predicate,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The edge of a relation that holds.
pub(crate) async fn relation_by_id(
    tx: &mut ScopedTx,
    id: RelationId,
) -> Result<Option<RelationChange>, sqlx::Error> {
    let account = tx.account();
    let row = sqlx::query!(
        r#"
        SELECT from_entity, predicate, to_entity FROM graph.relation
        WHERE account = $1 AND id = $2 AND removed_at IS NULL
        "#,
        account.0,
        id.0
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| RelationChange {
        from: row.from_entity.into(),
        predicate: row.predicate,
        to: row.to_entity.into(),
    }))
}

/// The relations of an entity in both directions, newest first, at most 200.
pub(crate) async fn relation_list(
    tx: &mut ScopedTx,
    entity: EntityId,
) -> Result<Vec<RelationRow>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_as!(
        RelationRow,
        r#"
        SELECT r.id AS "id!", r.from_entity AS "from_entity!", r.predicate AS "predicate!", r.to_entity AS "to_entity!",
            other.title AS "other_title?", r.asserted_by AS "asserted_by!", r.source AS "source!",
            r.recorded_at AS "recorded_at!"
        FROM (
            (SELECT *, to_entity AS other FROM graph.relation
                WHERE account = $1 AND from_entity = $2 AND removed_at IS NULL)
            UNION ALL
            (SELECT *, from_entity AS other FROM graph.relation
                WHERE account = $1 AND to_entity = $2 AND removed_at IS NULL)
        ) r
        JOIN graph.entity other ON other.account = $1 AND other.id = r.other AND other.deleted_at IS NULL
        ORDER BY r.recorded_at DESC, r.id DESC LIMIT 200
        "#,
        account.0,
        entity.0
    )
    .fetch_all(tx.conn())
    .await
}
