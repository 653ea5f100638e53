//! `graph.entity` and `graph.entity_type`.

use chrono::{DateTime, Utc};
use contracts::{EntityId, RawRecordId};
use serde_json::{Map, Value};
use spine::ScopedTx;
use spine::ports::Entity;
use uuid::Uuid;

use crate::model::{Asserter, Content, by_from_name, by_name, shown_title};

/// An entity as it is stored, to be changed.
#[derive(Debug)]
pub(crate) struct StoredEntity {
    pub(crate) kind: String,
    pub(crate) content: Content,
    pub(crate) version: i64,
    /// Whether its content is the fold of claims.
    pub(crate) folded: bool,
    /// Who brought it into the graph; the only source while it isn't folded.
    pub(crate) asserter: Asserter,
    pub(crate) raw: Option<RawRecordId>,
    pub(crate) updated_at: DateTime<Utc>,
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

/// Which entities to list, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct EntityFilter<'a> {
    pub(crate) kind: Option<&'a str>,
    /// The row of an identifier that they bear.
    pub(crate) identifier: Option<(&'a str, &'a str)>,
    /// Only those that came after this moment and id.
    pub(crate) after: Option<(DateTime<Utc>, Uuid)>,
    pub(crate) limit: i64,
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

/// The entity, held for this transaction alone; `None` if it isn't there or was deleted.
pub(crate) async fn entity_lock(
    tx: &mut ScopedTx,
    id: EntityId,
) -> Result<Option<StoredEntity>, sqlx::Error> {
    let account = tx.account();
    let row = sqlx::query!(
        r#"
        SELECT type, title, props, version, starts_at, folded, asserted_by, source, raw_record, updated_at
        FROM graph.entity WHERE account = $1 AND id = $2 AND deleted_at IS NULL
        FOR NO KEY UPDATE
        "#,
        account.0,
        id.0
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| {
        let props = object(row.props);
        // The column holds the title that is shown; one that only repeats the name was not asserted.
        let title = row
            .title
            .filter(|title| props.get("name").and_then(Value::as_str) != Some(title));
        StoredEntity {
            kind: row.r#type,
            content: Content {
                title,
                props,
                starts_at: row.starts_at,
            },
            version: row.version,
            folded: row.folded,
            asserter: Asserter {
                by: by_from_name(&row.asserted_by),
                source: row.source,
            },
            raw: row.raw_record.map(Into::into),
            updated_at: row.updated_at,
        }
    }))
}

/// Holds the entity without reading it. False: it isn't there.
pub(crate) async fn entity_hold(tx: &mut ScopedTx, id: EntityId) -> Result<bool, sqlx::Error> {
    let account = tx.account();
    let row = sqlx::query_scalar!(
        "SELECT id FROM graph.entity WHERE account = $1 AND id = $2 AND deleted_at IS NULL FOR NO KEY UPDATE",
        account.0,
        id.0
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.is_some())
}

pub(crate) async fn entity_exists(tx: &mut ScopedTx, id: EntityId) -> Result<bool, sqlx::Error> {
    let account = tx.account();
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM graph.entity WHERE account = $1 AND id = $2 AND deleted_at IS NULL) AS "there!""#,
        account.0,
        id.0
    )
    .fetch_one(tx.conn())
    .await
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

struct EntityRow {
    id: Uuid,
    kind: String,
    title: Option<String>,
    props: Value,
    version: i64,
    starts_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
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
        FROM graph.entity WHERE account = $1 AND id = $2 AND deleted_at IS NULL
        "#,
        account.0,
        id.0
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Into::into))
}

/// Oldest first. Each combination has a statement of its own, so that each has its index.
pub(crate) async fn entity_list(
    tx: &mut ScopedTx,
    filter: &EntityFilter<'_>,
) -> Result<Vec<Entity>, sqlx::Error> {
    let account = tx.account();
    let (after_at, after_id) = filter.after.unwrap_or((DateTime::<Utc>::MIN_UTC, Uuid::nil()));
    let after_at = after_at.max(DateTime::<Utc>::UNIX_EPOCH);
    let rows = if let Some((scheme, value)) = filter.identifier {
        sqlx::query_as!(
            EntityRow,
            r#"
            SELECT DISTINCT e.created_at, e.id, e.type AS kind, e.title, e.props, e.version, e.starts_at, e.updated_at
            FROM graph.identifier i
            JOIN graph.entity_identifier b ON b.account = i.account AND b.identifier = i.id AND b.valid_to IS NULL
            JOIN graph.entity e ON e.account = b.account AND e.id = b.entity AND e.deleted_at IS NULL
            WHERE i.account = $1 AND i.scheme = $2 AND i.value = $3 AND ($4::text IS NULL OR e.type = $4)
                AND (e.created_at, e.id) > ($5, $6)
            ORDER BY e.created_at, e.id LIMIT $7
            "#,
            account.0,
            scheme,
            value,
            filter.kind,
            after_at,
            after_id,
            filter.limit
        )
        .fetch_all(tx.conn())
        .await?
    } else if let Some(kind) = filter.kind {
        sqlx::query_as!(
            EntityRow,
            r#"
            SELECT id, type AS kind, title, props, version, starts_at, created_at, updated_at
            FROM graph.entity
            WHERE account = $1 AND type = $2 AND deleted_at IS NULL AND (created_at, id) > ($3, $4)
            ORDER BY created_at, id LIMIT $5
            "#,
            account.0,
            kind,
            after_at,
            after_id,
            filter.limit
        )
        .fetch_all(tx.conn())
        .await?
    } else {
        sqlx::query_as!(
            EntityRow,
            r#"
            SELECT id, type AS kind, title, props, version, starts_at, created_at, updated_at
            FROM graph.entity
            WHERE account = $1 AND deleted_at IS NULL AND (created_at, id) > ($2, $3)
            ORDER BY created_at, id LIMIT $4
            "#,
            account.0,
            after_at,
            after_id,
            filter.limit
        )
        .fetch_all(tx.conn())
        .await?
    };
    Ok(rows.into_iter().map(Into::into).collect())
}
