//! `graph.identifier` and `graph.entity_identifier`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contracts::EntityId;
use spine::ScopedTx;
use spine::ports::Identifier;
use uuid::Uuid;

use crate::model::{Asserter, by_name};

/// An identifier of an entity, with who says so.
#[derive(Debug)]
pub(crate) struct IdentifierRow {
    pub(crate) scheme: String,
    pub(crate) value: String,
    pub(crate) asserted_by: String,
    pub(crate) source: String,
    pub(crate) recorded_at: DateTime<Utc>,
}

/// Somebody behind an address.
#[derive(Debug)]
pub(crate) struct PartyRow {
    pub(crate) id: Uuid,
    pub(crate) title: Option<String>,
    pub(crate) relations: Vec<String>,
}

/// Makes the rows that are missing and holds all of them for this transaction; of each, whether this call made it.
/// `keys` are sorted and without doubles.
pub(crate) async fn identifier_lock(
    tx: &mut ScopedTx,
    keys: &[(String, String)],
) -> Result<BTreeMap<(String, String), (Uuid, bool)>, sqlx::Error> {
    let account = tx.account();
    let ids: Vec<Uuid> = keys.iter().map(|_| Uuid::now_v7()).collect();
    let (schemes, values): (Vec<String>, Vec<String>) = keys.iter().cloned().unzip();
    // One statement mostly: what another transaction made meanwhile is in neither part, and is read by a second.
    let rows = sqlx::query!(
        r#"
        WITH fresh AS (
            INSERT INTO graph.identifier (account, id, scheme, value)
            SELECT $1, fresh.id, fresh.scheme, fresh.value
            FROM unnest($2::uuid[], $3::text[], $4::text[]) WITH ORDINALITY AS fresh (id, scheme, value, ord)
            ORDER BY fresh.ord
            ON CONFLICT (account, scheme, value) DO NOTHING
            RETURNING id, scheme, value
        ), held AS (
            SELECT i.id, i.scheme, i.value
            FROM unnest($3::text[], $4::text[]) AS wanted (scheme, value)
            JOIN graph.identifier i ON i.account = $1 AND i.scheme = wanted.scheme AND i.value = wanted.value
            ORDER BY i.scheme COLLATE "C", i.value COLLATE "C"
            FOR NO KEY UPDATE OF i
        )
        SELECT id AS "id!", scheme AS "scheme!", value AS "value!", true AS "made!" FROM fresh
        UNION ALL SELECT id, scheme, value, false FROM held
        "#,
        account.0,
        &ids,
        &schemes,
        &values
    )
    .fetch_all(tx.conn())
    .await?;
    let mut found: BTreeMap<(String, String), (Uuid, bool)> = rows
        .into_iter()
        .map(|row| ((row.scheme, row.value), (row.id, row.made)))
        .collect();
    if found.len() < keys.len() {
        let rows = sqlx::query!(
            r#"
            SELECT i.id, i.scheme, i.value
            FROM unnest($2::text[], $3::text[]) AS wanted (scheme, value)
            JOIN graph.identifier i ON i.account = $1 AND i.scheme = wanted.scheme AND i.value = wanted.value
            ORDER BY i.scheme COLLATE "C", i.value COLLATE "C"
            FOR NO KEY UPDATE OF i
            "#,
            account.0,
            &schemes,
            &values
        )
        .fetch_all(tx.conn())
        .await?;
        found.extend(
            rows.into_iter()
                .map(|row| ((row.scheme, row.value), (row.id, false))),
        );
    }
    Ok(found)
}

/// The row of an identifier, held; `None`: nobody ever bore it.
pub(crate) async fn identifier_find(
    tx: &mut ScopedTx,
    (scheme, value): &(String, String),
) -> Result<Option<Uuid>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_scalar!(
        "SELECT id FROM graph.identifier WHERE account = $1 AND scheme = $2 AND value = $3 FOR NO KEY UPDATE",
        account.0,
        scheme,
        value
    )
    .fetch_optional(tx.conn())
    .await
}

/// Somebody who bears an identifier.
#[derive(Debug, Clone)]
pub(crate) struct Bearer {
    /// Who bears it.
    pub(crate) entity: EntityId,
    /// What that was merged into; itself if it wasn't.
    pub(crate) root: EntityId,
    /// The identifier.
    pub(crate) identifier: Uuid,
    /// Whether the root is deleted.
    pub(crate) deleted: bool,
}

/// Who of a type bears any of these: by the first of them, the living before the deleted, by the user's word before
/// others', the oldest; at most 50.
pub(crate) async fn bearer_list(
    tx: &mut ScopedTx,
    kind: &str,
    identifiers: &[Uuid],
) -> Result<Vec<Bearer>, sqlx::Error> {
    let account = tx.account();
    let rows = sqlx::query!(
        r#"
        SELECT e.id, root.id AS root, b.identifier, root.deleted_at IS NOT NULL AS "deleted!"
        FROM graph.entity_identifier b
        JOIN graph.entity e ON e.account = b.account AND e.id = b.entity
        JOIN graph.entity root ON root.account = b.account
            AND root.id = CASE WHEN e.merged_into IS NULL THEN e.id ELSE graph.entity_root($1, e.id) END
        WHERE b.account = $1 AND b.identifier = ANY($2) AND b.valid_to IS NULL AND e.type = $3
        ORDER BY array_position($2, b.identifier), root.deleted_at IS NOT NULL, b.asserted_by <> 'user', e.created_at, e.id
        LIMIT 50
        "#,
        account.0,
        identifiers,
        kind
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Bearer {
            entity: row.id.into(),
            root: row.root.into(),
            identifier: row.identifier,
            deleted: row.deleted,
        })
        .collect())
}

