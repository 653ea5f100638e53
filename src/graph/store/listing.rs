//! Lists of `graph.entity` for people, newest first.

use chrono::{DateTime, Utc};
use contracts::EntityId;
use serde_json::Value;
use spine::ScopedTx;
use spine::edge::DATABASE_TIME_MAX;
use spine::ports::Entity;
use uuid::Uuid;

use super::entity::object;

/// Which entities to list.
#[derive(Debug, Default)]
pub(crate) struct EntityFilter<'a> {
    pub(crate) kind: Option<&'a str>,
    /// The row of an identifier that they bear.
    pub(crate) identifier: Option<(&'a str, &'a str)>,
    /// A part of their title, in any case.
    pub(crate) name: Option<&'a str>,
    /// Those that were deleted instead of those that are there.
    pub(crate) deleted: bool,
    /// Only those before this moment and id: when they came, of the deleted ones when that was.
    pub(crate) before: Option<(DateTime<Utc>, Uuid)>,
    pub(crate) limit: i64,
}

/// An entity in a list.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) entity: Entity,
    pub(crate) deleted_at: Option<DateTime<Utc>>,
    /// In whose name.
    pub(crate) deleted_by: Option<String>,
}

struct ListedRow {
    id: Uuid,
    kind: String,
    title: Option<String>,
    props: Value,
    version: i64,
    starts_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
    deleted_by: Option<String>,
}

impl From<ListedRow> for Listed {
    fn from(row: ListedRow) -> Self {
        Self {
            entity: Entity {
                id: row.id.into(),
                kind: row.kind,
                title: row.title,
                props: object(row.props),
                version: row.version,
                starts_at: row.starts_at,
                created_at: row.created_at,
                updated_at: row.updated_at,
            },
            deleted_at: row.deleted_at,
            deleted_by: row.deleted_by,
        }
    }
}

/// Newest first. Each combination that has an index has a statement of its own.
pub(crate) async fn entity_list(
    tx: &mut ScopedTx,
    filter: &EntityFilter<'_>,
) -> Result<Vec<Listed>, sqlx::Error> {
    let rows = match (filter.identifier, filter.deleted, filter.kind) {
        (Some((scheme, value)), _, _) => bearers(tx, filter, scheme, value).await?,
        (None, true, _) => deleted(tx, filter).await?,
        (None, false, Some(kind)) => of_kind(tx, filter, kind).await?,
        (None, false, None) => all(tx, filter).await?,
    };
    Ok(rows.into_iter().map(Into::into).collect())
}

impl EntityFilter<'_> {
    fn begin(&self) -> (DateTime<Utc>, Uuid) {
        let (at, id) = self.before.unwrap_or((DATABASE_TIME_MAX, Uuid::max()));
        (at.min(DATABASE_TIME_MAX), id)
    }
}

async fn bearers(
    tx: &mut ScopedTx,
    filter: &EntityFilter<'_>,
    scheme: &str,
    value: &str,
) -> Result<Vec<ListedRow>, sqlx::Error> {
    let (account, (at, id)) = (tx.account(), filter.begin());
    sqlx::query_as!(
        ListedRow,
        r#"
        SELECT e.id, e.type AS kind, e.title, e.props, e.version, e.starts_at, e.created_at, e.updated_at, e.deleted_at,
            e.deleted_by
        FROM graph.entity e
        WHERE e.account = $1 AND (e.deleted_at IS NOT NULL) = $8 AND ($4::text IS NULL OR e.type = $4)
            AND ($9::text IS NULL OR position(lower($9) IN lower(e.title)) > 0)
            AND (coalesce(e.deleted_at, e.created_at), e.id) < ($5, $6)
            AND e.id IN (
                SELECT CASE WHEN borne.merged_into IS NULL THEN borne.id ELSE borne_root.id END
                FROM graph.identifier i
                JOIN graph.entity_identifier b ON b.account = i.account AND b.identifier = i.id AND b.valid_to IS NULL
                JOIN graph.entity borne ON borne.account = b.account AND borne.id = b.entity
                LEFT JOIN LATERAL (
                    SELECT graph.entity_root($1, borne.id) AS id WHERE borne.merged_into IS NOT NULL OFFSET 0
                ) AS borne_root ON true
                WHERE i.account = $1 AND i.scheme = $2 AND i.value = $3
            )
        ORDER BY coalesce(e.deleted_at, e.created_at) DESC, e.id DESC LIMIT $7
        "#,
        account.0,
        scheme,
        value,
        filter.kind,
        at,
        id,
        filter.limit,
        filter.deleted,
        filter.name
    )
    .fetch_all(tx.conn())
    .await
}

