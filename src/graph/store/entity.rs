//! `graph.entity` and `graph.entity_type`.

use chrono::{DateTime, Utc};
use contracts::{EntityId, RawRecordId};
use serde_json::{Map, Value};
use spine::ScopedTx;
use spine::ports::{AssertedBy, Entity};
use uuid::Uuid;

use crate::model::{Asserter, Content, by_from_name, by_name, shown_title};

/// An entity as it is stored, held to be changed.
#[derive(Debug, Clone)]
pub(crate) struct StoredEntity {
    pub(crate) id: EntityId,
    pub(crate) kind: String,
    pub(crate) content: Content,
    pub(crate) version: i64,
    /// Whether its content is the fold of claims.
    pub(crate) folded: bool,
    /// Who brought it into the graph; the only source while it isn't folded.
    pub(crate) asserter: Asserter,
    pub(crate) raw: Option<RawRecordId>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    /// What it was merged into.
    pub(crate) merged_into: Option<EntityId>,
    /// How many were merged directly into it.
    pub(crate) absorbed: i32,
    /// Whose deletion it is, if it is deleted.
    pub(crate) deleted_by: Option<AssertedBy>,
}

/// An entity that comes into the graph.
#[derive(Debug)]
pub(crate) struct NewEntity<'a> {
    pub(crate) id: EntityId,
    pub(crate) kind: &'a str,
    pub(crate) content: &'a Content,
    pub(crate) folded: bool,
    pub(crate) asserter: &'a Asserter,
    pub(crate) raw: Option<RawRecordId>,
}

/// Properties out of a JSON column, which the service writes as objects only.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(props) => props,
        _ => Map::new(),
    }
}

/// All types: name, whether of a single source, schema.
pub(crate) async fn entity_type_list(tx: &mut ScopedTx) -> Result<Vec<(String, bool, Value)>, sqlx::Error> {
    let rows = sqlx::query!("SELECT name, single_source, schema FROM graph.entity_type ORDER BY name")
        .fetch_all(tx.conn())
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.name, row.single_source, row.schema))
        .collect())
}

/// The entity itself, even if it is deleted or merged, held for this transaction alone.
pub(crate) async fn entity_lock(
    tx: &mut ScopedTx,
    id: EntityId,
) -> Result<Option<StoredEntity>, sqlx::Error> {
    Ok(lock_list(tx, &[id.0], true).await?.pop())
}

/// Those of these that aren't merged into others, though they are deleted, held in the order of their ids.
pub(crate) async fn entity_lock_list(
    tx: &mut ScopedTx,
    ids: &[Uuid],
) -> Result<Vec<StoredEntity>, sqlx::Error> {
    lock_list(tx, ids, false).await
}

async fn lock_list(
    tx: &mut ScopedTx,
    ids: &[Uuid],
    with_merged: bool,
) -> Result<Vec<StoredEntity>, sqlx::Error> {
    let account = tx.account();
    let rows = sqlx::query!(
        r#"
        SELECT id, type, title, props, version, starts_at, folded, asserted_by, source, raw_record, created_at, updated_at,
            merged_into, absorbed, deleted_by
        FROM graph.entity WHERE account = $1 AND id = ANY($2) AND ($3 OR merged_into IS NULL)
        ORDER BY id FOR NO KEY UPDATE
        "#,
        account.0,
        ids,
        with_merged
    )
    .fetch_all(tx.conn())
    .await?;
    let entity = rows.into_iter().map(|row| StoredEntity {
        id: row.id.into(),
        kind: row.r#type,
        content: Content::stored(row.title, object(row.props), row.starts_at),
        version: row.version,
        folded: row.folded,
        asserter: Asserter {
            by: by_from_name(&row.asserted_by),
            source: row.source,
        },
        raw: row.raw_record.map(Into::into),
        created_at: row.created_at,
        updated_at: row.updated_at,
        merged_into: row.merged_into.map(Into::into),
        absorbed: row.absorbed,
        deleted_by: row.deleted_by.as_deref().map(by_from_name),
    });
    Ok(entity.collect())
}

/// Where the merges of an entity lead, held; itself if it was never merged. A merge that is just being made is waited
/// for and followed: rows are locked from the absorbed one up, as everywhere.
pub(crate) async fn entity_root_lock(
    tx: &mut ScopedTx,
    id: EntityId,
) -> Result<Option<StoredEntity>, sqlx::Error> {
    let mut next = id;
    loop {
        match entity_lock(tx, next).await? {
            Some(StoredEntity {
                merged_into: Some(into),
                ..
            }) => next = into,
            found => return Ok(found),
        }
    }
}

