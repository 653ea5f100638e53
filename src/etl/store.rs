//! All SQL of the ETL service. `etl.import` is its own; of the graph's tables it reads only, for what no port gives: the
//! whole account in order, and the records of a source.

use chrono::{DateTime, Utc};
use contracts::{EntityId, RawRecordId};
use serde_json::Value;
use spine::ScopedTx;
use uuid::Uuid;

/// An import.
#[derive(Debug, Clone)]
pub(crate) struct ImportRow {
    pub(crate) id: Uuid,
    pub(crate) filename: String,
    pub(crate) format: String,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) bytes: i64,
    pub(crate) position: i64,
    pub(crate) taken: i64,
    pub(crate) new: i64,
    pub(crate) known: i64,
    pub(crate) parked: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

/// What a batch adds to an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) position: i64,
    pub(crate) taken: i64,
    pub(crate) new: i64,
    pub(crate) known: i64,
    pub(crate) parked: i64,
}

pub(crate) async fn import_insert(
    tx: &mut ScopedTx,
    id: Uuid,
    filename: &str,
    format: &str,
    bytes: i64,
) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        "INSERT INTO etl.import (account, id, filename, format, state, bytes, created_at)
        VALUES ($1, $2, $3, $4, 'waiting', $5, $6)",
        account.0,
        id,
        filename,
        format,
        bytes,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(crate) async fn import_by_id(tx: &mut ScopedTx, id: Uuid) -> Result<Option<ImportRow>, sqlx::Error> {
    sqlx::query_as!(
        ImportRow,
        r#"SELECT id, filename, format, state, reason, bytes, position, taken, new AS "new!", known, parked, created_at,
            started_at, finished_at
        FROM etl.import WHERE id = $1"#,
        id
    )
    .fetch_optional(tx.conn())
    .await
}

/// As [`import_by_id`], and nobody else changes it until the commit.
pub(crate) async fn import_hold(tx: &mut ScopedTx, id: Uuid) -> Result<Option<ImportRow>, sqlx::Error> {
    sqlx::query_as!(
        ImportRow,
        r#"SELECT id, filename, format, state, reason, bytes, position, taken, new AS "new!", known, parked, created_at,
            started_at, finished_at
        FROM etl.import WHERE id = $1 FOR UPDATE"#,
        id
    )
    .fetch_optional(tx.conn())
    .await
}

/// The newest imports.
pub(crate) async fn import_list(tx: &mut ScopedTx, limit: i64) -> Result<Vec<ImportRow>, sqlx::Error> {
    sqlx::query_as!(
        ImportRow,
        r#"SELECT id, filename, format, state, reason, bytes, position, taken, new AS "new!", known, parked, created_at,
            started_at, finished_at
        FROM etl.import ORDER BY created_at DESC, id DESC LIMIT $1"#,
        limit
    )
    .fetch_all(tx.conn())
    .await
}

pub(crate) async fn import_start(tx: &mut ScopedTx, id: Uuid) -> Result<(), sqlx::Error> {
    let now = tx.now();
    sqlx::query!(
        "UPDATE etl.import SET state = 'running', started_at = coalesce(started_at, $2) WHERE id = $1 AND state = 'waiting'",
        id,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(crate) async fn import_advance(tx: &mut ScopedTx, id: Uuid, step: Step) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE etl.import SET position = least($2, bytes), taken = taken + $3, new = new + $4, known = known + $5,
            parked = parked + $6
        WHERE id = $1",
        id,
        step.position,
        step.taken,
        step.new,
        step.known,
        step.parked
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Ends an import that hasn't ended. False: it had.
pub(crate) async fn import_end(
    tx: &mut ScopedTx,
    id: Uuid,
    state: &str,
    reason: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let now = tx.now();
    let done = sqlx::query!(
        "UPDATE etl.import SET state = $2, reason = $3, finished_at = $4,
            position = CASE WHEN $2 = 'finished' THEN bytes ELSE position END
        WHERE id = $1 AND state IN ('waiting', 'running')",
        id,
        state,
        reason,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() > 0)
}

/// The mails of a conversation.
pub(crate) async fn part_list(
    tx: &mut ScopedTx,
    conversation: EntityId,
) -> Result<Vec<EntityId>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        "SELECT DISTINCT from_entity FROM graph.relation
        WHERE to_entity = $1 AND predicate = 'part-of' AND removed_at IS NULL LIMIT 900",
        conversation.0
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(EntityId).collect())
}

/// Records of a source, or of all, after an id.
pub(crate) async fn record_list(
    tx: &mut ScopedTx,
    source: Option<&str>,
    after: RawRecordId,
    limit: i64,
) -> Result<Vec<RawRecordId>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        "SELECT id FROM graph.raw_record
        WHERE id > $2 AND ($1::text IS NULL OR source = $1)
            AND split_part(media_type, ';', 1) IN ('text/vcard', 'text/x-vcard', 'text/directory', 'text/calendar',
                'message/rfc822', 'message/global', 'text/csv', 'application/ld+json')
        ORDER BY id LIMIT $3",
        source,
        after.0,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(RawRecordId).collect())
}

