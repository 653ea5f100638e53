//! `graph.erasure`, and what an erasure takes besides the entity itself.

use contracts::EntityId;
use spine::ScopedTx;
use uuid::Uuid;

/// An entity is being erased from now on, by a job.
pub(crate) async fn erasure_order(tx: &mut ScopedTx, entity: EntityId, job: Uuid) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        INSERT INTO graph.erasure (account, entity, job, ordered_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (account, entity) DO UPDATE SET job = excluded.job
        "#,
        account.0,
        entity.0,
        job,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The job that erases an entity, or what it was merged into; none: nobody ordered that.
pub(crate) async fn erasure_job(tx: &mut ScopedTx, id: EntityId) -> Result<Option<Uuid>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_scalar!(
        "SELECT job FROM graph.erasure WHERE account = $1 AND entity = graph.entity_root($1, $2)",
        account.0,
        id.0
    )
    .fetch_optional(tx.conn())
    .await
}

/// Entities that are occurrences of these series: they bear the series' UID with a RECURRENCE-ID.
pub(crate) async fn occurrence_list(
    tx: &mut ScopedTx,
    members: &[Uuid],
    limit: i64,
) -> Result<Vec<EntityId>, sqlx::Error> {
    let account = tx.account();
    let found = sqlx::query_scalar!(
        r#"
        WITH series AS (
            SELECT i.value AS uid FROM graph.entity_identifier b
            JOIN graph.identifier i ON i.account = $1 AND i.id = b.identifier AND i.scheme = 'ical.uid'
            WHERE b.account = $1 AND b.entity = ANY($2)
            UNION SELECT 'urn:uuid:' || id FROM unnest($2::uuid[]) AS own (id)
        )
        SELECT DISTINCT b.entity AS "entity!" FROM series
        JOIN graph.identifier i ON i.account = $1 AND i.scheme = 'ical.uid' AND starts_with(i.value, series.uid || '#')
        JOIN graph.entity_identifier b ON b.account = $1 AND b.identifier = i.id
        WHERE b.entity <> ALL($2) ORDER BY 1 LIMIT $3
        "#,
        account.0,
        members,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(found.into_iter().map(EntityId).collect())
}

/// Takes contacts out of the lists of groups that name their cards.
pub(crate) async fn erase_memberships(tx: &mut ScopedTx, members: &[Uuid]) -> Result<(), sqlx::Error> {
    let account = tx.account();
    // Groups name cards with and without the scheme of the id.
    let named = sqlx::query_scalar!(
        r#"
        WITH card AS (
            SELECT regexp_replace(i.value, '^urn:uuid:', '', 'i') AS uid FROM graph.entity_identifier b
            JOIN graph.identifier i ON i.account = $1 AND i.id = b.identifier AND i.scheme = 'vcard.uid'
            WHERE b.account = $1 AND b.entity = ANY($2)
            UNION SELECT id::text FROM unnest($2::uuid[]) AS own (id)
        )
        SELECT uid AS "uid!" FROM card UNION ALL SELECT 'urn:uuid:' || uid FROM card
        "#,
        account.0,
        members
    )
    .fetch_all(tx.conn())
    .await?;
    sqlx::query!(
        r#"
        UPDATE graph.claim c SET props = jsonb_set(c.props, '{members}', coalesce((
            SELECT jsonb_agg(member ORDER BY nth)
            FROM jsonb_array_elements(c.props -> 'members') WITH ORDINALITY AS said (member, nth)
            WHERE member #>> '{}' <> ALL($2)
        ), '[]'))
        FROM graph.entity e
        WHERE e.account = $1 AND e.type = 'Group' AND c.account = $1 AND c.entity = e.id AND c.props -> 'members' ?| $2
        "#,
        account.0,
        &named
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        r#"
        UPDATE graph.entity SET props = jsonb_set(props, '{members}', coalesce((
            SELECT jsonb_agg(member ORDER BY nth)
            FROM jsonb_array_elements(props -> 'members') WITH ORDINALITY AS said (member, nth)
            WHERE member #>> '{}' <> ALL($2)
        ), '[]'))
        WHERE account = $1 AND type = 'Group' AND props -> 'members' ?| $2
        "#,
        account.0,
        &named
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
