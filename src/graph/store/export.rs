//! A whole account in order, for exports.

use chrono::{DateTime, Utc};
use contracts::RawRecordId;
use spine::ScopedTx;
use spine::ports::{ExportedEntity, ExportedIdentifier, ExportedRelation};
use uuid::Uuid;

pub(crate) async fn export_entities(
    tx: &mut ScopedTx,
    kinds: Option<&[String]>,
    after: (DateTime<Utc>, Uuid),
    limit: i64,
) -> Result<Vec<ExportedEntity>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_as!(
        ExportedEntity,
        r#"
        SELECT id, type AS kind, title, props, starts_at, created_at, updated_at, raw_record FROM graph.entity
        WHERE account = $1 AND deleted_at IS NULL AND merged_into IS NULL
            AND ($2::text[] IS NULL OR type = ANY ($2)) AND (created_at, id) > ($3, $4)
        ORDER BY created_at, id LIMIT $5
        "#,
        account.0,
        kinds as _,
        after.0,
        after.1,
        limit
    )
    .fetch_all(tx.conn())
    .await
}

pub(crate) async fn export_identifiers(
    tx: &mut ScopedTx,
    entities: &[Uuid],
) -> Result<Vec<ExportedIdentifier>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_as!(
        ExportedIdentifier,
        r#"
        SELECT DISTINCT e.id AS "entity!", i.scheme AS "scheme!", i.value AS "value!"
        FROM graph.entity e
        CROSS JOIN LATERAL unnest(CASE WHEN e.absorbed = 0 THEN ARRAY[e.id]
            ELSE graph.entity_members($1, e.id) END) AS member (id)
        JOIN graph.entity_identifier b ON b.account = $1 AND b.entity = member.id AND b.valid_to IS NULL
        JOIN graph.identifier i ON i.account = $1 AND i.id = b.identifier
        WHERE e.account = $1 AND e.id = ANY ($2)
        ORDER BY 1, 2, 3
        "#,
        account.0,
        entities
    )
    .fetch_all(tx.conn())
    .await
}

pub(crate) async fn export_told_apart(
    tx: &mut ScopedTx,
    entities: &[Uuid],
) -> Result<Vec<(Uuid, Uuid)>, sqlx::Error> {
    let account = tx.account();
    let rows = sqlx::query!(
        r#"
        SELECT DISTINCT e.id AS "one!", other.id AS "other!"
        FROM graph.entity e
        CROSS JOIN LATERAL unnest(CASE WHEN e.absorbed = 0 THEN ARRAY[e.id]
            ELSE graph.entity_members($1, e.id) END) AS member (id)
        CROSS JOIN LATERAL (
            SELECT second_entity AS id FROM graph.merge_decision
                WHERE account = $1 AND first_entity = member.id AND standing = 'distinct'
            UNION SELECT first_entity FROM graph.merge_decision
                WHERE account = $1 AND second_entity = member.id AND standing = 'distinct'
        ) said
        JOIN graph.entity far ON far.account = $1 AND far.id = said.id
        LEFT JOIN LATERAL (
            SELECT graph.entity_root($1, far.id) AS id WHERE far.merged_into IS NOT NULL OFFSET 0
        ) AS far_root ON true
        JOIN graph.entity other ON other.account = $1 AND other.deleted_at IS NULL AND other.id <> e.id
            AND other.id = CASE WHEN far.merged_into IS NULL THEN far.id ELSE far_root.id END
        WHERE e.account = $1 AND e.id = ANY ($2)
        ORDER BY 1, 2
        "#,
        account.0,
        entities
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.one, row.other)).collect())
}

pub(crate) async fn export_relations(
    tx: &mut ScopedTx,
    after: (DateTime<Utc>, Uuid),
    limit: i64,
) -> Result<Vec<ExportedRelation>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_as!(
        ExportedRelation,
        r#"
        SELECT r.id, near.id AS "from!", near.type AS "from_kind!", r.predicate, far.id AS "to!",
            far.type AS "to_kind!", r.recorded_at
        FROM graph.relation r
        JOIN graph.entity a ON a.account = $1 AND a.id = r.from_entity
        LEFT JOIN LATERAL (
            SELECT graph.entity_root($1, a.id) AS id WHERE a.merged_into IS NOT NULL OFFSET 0
        ) AS a_root ON true
        JOIN graph.entity near ON near.account = $1 AND near.deleted_at IS NULL
            AND near.id = CASE WHEN a.merged_into IS NULL THEN a.id ELSE a_root.id END
        JOIN graph.entity b ON b.account = $1 AND b.id = r.to_entity
        LEFT JOIN LATERAL (
            SELECT graph.entity_root($1, b.id) AS id WHERE b.merged_into IS NOT NULL OFFSET 0
        ) AS b_root ON true
        JOIN graph.entity far ON far.account = $1 AND far.deleted_at IS NULL
            AND far.id = CASE WHEN b.merged_into IS NULL THEN b.id ELSE b_root.id END
        WHERE r.account = $1 AND r.removed_at IS NULL AND NOT r.refused AND near.id <> far.id
            AND (r.recorded_at, r.id) > ($2, $3)
            AND NOT EXISTS (
                SELECT FROM graph.relation earlier
                WHERE earlier.account = $1 AND earlier.from_entity = r.from_entity
                    AND earlier.to_entity = r.to_entity AND earlier.predicate = r.predicate
                    AND earlier.removed_at IS NULL AND NOT earlier.refused
                    AND (earlier.recorded_at, earlier.id) < (r.recorded_at, r.id)
            )
        ORDER BY r.recorded_at, r.id LIMIT $4
        "#,
        account.0,
        after.0,
        after.1,
        limit
    )
    .fetch_all(tx.conn())
    .await
}

pub(crate) async fn export_records(
    tx: &mut ScopedTx,
    source: Option<&str>,
    media_types: &[String],
    after: RawRecordId,
    limit: i64,
) -> Result<Vec<RawRecordId>, sqlx::Error> {
    let account = tx.account();
    let rows = sqlx::query_scalar!(
        r#"
        SELECT id FROM graph.raw_record
        WHERE account = $1 AND id > $2 AND ($3::text IS NULL OR source = $3) AND superseded_at IS NULL
            AND lower(trim(split_part(media_type, ';', 1))) = ANY ($4)
        ORDER BY id LIMIT $5
        "#,
        account.0,
        after.0,
        source,
        media_types,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(RawRecordId).collect())
}