/// The entity that an id stands for, though it was merged; `None` if it isn't there or is deleted.
pub(crate) async fn entity_root(tx: &mut ScopedTx, id: EntityId) -> Result<Option<EntityId>, sqlx::Error> {
    let account = tx.account();
    let root = sqlx::query_scalar!(
        r#"
        SELECT root.id FROM graph.entity e
        LEFT JOIN LATERAL (
            SELECT graph.entity_root($1, e.id) AS id WHERE e.merged_into IS NOT NULL OFFSET 0
        ) AS e_root ON true
        JOIN graph.entity root ON root.account = $1
            AND root.id = CASE WHEN e.merged_into IS NULL THEN e.id ELSE e_root.id END
        WHERE e.account = $1 AND e.id = $2 AND root.deleted_at IS NULL
        "#,
        account.0,
        id.0
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(root.map(Into::into))
}

/// As what an entity stands now, though it is deleted.
pub(crate) async fn entity_root_of(tx: &mut ScopedTx, id: EntityId) -> Result<EntityId, sqlx::Error> {
    let account = tx.account();
    let root = sqlx::query_scalar!("SELECT graph.entity_root($1, $2)", account.0, id.0)
        .fetch_one(tx.conn())
        .await?;
    Ok(root.map_or(id, Into::into))
}

/// An entity with all that were merged into it.
pub(crate) async fn entity_members(tx: &mut ScopedTx, root: EntityId) -> Result<Vec<Uuid>, sqlx::Error> {
    let account = tx.account();
    let members = sqlx::query_scalar!("SELECT graph.entity_members($1, $2)", account.0, root.0)
        .fetch_one(tx.conn())
        .await?;
    Ok(members.unwrap_or_default())
}

/// False: there is an entity of this id.
pub(crate) async fn entity_insert(tx: &mut ScopedTx, entity: &NewEntity<'_>) -> Result<bool, sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    let props = Value::Object(entity.content.props.clone());
    let done = sqlx::query!(
        r#"
        INSERT INTO graph.entity (account, id, type, title, props, version, starts_at, folded, asserted_by, source,
            raw_record, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8, $9, $10, $11, $11)
        ON CONFLICT DO NOTHING
        "#,
        account.0,
        entity.id.0,
        entity.kind,
        shown_title(entity.content),
        props,
        entity.content.starts_at,
        entity.folded,
        by_name(entity.asserter.by),
        entity.asserter.source,
        entity.raw.map(Uuid::from),
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn entity_update(
    tx: &mut ScopedTx,
    id: EntityId,
    content: &Content,
    version: i64,
    folded: bool,
) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    let props = Value::Object(content.props.clone());
    sqlx::query!(
        r#"
        UPDATE graph.entity
        SET title = $3, props = $4, starts_at = $5, version = $6, folded = $7, updated_at = greatest(updated_at, $8)
        WHERE account = $1 AND id = $2
        "#,
        account.0,
        id.0,
        shown_title(content),
        props,
        content.starts_at,
        version,
        folded,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Its content is the fold of claims from now on, and happens to be the same as before.
pub(crate) async fn entity_mark_folded(tx: &mut ScopedTx, id: EntityId) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        "UPDATE graph.entity SET folded = true WHERE account = $1 AND id = $2",
        account.0,
        id.0
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What an entity is part of, and how many are part of it.
pub(crate) async fn entity_merge(
    tx: &mut ScopedTx,
    absorbed: EntityId,
    survivor: EntityId,
) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        UPDATE graph.entity SET
            merged_into = CASE WHEN id = $2 THEN $3 ELSE merged_into END,
            absorbed = absorbed + CASE WHEN id = $3 THEN 1 ELSE 0 END,
            updated_at = greatest(updated_at, $4)
        WHERE account = $1 AND id IN ($2, $3)
        "#,
        account.0,
        absorbed.0,
        survivor.0,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes an entity out of the one that it was merged into.
pub(crate) async fn entity_unmerge(
    tx: &mut ScopedTx,
    absorbed: EntityId,
    survivor: EntityId,
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        r#"
        UPDATE graph.entity SET
            merged_into = CASE WHEN id = $2 THEN NULL ELSE merged_into END,
            absorbed = absorbed - CASE WHEN id = $3 THEN 1 ELSE 0 END
        WHERE account = $1 AND id IN ($2, $3)
        "#,
        account.0,
        absorbed.0,
        survivor.0
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Deletes an entity in somebody's name, or, by `None`, takes its deletion back.
pub(crate) async fn entity_delete(
    tx: &mut ScopedTx,
    id: EntityId,
    version: i64,
    by: Option<AssertedBy>,
) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        UPDATE graph.entity SET version = $3, deleted_by = $4, updated_at = greatest(updated_at, $5),
            deleted_at = CASE WHEN $4::text IS NULL THEN NULL ELSE $5::timestamptz END
        WHERE account = $1 AND id = $2
        "#,
        account.0,
        id.0,
        version,
        by.map(by_name),
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// An entity as it is shown.
pub(super) struct EntityRow {
    pub(super) id: Uuid,
    pub(super) kind: String,
    pub(super) title: Option<String>,
    pub(super) props: Value,
    pub(super) version: i64,
    pub(super) starts_at: Option<DateTime<Utc>>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

impl From<EntityRow> for Entity {
    fn from(row: EntityRow) -> Self {
        Self {
            id: row.id.into(),
            kind: row.kind,
            title: row.title,
            props: object(row.props),
            version: row.version,
            starts_at: row.starts_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

pub(crate) async fn entity_by_id(tx: &mut ScopedTx, id: EntityId) -> Result<Option<Entity>, sqlx::Error> {
    let account = tx.account();
    let row = sqlx::query_as!(
        EntityRow,
        r#"
        SELECT id, type AS kind, title, props, version, starts_at, created_at, updated_at
        FROM graph.entity WHERE account = $1 AND id = $2 AND deleted_at IS NULL AND merged_into IS NULL
        "#,
        account.0,
        id.0
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Into::into))
}

/// Entities of a type in the order in which they came, from after this moment and id on.
pub(crate) async fn entity_of_kind(
    tx: &mut ScopedTx,
    kind: &str,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Entity>, sqlx::Error> {
    let account = tx.account();
    let (after_at, after_id) = after.unwrap_or((DateTime::<Utc>::UNIX_EPOCH, Uuid::nil()));
    let rows = sqlx::query_as!(
        EntityRow,
        r#"
        SELECT id, type AS kind, title, props, version, starts_at, created_at, updated_at
        FROM graph.entity
        WHERE account = $1 AND type = $2 AND deleted_at IS NULL AND merged_into IS NULL
            AND (created_at, id) > ($3, $4)
        ORDER BY created_at, id LIMIT $5
        "#,
        account.0,
        kind,
        after_at,
        after_id,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}
