//! `graph.relation`.

use chrono::{DateTime, Utc};
use contracts::{RawRecordId, RelationId};
use spine::ScopedTx;
use spine::edge::DATABASE_TIME_MAX;
use spine::ports::RelationChange;
use uuid::Uuid;

/// What is known of one edge, by a source.
#[derive(Debug, Clone)]
pub(crate) struct EdgeRow {
    pub(crate) id: RelationId,
    pub(crate) source: String,
    /// It holds.
    pub(crate) live: bool,
    /// The owner took it away.
    pub(crate) refused: bool,
    /// The ends that were said.
    pub(crate) from: Uuid,
    pub(crate) to: Uuid,
    /// The record that states it, or one of those that do.
    pub(crate) raw: Option<RawRecordId>,
}

/// A relation at one end of an entity, with the title of the other.
#[derive(Debug)]
pub(crate) struct RelationRow {
    pub(crate) id: Uuid,
    /// From the entity to the other one.
    pub(crate) outgoing: bool,
    pub(crate) predicate: String,
    pub(crate) other: Uuid,
    pub(crate) other_title: Option<String>,
    pub(crate) other_kind: String,
    pub(crate) asserted_by: String,
    pub(crate) source: String,
    pub(crate) recorded_at: DateTime<Utc>,
}

/// Both ends of an edge, each with all that were merged into it.
#[derive(Debug)]
pub(crate) struct Edge<'a> {
    pub(crate) from: &'a [Uuid],
    pub(crate) predicate: &'a str,
    pub(crate) to: &'a [Uuid],
}

/// What every source said of an edge.
pub(crate) async fn relation_rows(tx: &mut ScopedTx, edge: &Edge<'_>) -> Result<Vec<EdgeRow>, sqlx::Error> {
    let account = tx.account();
    let rows = sqlx::query!(
        r#"
        SELECT id, source, removed_at IS NULL AS "live!", refused, from_entity, to_entity, raw_record
        FROM graph.relation WHERE account = $1 AND from_entity = ANY($2) AND to_entity = ANY($3) AND predicate = $4
        ORDER BY recorded_at, id
        "#,
        account.0,
        edge.from,
        edge.to,
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
            from: row.from_entity,
            to: row.to_entity,
            raw: row.raw_record.map(Into::into),
        })
        .collect())
}

