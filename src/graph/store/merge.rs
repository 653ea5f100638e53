//! `graph.merge_decision` and `graph.name_sound`.

use chrono::{DateTime, Utc};
use contracts::EntityId;
use spine::ScopedTx;
use spine::edge::DATABASE_TIME_MAX;
use uuid::Uuid;

/// What was decided of a pair.
#[derive(Debug)]
pub(crate) struct Decision<'a> {
    pub(crate) pair: (EntityId, EntityId),
    /// `suggested`, `merged` or `distinct`.
    pub(crate) standing: &'a str,
    /// For people.
    pub(crate) reason: &'a str,
    /// 0 to 1.
    pub(crate) score: f32,
    /// `hub`, or who asserted it.
    pub(crate) by: &'a str,
}

/// A decision with what its two entities are called now.
#[derive(Debug)]
pub(crate) struct DecisionRow {
    pub(crate) id: Uuid,
    pub(crate) first: Uuid,
    pub(crate) first_title: Option<String>,
    pub(crate) second: Uuid,
    pub(crate) second_title: Option<String>,
    pub(crate) kind: String,
    pub(crate) standing: String,
    pub(crate) reason: String,
    pub(crate) score: f32,
    pub(crate) decided_by: String,
    pub(crate) decided_at: DateTime<Utc>,
}

fn ordered((a, b): (EntityId, EntityId)) -> (Uuid, Uuid) {
    (a.0.min(b.0), a.0.max(b.0))
}

/// Writes a decision over whatever was decided of the pair before.
pub(crate) async fn decision_set(tx: &mut ScopedTx, decision: &Decision<'_>) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    let (first, second) = ordered(decision.pair);
    sqlx::query!(
        r#"
        INSERT INTO graph.merge_decision (account, id, first_entity, second_entity, standing, reason, score,
            decided_by, decided_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (account, first_entity, second_entity) DO UPDATE
        SET standing = excluded.standing, reason = excluded.reason, score = excluded.score,
            decided_by = excluded.decided_by, decided_at = excluded.decided_at
        "#,
        account.0,
        Uuid::now_v7(),
        first,
        second,
        decision.standing,
        decision.reason,
        decision.score,
        decision.by,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Asks about a pair, unless something was decided of it, or one of them is gone; the id of the new question.
pub(crate) async fn decision_suggest(
    tx: &mut ScopedTx,
    pair: (EntityId, EntityId),
    reason: &str,
    score: f32,
) -> Result<Option<Uuid>, sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    let (first, second) = ordered(pair);
    // Whoever erases one of them is waited for, and then there is nothing to ask about.
    sqlx::query_scalar!(
        r#"
        WITH there AS (
            SELECT id FROM graph.entity WHERE account = $1 AND id IN ($3, $4) ORDER BY id FOR KEY SHARE
        )
        INSERT INTO graph.merge_decision (account, id, first_entity, second_entity, standing, reason, score,
            decided_by, decided_at)
        SELECT $1, $2, $3, $4, 'suggested', $5, $6, 'hub', $7 WHERE (SELECT count(*) FROM there) = 2
        ON CONFLICT (account, first_entity, second_entity) DO NOTHING
        RETURNING id
        "#,
        account.0,
        Uuid::now_v7(),
        first,
        second,
        reason,
        score,
        now
    )
    .fetch_optional(tx.conn())
    .await
}

/// Two are not the same, as an export says; what was decided here stays, but an open question is answered by it.
pub(crate) async fn decision_apart(tx: &mut ScopedTx, pair: (EntityId, EntityId)) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    let (first, second) = ordered(pair);
    sqlx::query!(
        r#"
        INSERT INTO graph.merge_decision AS d (account, id, first_entity, second_entity, standing, reason, score,
            decided_by, decided_at)
        VALUES ($1, $2, $3, $4, 'distinct', 'the account that they came from said so', 0, 'connector', $5)
        ON CONFLICT (account, first_entity, second_entity) DO UPDATE
        SET standing = excluded.standing, reason = excluded.reason, score = excluded.score,
            decided_by = excluded.decided_by, decided_at = excluded.decided_at
        WHERE d.standing = 'suggested'
        "#,
        account.0,
        Uuid::now_v7(),
        first,
        second,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// How many open questions there are about any of these, counted up to a number.
pub(crate) async fn decision_open_count(
    tx: &mut ScopedTx,
    members: &[Uuid],
    up_to: i64,
) -> Result<i64, sqlx::Error> {
    let account = tx.account();
    sqlx::query_scalar!(
        r#"
        SELECT count(*) AS "count!" FROM (
            SELECT FROM graph.merge_decision
            WHERE account = $1 AND standing = 'suggested' AND (first_entity = ANY($2) OR second_entity = ANY($2))
            LIMIT $3
        ) open
        "#,
        account.0,
        members,
        up_to
    )
    .fetch_one(tx.conn())
    .await
}

/// Whether anybody of the one side was said to be distinct from anybody of the other.
pub(crate) async fn decision_distinct(
    tx: &mut ScopedTx,
    one: &[Uuid],
    other: &[Uuid],
) -> Result<bool, sqlx::Error> {
    let account = tx.account();
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM graph.merge_decision
            WHERE account = $1 AND standing = 'distinct'
                AND ((first_entity = ANY($2) AND second_entity = ANY($3))
                    OR (first_entity = ANY($3) AND second_entity = ANY($2)))
        ) AS "distinct!"
        "#,
        account.0,
        one,
        other
    )
    .fetch_one(tx.conn())
    .await
}

/// Changes what was decided between the two sides from one standing to another.
pub(crate) async fn decision_turn(
    tx: &mut ScopedTx,
    one: &[Uuid],
    other: &[Uuid],
    (from, to): (&str, &str),
) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        UPDATE graph.merge_decision SET standing = $5, decided_by = 'user', decided_at = $6
        WHERE account = $1 AND standing = $4
            AND ((first_entity = ANY($2) AND second_entity = ANY($3))
                OR (first_entity = ANY($3) AND second_entity = ANY($2)))
        "#,
        account.0,
        one,
        other,
        from,
        to,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The pair of a decision, and its standing.
pub(crate) async fn decision_by_id(
    tx: &mut ScopedTx,
    id: Uuid,
) -> Result<Option<(EntityId, EntityId)>, sqlx::Error> {
    let account = tx.account();
    let row = sqlx::query!(
        "SELECT first_entity, second_entity FROM graph.merge_decision WHERE account = $1 AND id = $2",
        account.0,
        id
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| (row.first_entity.into(), row.second_entity.into())))
}

