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
    pub(crate) scheme: String,
    pub(crate) value: String,
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
        LEFT JOIN LATERAL (
            SELECT graph.entity_root($1, e.id) AS id WHERE e.merged_into IS NOT NULL OFFSET 0
        ) AS e_root ON true
        JOIN graph.entity root ON root.account = b.account
            AND root.id = CASE WHEN e.merged_into IS NULL THEN e.id ELSE e_root.id END
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

/// What a source says that an entity bears.
#[derive(Debug)]
pub(crate) struct Bears<'a> {
    pub(crate) entity: EntityId,
    /// The one that shows it, with all that were merged into that.
    pub(crate) members: &'a [Uuid],
    pub(crate) identifiers: &'a [Uuid],
    /// The source says no others of it: those that it said before are over.
    pub(crate) is_all: bool,
}

/// Says that the entity bears these. Returns how many more or fewer `members` bear by that.
pub(crate) async fn identifier_link(
    tx: &mut ScopedTx,
    link: &Bears<'_>,
    asserter: &Asserter,
) -> Result<i64, sqlx::Error> {
    if link.identifiers.is_empty() {
        return Ok(0);
    }
    let (account, now) = (tx.account(), tx.now());
    sqlx::query_scalar!(
        r#"
        WITH before AS (
            SELECT identifier, entity, source FROM graph.entity_identifier
            WHERE account = $1 AND entity = ANY($7) AND valid_to IS NULL
        ), fresh AS (
            INSERT INTO graph.entity_identifier AS b
                (account, entity, identifier, asserted_by, source, confidence, recorded_at)
            SELECT DISTINCT $1::uuid, $2::uuid, said.id, $4::text, $5::text, 1::real, $6::timestamptz
            FROM unnest($3::uuid[]) AS said (id)
            ON CONFLICT (account, entity, identifier, source) DO UPDATE
                SET valid_to = NULL, recorded_at = excluded.recorded_at WHERE b.valid_to IS NOT NULL
            RETURNING identifier
        ), gone AS (
            UPDATE graph.entity_identifier SET valid_to = $6
            WHERE $8 AND account = $1 AND entity = $2 AND asserted_by = $4 AND source = $5 AND valid_to IS NULL
                AND identifier <> ALL($3)
            RETURNING identifier
        )
        SELECT (SELECT count(*) FROM fresh WHERE identifier NOT IN (SELECT identifier FROM before))
            + (SELECT count(*) FROM gone WHERE NOT EXISTS (SELECT FROM before
                WHERE before.identifier = gone.identifier AND (before.entity, before.source) <> ($2, $5))) AS "count!"
        "#,
        account.0,
        link.entity.0,
        link.identifiers,
        by_name(asserter.by),
        asserter.source,
        now,
        link.members,
        link.is_all
    )
    .fetch_one(tx.conn())
    .await
}