/// The owner says it again: sources may, too.
pub(crate) async fn relation_unrefuse(tx: &mut ScopedTx, edge: &Edge<'_>) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        r#"
        UPDATE graph.relation SET refused = false
        WHERE account = $1 AND from_entity = ANY($2) AND to_entity = ANY($3) AND predicate = $4 AND refused
        "#,
        account.0,
        edge.from,
        edge.to,
        edge.predicate
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The owner says that an edge doesn't hold, whichever source said it did.
pub(crate) async fn relation_refuse(tx: &mut ScopedTx, edge: &Edge<'_>) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        UPDATE graph.relation SET removed_at = $5, refused = true
        WHERE account = $1 AND from_entity = ANY($2) AND to_entity = ANY($3) AND predicate = $4 AND removed_at IS NULL
        "#,
        account.0,
        edge.from,
        edge.to,
        edge.predicate,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A source doesn't say an edge any more; it may say it again.
pub(crate) async fn relation_withdraw(
    tx: &mut ScopedTx,
    edge: &Edge<'_>,
    source: &str,
) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        UPDATE graph.relation SET removed_at = $6
        WHERE account = $1 AND from_entity = ANY($2) AND to_entity = ANY($3) AND predicate = $4 AND source = $5
            AND removed_at IS NULL
        "#,
        account.0,
        edge.from,
        edge.to,
        edge.predicate,
        source,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A relation that held at a moment.
#[derive(Debug)]
pub(crate) struct PastRelation {
    pub(crate) id: Uuid,
    pub(crate) from: Uuid,
    pub(crate) predicate: String,
    pub(crate) to: Uuid,
    pub(crate) asserted_by: String,
    pub(crate) source: String,
    pub(crate) recorded_at: DateTime<Utc>,
    pub(crate) removed_at: Option<DateTime<Utc>>,
}

/// What entities were related to at a moment, as it was said then, newest first, at most 200.
pub(crate) async fn relation_list_at(
    tx: &mut ScopedTx,
    members: &[Uuid],
    at: DateTime<Utc>,
) -> Result<Vec<PastRelation>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_as!(
        PastRelation,
        r#"
        SELECT r.id AS "id!", r.from_entity AS "from!", r.predicate AS "predicate!", r.to_entity AS "to!",
            r.asserted_by AS "asserted_by!", r.source AS "source!", r.recorded_at AS "recorded_at!", r.removed_at
        FROM unnest($2::uuid[]) AS member (id)
        -- Each way by an index of its own: an entity may have a hundred thousand of them.
        CROSS JOIN LATERAL (
            (SELECT * FROM graph.relation
                WHERE account = $1 AND from_entity = member.id AND recorded_at <= $3 AND removed_at IS NULL
                ORDER BY recorded_at DESC, id DESC LIMIT 200)
            UNION ALL
            (SELECT * FROM graph.relation
                WHERE account = $1 AND from_entity = member.id AND recorded_at <= $3 AND removed_at > $3
                ORDER BY recorded_at DESC, id DESC LIMIT 200)
            UNION ALL
            (SELECT * FROM graph.relation
                WHERE account = $1 AND to_entity = member.id AND recorded_at <= $3 AND removed_at IS NULL
                    AND from_entity <> ALL($2)
                ORDER BY recorded_at DESC, id DESC LIMIT 200)
            UNION ALL
            (SELECT * FROM graph.relation
                WHERE account = $1 AND to_entity = member.id AND recorded_at <= $3 AND removed_at > $3
                    AND from_entity <> ALL($2)
                ORDER BY recorded_at DESC, id DESC LIMIT 200)
        ) r
        ORDER BY r.recorded_at DESC, r.id DESC LIMIT 200
        "#,
        account.0,
        members,
        at
    )
    .fetch_all(tx.conn())
    .await
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

/// Whoever adds a relation that may close a ring waits for the others who do, until they commit.
pub(crate) async fn ordering_lock(tx: &mut ScopedTx) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('graph.ordering', hashtextextended($1::text, 0)))",
        account.to_string()
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// One step along a relation, between what both ends are now.
#[derive(Debug)]
pub(crate) struct OrderingStep {
    pub(crate) near: Uuid,
    pub(crate) near_title: String,
    pub(crate) far: Uuid,
    pub(crate) far_title: String,
}

/// Where a predicate leads from each of these roots, with all that were merged into them, at most 5,000 steps.
pub(crate) async fn ordering_steps(
    tx: &mut ScopedTx,
    roots: &[Uuid],
    predicate: &str,
) -> Result<Vec<OrderingStep>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_as!(
        OrderingStep,
        r#"
        SELECT DISTINCT near.id AS "near!", coalesce(near.title, near.type || ' ' || near.id) AS "near_title!",
            far.id AS "far!", coalesce(far.title, far.type || ' ' || far.id) AS "far_title!"
        FROM graph.entity near
        CROSS JOIN LATERAL unnest(CASE WHEN near.absorbed = 0 THEN ARRAY[near.id]
            ELSE graph.entity_members($1, near.id) END) AS member (id)
        JOIN graph.relation r ON r.account = $1 AND r.from_entity = member.id AND r.predicate = $3
            AND r.removed_at IS NULL
        JOIN graph.entity said ON said.account = $1 AND said.id = r.to_entity
        LEFT JOIN LATERAL (
            SELECT graph.entity_root($1, said.id) AS id WHERE said.merged_into IS NOT NULL OFFSET 0
        ) AS said_root ON true
        JOIN graph.entity far ON far.account = $1
            AND far.id = CASE WHEN said.merged_into IS NULL THEN said.id ELSE said_root.id END
        WHERE near.account = $1 AND near.id = ANY($2) AND far.id <> near.id
        ORDER BY 1, 3 LIMIT 5000
        "#,
        account.0,
        roots,
        predicate
    )
    .fetch_all(tx.conn())
    .await
}