/// Says that the entity bears these. Returns how many of them nobody had said of any of `members`: of the one that
/// shows it, with all that were merged into that.
pub(crate) async fn identifier_link(
    tx: &mut ScopedTx,
    entity: EntityId,
    members: &[Uuid],
    identifiers: &[Uuid],
    asserter: &Asserter,
) -> Result<i64, sqlx::Error> {
    if identifiers.is_empty() {
        return Ok(0);
    }
    let (account, now) = (tx.account(), tx.now());
    sqlx::query_scalar!(
        r#"
        WITH before AS (
            SELECT identifier FROM graph.entity_identifier WHERE account = $1 AND entity = ANY($7)
        ), fresh AS (
            INSERT INTO graph.entity_identifier (account, entity, identifier, asserted_by, source, confidence, recorded_at)
            SELECT DISTINCT $1::uuid, $2::uuid, said.id, $4::text, $5::text, 1::real, $6::timestamptz
            FROM unnest($3::uuid[]) AS said (id)
            ON CONFLICT DO NOTHING
            RETURNING identifier
        )
        SELECT count(*) AS "count!" FROM fresh WHERE identifier NOT IN (SELECT identifier FROM before)
        "#,
        account.0,
        entity.0,
        identifiers,
        by_name(asserter.by),
        asserter.source,
        now,
        members
    )
    .fetch_one(tx.conn())
    .await
}

/// What an entity (with all that were merged into it) bears, with who says so, at most 500.
pub(crate) async fn identifier_list(
    tx: &mut ScopedTx,
    members: &[Uuid],
) -> Result<Vec<IdentifierRow>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_as!(
        IdentifierRow,
        r#"
        SELECT i.scheme, i.value, b.asserted_by, b.source, b.recorded_at
        FROM graph.entity_identifier b
        JOIN graph.identifier i ON i.account = b.account AND i.id = b.identifier
        WHERE b.account = $1 AND b.entity = ANY($2) AND b.valid_to IS NULL
        ORDER BY i.scheme, i.value, b.recorded_at, b.source LIMIT 500
        "#,
        account.0,
        members
    )
    .fetch_all(tx.conn())
    .await
}

/// Who bears an identifier, though it was merged.
pub(crate) async fn entity_by_identifier(
    tx: &mut ScopedTx,
    kind: &str,
    identifier: &Identifier,
) -> Result<Option<EntityId>, sqlx::Error> {
    let account = tx.account();
    let id = sqlx::query_scalar!(
        r#"
        SELECT root.id
        FROM graph.identifier i
        JOIN graph.entity_identifier b ON b.account = i.account AND b.identifier = i.id
        JOIN graph.entity e ON e.account = b.account AND e.id = b.entity
        JOIN graph.entity root ON root.account = b.account AND root.deleted_at IS NULL
            AND root.id = CASE WHEN e.merged_into IS NULL THEN e.id ELSE graph.entity_root($1, e.id) END
        WHERE i.account = $1 AND i.scheme = $2 AND i.value = $3 AND b.valid_to IS NULL AND e.type = $4
        ORDER BY b.asserted_by <> 'user', root.created_at, root.id LIMIT 1
        "#,
        account.0,
        identifier.scheme,
        identifier.value,
        kind
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(id.map(Into::into))
}

/// The person (before an organization) behind an address, and what they are to the owner, who bears `allod`/`me`.
/// Merged entities count as what they were merged into, at both ends.
pub(crate) async fn party_by_identifier(
    tx: &mut ScopedTx,
    identifier: &Identifier,
) -> Result<Option<PartyRow>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_as!(
        PartyRow,
        r#"
        SELECT root.id, root.title, ARRAY(
            SELECT DISTINCT r.predicate
            FROM graph.identifier mine
            JOIN graph.entity_identifier me ON me.account = mine.account AND me.identifier = mine.id
            JOIN graph.relation r ON r.account = me.account
                AND r.from_entity = ANY(graph.entity_members($1, graph.entity_root($1, me.entity)))
                AND r.to_entity = ANY(graph.entity_members($1, root.id))
            WHERE mine.account = $1 AND mine.scheme = 'allod' AND mine.value = 'me'
                AND r.removed_at IS NULL AND r.valid_to IS NULL
            ORDER BY r.predicate
        ) AS "relations!"
        FROM graph.identifier i
        JOIN graph.entity_identifier b ON b.account = i.account AND b.identifier = i.id
        JOIN graph.entity e ON e.account = b.account AND e.id = b.entity
        JOIN graph.entity root ON root.account = b.account AND root.deleted_at IS NULL
            AND root.id = CASE WHEN e.merged_into IS NULL THEN e.id ELSE graph.entity_root($1, e.id) END
        WHERE i.account = $1 AND i.scheme = $2 AND i.value = $3 AND b.valid_to IS NULL
            AND e.type IN ('Person', 'Organization')
        ORDER BY e.type <> 'Person', b.asserted_by <> 'user', root.created_at, root.id LIMIT 1
        "#,
        account.0,
        identifier.scheme,
        identifier.value
    )
    .fetch_optional(tx.conn())
    .await
}