/// Where a list of decisions goes on: after this score, moment and id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DecisionCursor {
    pub(crate) score: f32,
    pub(crate) at: DateTime<Utc>,
    pub(crate) id: Uuid,
}

/// Decisions of a standing: open questions by their score, the likeliest first, what was decided newest first. Questions
/// about what is one by now, or was deleted, are not asked any more.
pub(crate) async fn decision_list(
    tx: &mut ScopedTx,
    standing: &str,
    after: Option<DecisionCursor>,
    limit: i64,
) -> Result<Vec<DecisionRow>, sqlx::Error> {
    let account = tx.account();
    let begin = DecisionCursor {
        score: 2.0,
        at: DATABASE_TIME_MAX,
        id: Uuid::max(),
    };
    let after = after.unwrap_or(begin);
    sqlx::query_as!(
        DecisionRow,
        r#"
        SELECT d.id, a.id AS first, a.title AS first_title, b.id AS second, b.title AS second_title, a.type AS kind,
            d.standing, d.reason, d.score, d.decided_by, d.decided_at
        FROM graph.merge_decision d
        JOIN graph.entity a ON a.account = $1 AND a.id = d.first_entity
        JOIN graph.entity b ON b.account = $1 AND b.id = d.second_entity
        WHERE d.account = $1 AND d.standing = $2
            AND (CASE WHEN $2 = 'suggested' THEN d.score ELSE 0 END, d.decided_at, d.id)
                < (CASE WHEN $2 = 'suggested' THEN $3::real ELSE 0 END, $4, $5)
            AND ($2 <> 'suggested' OR (a.deleted_at IS NULL AND b.deleted_at IS NULL
                AND graph.entity_root($1, a.id) <> graph.entity_root($1, b.id)))
        ORDER BY CASE WHEN $2 = 'suggested' THEN d.score ELSE 0 END DESC, d.decided_at DESC, d.id DESC LIMIT $6
        "#,
        account.0,
        standing,
        after.score,
        after.at,
        after.id,
        limit
    )
    .fetch_all(tx.conn())
    .await
}