/// A source says of an entity only that it bears `kept`, if it said so. Returns how many fewer `members` bear by that.
pub(crate) async fn identifier_unlink(
    tx: &mut ScopedTx,
    (entity, members): (EntityId, &[Uuid]),
    kept: Uuid,
    asserter: &Asserter,
) -> Result<i64, sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query_scalar!(
        r#"
        WITH gone AS (
            UPDATE graph.entity_identifier SET valid_to = $6
            WHERE account = $1 AND entity = $2 AND asserted_by = $4 AND source = $5 AND valid_to IS NULL
                AND identifier <> $3
            RETURNING identifier
        )
        SELECT count(*) AS "count!" FROM gone WHERE NOT EXISTS (SELECT FROM graph.entity_identifier b
            WHERE b.account = $1 AND b.identifier = gone.identifier AND b.entity = ANY($7) AND b.valid_to IS NULL
                AND (b.entity, b.source) <> ($2, $5))
        "#,
        account.0,
        entity.0,
        kept,
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

/// An identifier that an entity was known by.
#[derive(Debug)]
pub(crate) struct PastIdentifier {
    pub(crate) scheme: String,
    pub(crate) value: String,
    pub(crate) asserted_by: String,
    pub(crate) source: String,
    pub(crate) recorded_at: DateTime<Utc>,
    /// Since when the source doesn't say so any more.
    pub(crate) gone_at: Option<DateTime<Utc>>,
}

/// What an entity (with all that were merged into it) was known by until a moment, newest first, at most 500. Of one that
/// came back, when it last came.
pub(crate) async fn identifier_list_at(
    tx: &mut ScopedTx,
    members: &[Uuid],
    at: DateTime<Utc>,
) -> Result<Vec<PastIdentifier>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_as!(
        PastIdentifier,
        r#"
        SELECT i.scheme, i.value, b.asserted_by, b.source, b.recorded_at,
            CASE WHEN b.valid_to <= $3 THEN b.valid_to END AS gone_at
        FROM graph.entity_identifier b
        JOIN graph.identifier i ON i.account = b.account AND i.id = b.identifier
        WHERE b.account = $1 AND b.entity = ANY($2) AND b.recorded_at <= $3
        ORDER BY b.recorded_at DESC, i.scheme, i.value, b.source LIMIT 500
        "#,
        account.0,
        members,
        at
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
        LEFT JOIN LATERAL (
            SELECT graph.entity_root($1, e.id) AS id WHERE e.merged_into IS NOT NULL OFFSET 0
        ) AS e_root ON true
        JOIN graph.entity root ON root.account = b.account AND root.deleted_at IS NULL
            AND root.id = CASE WHEN e.merged_into IS NULL THEN e.id ELSE e_root.id END
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

/// The person (before an organization) behind each of these addresses, and what they are to the owner, who bears
/// `allod`/`me`. Merged entities count as what they were merged into, at both ends. Nobody behind one: no row for it.
pub(crate) async fn party_list(
    tx: &mut ScopedTx,
    identifiers: &[Identifier],
) -> Result<Vec<PartyRow>, sqlx::Error> {
    if identifiers.is_empty() {
        return Ok(Vec::new());
    }
    let account = tx.account();
    let schemes: Vec<String> = identifiers.iter().map(|one| one.scheme.clone()).collect();
    let values: Vec<String> = identifiers.iter().map(|one| one.value.clone()).collect();
    sqlx::query_as!(
        PartyRow,
        r#"
        SELECT wanted.scheme AS "scheme!", wanted.value AS "value!", who.id AS "id!", who.title, ARRAY(
            SELECT DISTINCT r.predicate
            FROM graph.identifier mine
            JOIN graph.entity_identifier bears ON bears.account = mine.account AND bears.identifier = mine.id
            JOIN graph.entity me ON me.account = bears.account AND me.id = bears.entity
            JOIN graph.relation r ON r.account = me.account AND r.to_entity = ANY(who.members)
                AND r.from_entity = ANY(CASE WHEN me.merged_into IS NULL AND me.absorbed = 0 THEN ARRAY[me.id]
                    ELSE graph.entity_members($1, graph.entity_root($1, me.id)) END)
            WHERE mine.account = $1 AND mine.scheme = 'allod' AND mine.value = 'me'
                AND r.removed_at IS NULL AND r.valid_to IS NULL
            ORDER BY r.predicate
        ) AS "relations!"
        FROM unnest($2::text[], $3::text[]) AS wanted (scheme, value)
        CROSS JOIN LATERAL (
            SELECT root.id, root.title,
                CASE WHEN root.absorbed = 0 THEN ARRAY[root.id] ELSE graph.entity_members($1, root.id) END AS members
            FROM graph.identifier i
            JOIN graph.entity_identifier b ON b.account = i.account AND b.identifier = i.id
            JOIN graph.entity e ON e.account = b.account AND e.id = b.entity
            LEFT JOIN LATERAL (
                SELECT graph.entity_root($1, e.id) AS id WHERE e.merged_into IS NOT NULL OFFSET 0
            ) AS e_root ON true
            JOIN graph.entity root ON root.account = b.account AND root.deleted_at IS NULL
                AND root.id = CASE WHEN e.merged_into IS NULL THEN e.id ELSE e_root.id END
            WHERE i.account = $1 AND i.scheme = wanted.scheme AND i.value = wanted.value AND b.valid_to IS NULL
                AND e.type IN ('Person', 'Organization')
            ORDER BY e.type <> 'Person', b.asserted_by <> 'user', root.created_at, root.id LIMIT 1
        ) AS who
        "#,
        account.0,
        &schemes,
        &values
    )
    .fetch_all(tx.conn())
    .await
}
