//! Links: which task is part of which goal and depends on which task.

use contracts::events::intentions::GoalPart;
use contracts::{EntityId, Position};
use spine::{AccessError, ScopedTx};
use uuid::Uuid;

/// Notes that a link holds, or no longer does, as of a position of the log. False: a newer word is known, or the same.
pub(crate) async fn link_set(
    tx: &mut ScopedTx,
    from: EntityId,
    predicate: &str,
    to: EntityId,
    live: bool,
    position: Position,
) -> Result<bool, AccessError> {
    let account = tx.account();
    let changed = sqlx::query_scalar!(
        r#"
        WITH before AS (
            SELECT live FROM intentions.link
            WHERE account = $1 AND from_entity = $2 AND predicate = $3 AND to_entity = $4
        ), written AS (
            INSERT INTO intentions.link AS l (account, from_entity, predicate, to_entity, live, position)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (account, from_entity, predicate, to_entity) DO UPDATE
                SET live = excluded.live, position = excluded.position WHERE l.position < excluded.position
            RETURNING live
        )
        SELECT coalesce((SELECT live FROM before), false) <> (SELECT live FROM written) AS "changed"
        "#,
        account.0,
        from.0,
        predicate,
        to.0,
        live,
        position
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(changed.unwrap_or(false))
}

/// The goals that a task is part of.
pub(crate) async fn goal_list(tx: &mut ScopedTx, task: EntityId) -> Result<Vec<GoalPart>, AccessError> {
    let account = tx.account();
    let rows = sqlx::query!(
        r#"
        SELECT p.entity, p.title FROM intentions.link AS l
        JOIN intentions.plan AS p ON p.account = l.account AND p.entity = l.to_entity
        WHERE l.account = $1 AND l.from_entity = $2 AND l.predicate = 'part-of' AND l.live AND p.kind = 'Goal' AND NOT p.gone
        ORDER BY p.created_at, p.entity LIMIT 100
        "#,
        account.0,
        task.0
    )
    .fetch_all(tx.conn())
    .await?;
    let goal = |id, title| GoalPart {
        id: EntityId(id),
        title,
    };
    Ok(rows.into_iter().map(|row| goal(row.entity, row.title)).collect())
}

/// How many of a goal's tasks are done, of how many. Cancelled ones don't count.
pub(crate) async fn goal_count(tx: &mut ScopedTx, goal: EntityId) -> Result<(i64, i64), AccessError> {
    let account = tx.account();
    let row = sqlx::query!(
        r#"
        SELECT count(*) FILTER (WHERE p.status = 'completed') AS "done!", count(*) AS "total!" FROM intentions.link AS l
        JOIN intentions.plan AS p ON p.account = l.account AND p.entity = l.from_entity
        WHERE l.account = $1 AND l.to_entity = $2 AND l.predicate = 'part-of' AND l.live
            AND p.kind = 'Task' AND NOT p.gone AND p.status <> 'cancelled'
        "#,
        account.0,
        goal.0
    )
    .fetch_one(tx.conn())
    .await?;
    Ok((row.done, row.total))
}

/// The near end of a link, seen from a task.
#[derive(Debug)]
pub(crate) struct Linked {
    pub(crate) from: Uuid,
    pub(crate) to: Uuid,
    pub(crate) title: String,
    pub(crate) status: String,
}

/// What tasks depend on, and for each the title and status of what it waits for.
pub(crate) async fn dependency_list(tx: &mut ScopedTx, tasks: &[Uuid]) -> Result<Vec<Linked>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        Linked,
        r#"
        SELECT l.from_entity AS "from", l.to_entity AS "to", p.title, p.status FROM intentions.link AS l
        JOIN intentions.plan AS p ON p.account = l.account AND p.entity = l.to_entity
        WHERE l.account = $1 AND l.from_entity = ANY ($2) AND l.predicate = 'depends-on' AND l.live AND NOT p.gone
        ORDER BY l.from_entity, p.created_at, p.entity LIMIT 5000
        "#,
        account.0,
        tasks
    )
    .fetch_all(tx.conn())
    .await?)
}

/// The goals of tasks, as `(task, goal, title)`.
pub(crate) async fn part_list(tx: &mut ScopedTx, tasks: &[Uuid]) -> Result<Vec<Linked>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        Linked,
        r#"
        SELECT l.from_entity AS "from", l.to_entity AS "to", p.title, p.status FROM intentions.link AS l
        JOIN intentions.plan AS p ON p.account = l.account AND p.entity = l.to_entity
        WHERE l.account = $1 AND l.from_entity = ANY ($2) AND l.predicate = 'part-of' AND l.live AND NOT p.gone
            AND p.kind = 'Goal'
        ORDER BY l.from_entity, p.created_at, p.entity LIMIT 5000
        "#,
        account.0,
        tasks
    )
    .fetch_all(tx.conn())
    .await?)
}