/// Relations at an entity that a page shows.
pub(crate) const RELATIONS_SHOWN: i64 = 200;

/// Which relations of an entity to list.
#[derive(Debug)]
pub(crate) struct RelationFilter<'a> {
    /// The entity, with all that were merged into it.
    pub(crate) members: &'a [Uuid],
    pub(crate) predicate: Option<&'a str>,
    /// Only those that were said before this moment and id.
    pub(crate) before: Option<(DateTime<Utc>, Uuid)>,
    pub(crate) limit: i64,
}

impl<'a> RelationFilter<'a> {
    /// The newest of all.
    pub(crate) fn newest(members: &'a [Uuid]) -> Self {
        Self {
            members,
            predicate: None,
            before: None,
            limit: RELATIONS_SHOWN,
        }
    }
}

/// The relations of an entity in both directions, newest first. An end that was merged is given as what it was merged
/// into.
pub(crate) async fn relation_list(
    tx: &mut ScopedTx,
    filter: &RelationFilter<'_>,
) -> Result<Vec<RelationRow>, sqlx::Error> {
    let account = tx.account();
    let (at, id) = filter.before.unwrap_or((DATABASE_TIME_MAX, Uuid::max()));
    sqlx::query_as!(
        RelationRow,
        r#"
        SELECT r.id AS "id!", r.outgoing AS "outgoing!", r.predicate AS "predicate!", r.other AS "other!",
            r.title AS "other_title?", r.type AS "other_kind!", r.asserted_by AS "asserted_by!",
            r.source AS "source!", r.recorded_at AS "recorded_at!"
        FROM unnest($2::uuid[]) AS member (id)
        -- Each way is cut off once what isn't listed fell away, so that a page is short only at the list's end.
        CROSS JOIN LATERAL (
            (SELECT r.id, true AS outgoing, r.predicate, other.id AS other, other.title, other.type, r.asserted_by, r.source,
                    r.recorded_at
                FROM graph.relation r
                JOIN graph.entity far ON far.account = $1 AND far.id = r.to_entity
                LEFT JOIN LATERAL (
                    SELECT graph.entity_root($1, far.id) AS id WHERE far.merged_into IS NOT NULL OFFSET 0
                ) AS far_root ON true
                JOIN graph.entity other ON other.account = $1 AND other.deleted_at IS NULL
                    AND other.id = CASE WHEN far.merged_into IS NULL THEN far.id ELSE far_root.id END
                WHERE r.account = $1 AND r.from_entity = member.id AND r.removed_at IS NULL AND other.id <> ALL($2)
                    AND ($3::text IS NULL OR r.predicate = $3) AND (r.recorded_at, r.id) < ($4, $5)
                ORDER BY r.recorded_at DESC, r.id DESC LIMIT $6)
            UNION ALL
            (SELECT r.id, false AS outgoing, r.predicate, other.id AS other, other.title, other.type, r.asserted_by, r.source,
                    r.recorded_at
                FROM graph.relation r
                JOIN graph.entity far ON far.account = $1 AND far.id = r.from_entity
                LEFT JOIN LATERAL (
                    SELECT graph.entity_root($1, far.id) AS id WHERE far.merged_into IS NOT NULL OFFSET 0
                ) AS far_root ON true
                JOIN graph.entity other ON other.account = $1 AND other.deleted_at IS NULL
                    AND other.id = CASE WHEN far.merged_into IS NULL THEN far.id ELSE far_root.id END
                WHERE r.account = $1 AND r.to_entity = member.id AND r.removed_at IS NULL AND other.id <> ALL($2)
                    AND ($3::text IS NULL OR r.predicate = $3) AND (r.recorded_at, r.id) < ($4, $5)
                ORDER BY r.recorded_at DESC, r.id DESC LIMIT $6)
        ) r
        ORDER BY r.recorded_at DESC, r.id DESC LIMIT $6
        "#,
        account.0,
        filter.members,
        filter.predicate,
        at,
        id,
        filter.limit
    )
    .fetch_all(tx.conn())
    .await
}