/// An entity as it is exported.
#[derive(Debug, Clone)]
pub(crate) struct ExportedEntity {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) title: Option<String>,
    pub(crate) props: Value,
    pub(crate) starts_at: Option<DateTime<Utc>>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) raw_record: Option<Uuid>,
}

/// Entities of some types, or of all, in the order in which they came into the graph.
pub(crate) async fn entity_page(
    tx: &mut ScopedTx,
    kinds: Option<&[String]>,
    after: (DateTime<Utc>, Uuid),
    limit: i64,
) -> Result<Vec<ExportedEntity>, sqlx::Error> {
    sqlx::query_as!(
        ExportedEntity,
        "SELECT id, type AS kind, title, props, starts_at, created_at, updated_at, raw_record FROM graph.entity
        WHERE deleted_at IS NULL AND merged_into IS NULL AND ($1::text[] IS NULL OR type = ANY ($1))
            AND (created_at, id) > ($2, $3)
        ORDER BY created_at, id LIMIT $4",
        kinds as _,
        after.0,
        after.1,
        limit
    )
    .fetch_all(tx.conn())
    .await
}

/// An identifier of an exported entity, or of one that was merged into it.
#[derive(Debug, Clone)]
pub(crate) struct ExportedIdentifier {
    pub(crate) entity: Uuid,
    pub(crate) scheme: String,
    pub(crate) value: String,
}

pub(crate) async fn identifier_list(
    tx: &mut ScopedTx,
    entities: &[Uuid],
) -> Result<Vec<ExportedIdentifier>, sqlx::Error> {
    sqlx::query_as!(
        ExportedIdentifier,
        r#"WITH RECURSIVE member (root, id) AS (
            SELECT id, id FROM graph.entity WHERE id = ANY ($1)
            UNION
            SELECT member.root, entity.id FROM member JOIN graph.entity ON entity.merged_into = member.id
        )
        SELECT DISTINCT member.root AS "entity!", identifier.scheme, identifier.value
        FROM member
        JOIN graph.entity_identifier AS borne ON borne.entity = member.id AND borne.valid_to IS NULL
        JOIN graph.identifier ON identifier.id = borne.identifier
        ORDER BY 1, 2, 3"#,
        entities
    )
    .fetch_all(tx.conn())
    .await
}

/// A relation as it is exported, with the types of its ends.
#[derive(Debug, Clone)]
pub(crate) struct ExportedRelation {
    pub(crate) id: Uuid,
    pub(crate) from: Uuid,
    pub(crate) from_kind: String,
    pub(crate) predicate: String,
    pub(crate) to: Uuid,
    pub(crate) to_kind: String,
    pub(crate) recorded_at: DateTime<Utc>,
}

/// Relations that hold, in the order in which they came; each once, whoever says it.
pub(crate) async fn relation_page(
    tx: &mut ScopedTx,
    after: (DateTime<Utc>, Uuid),
    limit: i64,
) -> Result<Vec<ExportedRelation>, sqlx::Error> {
    sqlx::query_as!(
        ExportedRelation,
        r#"SELECT relation.id, near.id AS "from!", near.type AS "from_kind!", relation.predicate, far.id AS "to!",
            far.type AS "to_kind!", relation.recorded_at
        FROM graph.relation
        JOIN LATERAL (
            WITH RECURSIVE up (id, type, merged_into, deleted_at) AS (
                SELECT id, type, merged_into, deleted_at FROM graph.entity WHERE id = relation.from_entity
                UNION ALL
                SELECT e.id, e.type, e.merged_into, e.deleted_at FROM up JOIN graph.entity AS e ON e.id = up.merged_into
            )
            SELECT id, type, deleted_at FROM up WHERE merged_into IS NULL
        ) AS near ON near.deleted_at IS NULL
        JOIN LATERAL (
            WITH RECURSIVE up (id, type, merged_into, deleted_at) AS (
                SELECT id, type, merged_into, deleted_at FROM graph.entity WHERE id = relation.to_entity
                UNION ALL
                SELECT e.id, e.type, e.merged_into, e.deleted_at FROM up JOIN graph.entity AS e ON e.id = up.merged_into
            )
            SELECT id, type, deleted_at FROM up WHERE merged_into IS NULL
        ) AS far ON far.deleted_at IS NULL
        WHERE relation.removed_at IS NULL AND NOT relation.refused AND near.id <> far.id
            AND (relation.recorded_at, relation.id) > ($1, $2)
            AND NOT EXISTS (
                SELECT FROM graph.relation AS earlier
                WHERE earlier.from_entity = relation.from_entity AND earlier.to_entity = relation.to_entity
                    AND earlier.predicate = relation.predicate AND earlier.removed_at IS NULL AND NOT earlier.refused
                    AND (earlier.recorded_at, earlier.id) < (relation.recorded_at, relation.id)
            )
        ORDER BY relation.recorded_at, relation.id LIMIT $3"#,
        after.0,
        after.1,
        limit
    )
    .fetch_all(tx.conn())
    .await
}