async fn deleted(tx: &mut ScopedTx, filter: &EntityFilter<'_>) -> Result<Vec<ListedRow>, sqlx::Error> {
    let (account, (at, id)) = (tx.account(), filter.begin());
    sqlx::query_as!(
        ListedRow,
        r#"
        SELECT id, type AS kind, title, props, version, starts_at, created_at, updated_at, deleted_at, deleted_by
        FROM graph.entity e
        WHERE account = $1 AND deleted_at IS NOT NULL AND merged_into IS NULL AND ($2::text IS NULL OR type = $2)
            AND ($3::text IS NULL OR position(lower($3) IN lower(title)) > 0) AND (deleted_at, id) < ($4, $5)
            AND NOT EXISTS (SELECT FROM graph.erasure o WHERE o.account = $1 AND o.entity = e.id)
        ORDER BY deleted_at DESC, id DESC LIMIT $6
        "#,
        account.0,
        filter.kind,
        filter.name,
        at,
        id,
        filter.limit
    )
    .fetch_all(tx.conn())
    .await
}

async fn of_kind(
    tx: &mut ScopedTx,
    filter: &EntityFilter<'_>,
    kind: &str,
) -> Result<Vec<ListedRow>, sqlx::Error> {
    let (account, (at, id)) = (tx.account(), filter.begin());
    sqlx::query_as!(
        ListedRow,
        r#"
        SELECT id, type AS kind, title, props, version, starts_at, created_at, updated_at, deleted_at, deleted_by
        FROM graph.entity
        WHERE account = $1 AND type = $2 AND deleted_at IS NULL AND merged_into IS NULL
            AND ($3::text IS NULL OR position(lower($3) IN lower(title)) > 0) AND (created_at, id) < ($4, $5)
        ORDER BY created_at DESC, id DESC LIMIT $6
        "#,
        account.0,
        kind,
        filter.name,
        at,
        id,
        filter.limit
    )
    .fetch_all(tx.conn())
    .await
}

async fn all(tx: &mut ScopedTx, filter: &EntityFilter<'_>) -> Result<Vec<ListedRow>, sqlx::Error> {
    let (account, (at, id)) = (tx.account(), filter.begin());
    sqlx::query_as!(
        ListedRow,
        r#"
        SELECT id, type AS kind, title, props, version, starts_at, created_at, updated_at, deleted_at, deleted_by
        FROM graph.entity
        WHERE account = $1 AND deleted_at IS NULL AND merged_into IS NULL
            AND ($2::text IS NULL OR position(lower($2) IN lower(title)) > 0) AND (created_at, id) < ($3, $4)
        ORDER BY created_at DESC, id DESC LIMIT $5
        "#,
        account.0,
        filter.name,
        at,
        id,
        filter.limit
    )
    .fetch_all(tx.conn())
    .await
}

/// An entity that was deleted, with when and in whose name; also by the id of one that was merged into it.
pub(crate) async fn entity_deleted(tx: &mut ScopedTx, id: EntityId) -> Result<Option<Listed>, sqlx::Error> {
    let account = tx.account();
    let row = sqlx::query_as!(
        ListedRow,
        r#"
        SELECT id, type AS kind, title, props, version, starts_at, created_at, updated_at, deleted_at, deleted_by
        FROM graph.entity WHERE account = $1 AND id = graph.entity_root($1, $2) AND deleted_at IS NOT NULL
        "#,
        account.0,
        id.0
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Into::into))
}
