//! `graph.timeline`: written with the items, read by time.

use chrono::{DateTime, Utc};
use contracts::EntityId;
use spine::ScopedTx;
use spine::ports::{Entity, Identifier};
use uuid::Uuid;

use super::entity::EntityRow;

/// Which stretch of time to read, newest first.
#[derive(Debug)]
pub(crate) struct Stretch<'a> {
    pub(crate) kind: Option<&'a str>,
    pub(crate) since: DateTime<Utc>,
    /// Only what lies before this moment and id.
    pub(crate) before: (DateTime<Utc>, Uuid),
    pub(crate) limit: i64,
}

/// Makes the rows of identifiers that are missing. They are not held, so that calls to one number don't wait for each
/// other, and made in an order that is the same for everybody.
async fn identifiers_ensure(
    tx: &mut ScopedTx,
    schemes: &[String],
    values: &[String],
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    let ids: Vec<Uuid> = schemes.iter().map(|_| Uuid::now_v7()).collect();
    sqlx::query!(
        r#"
        INSERT INTO graph.identifier (account, id, scheme, value)
        SELECT DISTINCT ON (fresh.scheme, fresh.value) $1, fresh.id, fresh.scheme, fresh.value
        FROM unnest($2::uuid[], $3::text[], $4::text[]) AS fresh (id, scheme, value)
        ORDER BY fresh.scheme, fresh.value
        ON CONFLICT (account, scheme, value) DO NOTHING
        "#,
        account.0,
        &ids,
        schemes,
        values
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Puts an item on the timelines of the addresses that it names.
pub(crate) async fn timeline_participants_add(
    tx: &mut ScopedTx,
    item: EntityId,
    kind: &str,
    at: DateTime<Utc>,
    participants: &[(&'static str, Identifier)],
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    let schemes: Vec<String> = participants.iter().map(|(_, one)| one.scheme.clone()).collect();
    let values: Vec<String> = participants.iter().map(|(_, one)| one.value.clone()).collect();
    let roles: Vec<String> = participants.iter().map(|(role, _)| (*role).to_owned()).collect();
    // Most addresses were seen before: they are made only where the first try finds fewer than it looked for.
    for last in [false, true] {
        let found = sqlx::query_scalar!(
            r#"
            WITH named AS (
                SELECT i.id, named.role
                FROM unnest($5::text[], $6::text[], $7::text[]) AS named (role, scheme, value)
                JOIN graph.identifier i ON i.account = $1 AND i.scheme = named.scheme AND i.value = named.value
            ), written AS (
                INSERT INTO graph.timeline (account, item, about, role, kind, at)
                SELECT $1, $2, named.id, named.role, $3, $4 FROM named
                ON CONFLICT (account, item, about, role) DO UPDATE SET at = excluded.at
            )
            SELECT count(*) AS "count!" FROM named
            "#,
            account.0,
            item.0,
            kind,
            at,
            &roles,
            &schemes,
            &values
        )
        .fetch_one(tx.conn())
        .await?;
        if last || usize::try_from(found).is_ok_and(|found| found == participants.len()) {
            break;
        }
        identifiers_ensure(tx, &schemes, &values).await?;
    }
    Ok(())
}

/// Takes an item off the timelines of all addresses.
pub(crate) async fn timeline_participants_remove(
    tx: &mut ScopedTx,
    item: EntityId,
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        r#"
        DELETE FROM graph.timeline t WHERE account = $1 AND item = $2
            AND EXISTS (SELECT FROM graph.identifier i WHERE i.account = $1 AND i.id = t.about)
        "#,
        account.0,
        item.0
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes items off all timelines.
pub(crate) async fn timeline_remove(tx: &mut ScopedTx, items: &[Uuid]) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        "DELETE FROM graph.timeline WHERE account = $1 AND item = ANY($2)",
        account.0,
        items
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Puts an item on the timelines of all that it, or what was merged into it, is related to.
pub(crate) async fn timeline_relations_add(
    tx: &mut ScopedTx,
    item: EntityId,
    members: &[Uuid],
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        r#"
        INSERT INTO graph.timeline (account, item, about, role, kind, at)
        SELECT $1, item.id, ends.about, ends.predicate, item.type, item.starts_at
        FROM (
            SELECT to_entity AS about, predicate FROM graph.relation
                WHERE account = $1 AND from_entity = ANY($3) AND removed_at IS NULL
            UNION SELECT from_entity, predicate FROM graph.relation
                WHERE account = $1 AND to_entity = ANY($3) AND removed_at IS NULL
        ) ends
        JOIN graph.entity item ON item.account = $1 AND item.id = $2 AND item.starts_at IS NOT NULL
        WHERE ends.about <> ALL($3)
        ON CONFLICT (account, item, about, role) DO NOTHING
        "#,
        account.0,
        item.0,
        members
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Living or not, the roots of what stands about an entity, other than itself: for erasing them.
pub(crate) async fn timeline_items(
    tx: &mut ScopedTx,
    abouts: &[Uuid],
    members: &[Uuid],
    limit: i64,
) -> Result<Vec<EntityId>, sqlx::Error> {
    let account = tx.account();
    let rows = sqlx::query_scalar!(
        r#"
        SELECT DISTINCT CASE WHEN item.merged_into IS NULL THEN item.id ELSE graph.entity_root($1, item.id) END AS "id!"
        FROM graph.timeline t JOIN graph.entity item ON item.account = $1 AND item.id = t.item
        WHERE t.account = $1 AND t.about = ANY($2) AND t.item <> ALL($3) LIMIT $4
        "#,
        account.0,
        abouts,
        members,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// An item happened at another time than was thought.
pub(crate) async fn timeline_move(
    tx: &mut ScopedTx,
    item: EntityId,
    at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        "UPDATE graph.timeline SET at = $3 WHERE account = $1 AND item = $2 AND at <> $3",
        account.0,
        item.0,
        at
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Puts whichever end of a relation has a time on the timeline of the other.
pub(crate) async fn timeline_relate(
    tx: &mut ScopedTx,
    from: EntityId,
    predicate: &str,
    to: EntityId,
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        r#"
        INSERT INTO graph.timeline (account, item, about, role, kind, at)
        SELECT $1, item.id, ends.about, $4, item.type, item.starts_at
        FROM (VALUES ($2::uuid, $3::uuid), ($3::uuid, $2::uuid)) AS ends (item, about)
        JOIN graph.entity named ON named.account = $1 AND named.id = ends.item
        JOIN graph.entity item ON item.account = $1 AND item.starts_at IS NOT NULL
            AND item.id = CASE WHEN named.merged_into IS NULL THEN named.id ELSE graph.entity_root($1, named.id) END
        ON CONFLICT (account, item, about, role) DO NOTHING
        "#,
        account.0,
        from.0,
        to.0,
        predicate
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes a relation's item off the timeline again.
pub(crate) async fn timeline_unrelate(
    tx: &mut ScopedTx,
    one: &[Uuid],
    predicate: &str,
    other: &[Uuid],
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        r#"
        DELETE FROM graph.timeline WHERE account = $1 AND role = $3
            AND ((item = ANY($2) AND about = ANY($4)) OR (item = ANY($4) AND about = ANY($2)))
        "#,
        account.0,
        one,
        predicate,
        other
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Under which ids items stand about an entity: those of its members, and of the addresses that they bear.
pub(crate) async fn timeline_abouts(tx: &mut ScopedTx, members: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_scalar!(
        r#"
        SELECT DISTINCT about AS "about!" FROM (
            SELECT unnest($2::uuid[]) AS about
            UNION ALL
            SELECT identifier FROM graph.entity_identifier
                WHERE account = $1 AND entity = ANY($2) AND valid_to IS NULL
        ) abouts LIMIT 1000
        "#,
        account.0,
        members
    )
    .fetch_all(tx.conn())
    .await
}

/// What happened around something, newest first.
pub(crate) async fn timeline_about(
    tx: &mut ScopedTx,
    abouts: &[Uuid],
    stretch: &Stretch<'_>,
) -> Result<Vec<Entity>, sqlx::Error> {
    let account = tx.account();
    let rows = sqlx::query_as!(
        EntityRow,
        r#"
        SELECT DISTINCT ON (found.at, e.id) e.id AS "id!", e.type AS "kind!", e.title, e.props AS "props!",
            e.version AS "version!", found.at AS starts_at, e.created_at AS "created_at!", e.updated_at AS "updated_at!"
        FROM unnest($2::uuid[]) AS one (about)
        CROSS JOIN LATERAL (
            SELECT DISTINCT ON (t.at, t.item) t.at, t.item
            FROM graph.timeline t
            JOIN graph.entity item ON item.account = $1 AND item.id = t.item
                AND item.deleted_at IS NULL AND item.merged_into IS NULL
            WHERE t.account = $1 AND t.about = one.about AND ($3::text IS NULL OR t.kind = $3)
                AND (t.at, t.item) < ($4, $5) AND t.at >= $6
            ORDER BY t.at DESC, t.item DESC LIMIT $7
        ) found
        JOIN graph.entity e ON e.account = $1 AND e.id = found.item
        ORDER BY found.at DESC, e.id DESC LIMIT $7
        "#,
        account.0,
        abouts,
        stretch.kind,
        stretch.before.0,
        stretch.before.1,
        stretch.since,
        stretch.limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Everything that happened, newest first. With and without a type, each has its own statement and index.
pub(crate) async fn timeline_all(
    tx: &mut ScopedTx,
    stretch: &Stretch<'_>,
) -> Result<Vec<Entity>, sqlx::Error> {
    let account = tx.account();
    let rows = if let Some(kind) = stretch.kind {
        sqlx::query_as!(
            EntityRow,
            r#"
            SELECT id, type AS kind, title, props, version, starts_at, created_at, updated_at
            FROM graph.entity
            WHERE account = $1 AND type = $2 AND starts_at IS NOT NULL AND deleted_at IS NULL
                AND merged_into IS NULL AND (starts_at, id) < ($3, $4) AND starts_at >= $5
            ORDER BY starts_at DESC, id DESC LIMIT $6
            "#,
            account.0,
            kind,
            stretch.before.0,
            stretch.before.1,
            stretch.since,
            stretch.limit
        )
        .fetch_all(tx.conn())
        .await?
    } else {
        sqlx::query_as!(
            EntityRow,
            r#"
            SELECT id, type AS kind, title, props, version, starts_at, created_at, updated_at
            FROM graph.entity
            WHERE account = $1 AND starts_at IS NOT NULL AND deleted_at IS NULL AND merged_into IS NULL
                AND (starts_at, id) < ($2, $3) AND starts_at >= $4
            ORDER BY starts_at DESC, id DESC LIMIT $5
            "#,
            account.0,
            stretch.before.0,
            stretch.before.1,
            stretch.since,
            stretch.limit
        )
        .fetch_all(tx.conn())
        .await?
    };
    Ok(rows.into_iter().map(Into::into).collect())
}
