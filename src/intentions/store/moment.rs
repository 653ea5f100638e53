//! Moments: when to speak of a task, and whether it was done.

use chrono::{DateTime, Utc};
use contracts::EntityId;
use spine::{AccessError, ScopedTx};
use uuid::Uuid;

use crate::model::plan::{Moment, MomentKind};

/// The moments of a task as they are planned now. What was told stays told; what is no longer planned and was not told
/// is forgotten.
pub(crate) async fn moment_replace(
    tx: &mut ScopedTx,
    entity: EntityId,
    moments: &[Moment],
) -> Result<(), AccessError> {
    let account = tx.account();
    let kinds: Vec<String> = moments
        .iter()
        .map(|moment| moment.kind.as_str().to_owned())
        .collect();
    let occasions: Vec<String> = moments.iter().map(|moment| moment.occasion.clone()).collect();
    let times: Vec<DateTime<Utc>> = moments.iter().map(|moment| moment.at).collect();
    let said: Vec<Option<String>> = moments.iter().map(|moment| moment.said.clone()).collect();
    sqlx::query!(
        r#"
        DELETE FROM intentions.moment AS m WHERE account = $1 AND entity = $2 AND told_at IS NULL AND NOT EXISTS (
            SELECT FROM unnest($3::text[], $4::text[]) AS n (kind, occasion)
            WHERE n.kind = m.kind AND n.occasion = m.occasion
        )
        "#,
        account.0,
        entity.0,
        &kinds,
        &occasions
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        r#"
        INSERT INTO intentions.moment AS m (account, entity, kind, occasion, at, said)
        SELECT $1, $2, n.kind, n.occasion, n.at, n.said
        FROM unnest($3::text[], $4::text[], $5::timestamptz[], $6::text[]) AS n (kind, occasion, at, said)
        ON CONFLICT (account, entity, kind, occasion) DO UPDATE SET at = excluded.at WHERE m.told_at IS NULL
        "#,
        account.0,
        entity.0,
        &kinds,
        &occasions,
        &times,
        &said as &[Option<String>]
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes the moments of a task that have come and marks them as told, oldest first. Another transaction that is telling
/// of them keeps them.
pub(crate) async fn moment_take_due(tx: &mut ScopedTx, entity: EntityId) -> Result<Vec<Moment>, AccessError> {
    let (account, now) = (tx.account(), tx.now());
    let rows = sqlx::query!(
        r#"
        WITH due AS (
            SELECT kind, occasion FROM intentions.moment
            WHERE account = $1 AND entity = $2 AND told_at IS NULL AND at <= $3
            ORDER BY at, kind LIMIT 100 FOR UPDATE SKIP LOCKED
        ), told AS (
            UPDATE intentions.moment AS m SET told_at = $3 FROM due
            WHERE m.account = $1 AND m.entity = $2 AND m.kind = due.kind AND m.occasion = due.occasion AND m.told_at IS NULL
            RETURNING m.kind, m.occasion, m.at, m.said
        )
        SELECT kind AS "kind!", occasion AS "occasion!", at AS "at!", said FROM told ORDER BY at, kind
        "#,
        account.0,
        entity.0,
        now
    )
    .fetch_all(tx.conn())
    .await?;
    let moment = |kind: String, occasion, at, said| Moment {
        kind: MomentKind::from_name(&kind),
        occasion,
        at,
        said,
    };
    let moments = rows
        .into_iter()
        .map(|row| moment(row.kind, row.occasion, row.at, row.said));
    Ok(moments.collect())
}

/// Tasks of the account with a moment that has come, those that wait longest first, at most 500.
pub(crate) async fn moment_due_entities(tx: &mut ScopedTx) -> Result<Vec<EntityId>, AccessError> {
    let (account, now) = (tx.account(), tx.now());
    let found = sqlx::query_scalar!(
        r#"
        SELECT entity FROM intentions.moment WHERE account = $1 AND told_at IS NULL AND at <= $2
        GROUP BY entity ORDER BY min(at), entity LIMIT 500
        "#,
        account.0,
        now
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(found.into_iter().map(EntityId).collect())
}

/// The earliest moment that nobody was told of, in any account.
pub(crate) async fn moment_next(tx: &mut ScopedTx) -> Result<Option<DateTime<Utc>>, AccessError> {
    Ok(sqlx::query_scalar!("SELECT intentions.next_moment()")
        .fetch_one(tx.conn())
        .await?)
}

/// Something planned.
#[derive(Debug)]
pub(crate) struct Upcoming {
    pub(crate) kind: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) id: Uuid,
    pub(crate) title: String,
    /// Of what is due: when, as it was said.
    pub(crate) due: Option<String>,
    /// Of a reminder: as it was said.
    pub(crate) said: Option<String>,
}

/// Which planned moments to list.
#[derive(Debug)]
pub(crate) struct UpcomingFilter {
    /// Any of these.
    pub(crate) kinds: Vec<String>,
    pub(crate) until: DateTime<Utc>,
    /// After this moment, kind and id.
    pub(crate) after: Option<(DateTime<Utc>, String, Uuid)>,
    pub(crate) limit: i64,
}

/// What is planned until a moment, earliest first: of tasks, and each schedule's next. The kinds of one moment come in
/// the order of [`MomentKind`].
pub(crate) async fn moment_upcoming(
    tx: &mut ScopedTx,
    filter: &UpcomingFilter,
) -> Result<Vec<Upcoming>, AccessError> {
    let account = tx.account();
    let order: Vec<String> = MomentKind::ALL.map(|kind| kind.as_str().to_owned()).to_vec();
    let (at, kind, id) = match filter.after.clone() {
        Some((at, kind, id)) => (Some(at), Some(kind), Some(id)),
        None => (None, None, None),
    };
    Ok(sqlx::query_as!(
        Upcoming,
        r#"
        SELECT kind AS "kind!", at AS "at!", id AS "id!", title AS "title!", due, said FROM (
            SELECT m.kind, m.at, m.entity AS id, p.title, m.said,
                CASE WHEN m.kind = 'due' THEN m.occasion END AS due
            FROM intentions.moment AS m
            JOIN intentions.plan AS p ON p.account = m.account AND p.entity = m.entity
            WHERE m.account = $1 AND m.told_at IS NULL AND m.at <= $2
            UNION ALL
            SELECT 'schedule', s.next_at, s.id, s.name, NULL, NULL FROM intentions.schedule AS s
            WHERE s.account = $1 AND s.next_at <= $2
        ) AS planned
        WHERE kind = ANY ($4) AND ($5::timestamptz IS NULL
            OR (at, array_position($8::text[], kind), id) > ($5, array_position($8::text[], $6::text), $7::uuid))
        ORDER BY at, array_position($8::text[], kind), id LIMIT $3
        "#,
        account.0,
        filter.until,
        filter.limit,
        &filter.kinds,
        at,
        kind,
        id,
        &order
    )
    .fetch_all(tx.conn())
    .await?)
}