/// How an entity's name sounds; `None`: it has none. Nothing, if the entity is gone.
pub(crate) async fn name_sound_set(
    tx: &mut ScopedTx,
    entity: EntityId,
    sound: Option<&str>,
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    match sound {
        Some(sound) => {
            sqlx::query!(
                r#"
                INSERT INTO graph.name_sound (account, entity, sound)
                SELECT $1, there.id, $3 FROM (
                    SELECT id FROM graph.entity WHERE account = $1 AND id = $2 FOR KEY SHARE
                ) there
                ON CONFLICT (account, entity) DO UPDATE SET sound = excluded.sound
                "#,
                account.0,
                entity.0,
                sound
            )
            .execute(tx.conn())
            .await?
        }
        None => {
            sqlx::query!(
                "DELETE FROM graph.name_sound WHERE account = $1 AND entity = $2",
                account.0,
                entity.0
            )
            .execute(tx.conn())
            .await?
        }
    };
    Ok(())
}

/// Living entities of a type, not merged, whose names sound the same, the oldest 50.
pub(crate) async fn name_sound_alike(
    tx: &mut ScopedTx,
    kind: &str,
    entity: EntityId,
    sound: &str,
) -> Result<Vec<EntityId>, sqlx::Error> {
    let account = tx.account();
    let rows = sqlx::query_scalar!(
        r#"
        SELECT e.id FROM graph.name_sound s
        JOIN graph.entity e ON e.account = s.account AND e.id = s.entity
        WHERE s.account = $1 AND s.sound = $2 AND e.type = $3 AND e.id <> $4
            AND e.deleted_at IS NULL AND e.merged_into IS NULL
        ORDER BY e.created_at, e.id LIMIT 50
        "#,
        account.0,
        sound,
        kind,
        entity.0
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Living people, not merged, who have the same birthday, the oldest 50.
pub(crate) async fn born_with(
    tx: &mut ScopedTx,
    entity: EntityId,
    birthday: &str,
) -> Result<Vec<EntityId>, sqlx::Error> {
    let account = tx.account();
    let rows = sqlx::query_scalar!(
        r#"
        SELECT id FROM graph.entity
        WHERE account = $1 AND type = 'Person' AND props ? 'birthday' AND props ->> 'birthday' = $2 AND id <> $3
            AND deleted_at IS NULL AND merged_into IS NULL
        ORDER BY created_at, id LIMIT 50
        "#,
        account.0,
        birthday,
        entity.0
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Whether two entities are related to one that is the same, other than the owner, among a thousand relations each.
pub(crate) async fn have_neighbour_in_common(
    tx: &mut ScopedTx,
    one: &[Uuid],
    other: &[Uuid],
    me: Option<Uuid>,
) -> Result<bool, sqlx::Error> {
    let account = tx.account();
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM (
                (SELECT to_entity AS far FROM graph.relation
                    WHERE account = $1 AND from_entity = ANY($2) AND removed_at IS NULL LIMIT 1000)
                UNION (SELECT from_entity FROM graph.relation
                    WHERE account = $1 AND to_entity = ANY($2) AND removed_at IS NULL LIMIT 1000)
            ) a JOIN (
                (SELECT to_entity AS far FROM graph.relation
                    WHERE account = $1 AND from_entity = ANY($3) AND removed_at IS NULL LIMIT 1000)
                UNION (SELECT from_entity FROM graph.relation
                    WHERE account = $1 AND to_entity = ANY($3) AND removed_at IS NULL LIMIT 1000)
            ) b USING (far)
            WHERE far IS DISTINCT FROM $4
        ) AS "common!"
        "#,
        account.0,
        one,
        other,
        me
    )
    .fetch_one(tx.conn())
    .await
}
