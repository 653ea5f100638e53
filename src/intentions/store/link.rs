//! Links: which task is part of which goal and depends on which task.

use contracts::events::intentions::GoalPart;
use contracts::{EntityId, Position};
use spine::{AccessError, ScopedTx};
use uuid::Uuid;

/// A link as a source says it, with what its ends are now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link<'a> {
    pub(crate) from: EntityId,
    pub(crate) predicate: &'a str,
    pub(crate) to: EntityId,
    pub(crate) from_root: EntityId,
    pub(crate) to_root: EntityId,
    pub(crate) live: bool,
    /// As of which position of the log.
    pub(crate) position: Position,
}

/// Notes that a link holds, or no longer does. False: a newer word is known, or the same.
pub(crate) async fn link_set(tx: &mut ScopedTx, link: Link<'_>) -> Result<bool, AccessError> {
    let account = tx.account();
    let changed = sqlx::query_scalar!(
        r#"
        WITH before AS (
            SELECT live FROM intentions.link
            WHERE account = $1 AND from_entity = $2 AND predicate = $3 AND to_entity = $4
        ), written AS (
            INSERT INTO intentions.link AS l (account, from_entity, predicate, to_entity, live, position, from_root, to_root)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (account, from_entity, predicate, to_entity) DO UPDATE
                SET live = excluded.live, position = excluded.position WHERE l.position < excluded.position
            RETURNING live
        )
        SELECT coalesce((SELECT live FROM before), false) <> (SELECT live FROM written) AS "changed"
        "#,
        account.0,
        link.from.0,
        link.predicate,
        link.to.0,
        link.live,
        link.position,
        link.from_root.0,
        link.to_root.0
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(changed.unwrap_or(false))
}

/// A link that was taken away is taken away whichever of the entities that are one now it was said of. True: one was.
pub(crate) async fn link_drop(tx: &mut ScopedTx, link: Link<'_>) -> Result<bool, AccessError> {
    let account = tx.account();
    let done = sqlx::query!(
        r#"
        UPDATE intentions.link SET live = false, position = $5
        WHERE account = $1 AND from_root = $2 AND predicate = $3 AND to_root = $4 AND live AND position < $5
        "#,
        account.0,
        link.from_root.0,
        link.predicate,
        link.to_root.0,
        link.position
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Entities that are ends of links and are, or were, one with any of these.
pub(crate) async fn end_list(tx: &mut ScopedTx, around: &[Uuid]) -> Result<Vec<EntityId>, AccessError> {
    let account = tx.account();
    let found = sqlx::query_scalar!(
        r#"
        SELECT from_entity AS "end!" FROM intentions.link
        WHERE account = $1 AND (from_root = ANY ($2) OR from_entity = ANY ($2))
        UNION
        SELECT to_entity FROM intentions.link WHERE account = $1 AND (to_root = ANY ($2) OR to_entity = ANY ($2))
        "#,
        account.0,
        around
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(found.into_iter().map(EntityId).collect())
}

/// Links with this end count as links of another entity from now on, or as its own again.
pub(crate) async fn end_root(tx: &mut ScopedTx, end: EntityId, root: EntityId) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        r#"
        UPDATE intentions.link SET
            from_root = CASE WHEN from_entity = $2 THEN $3 ELSE from_root END,
            to_root = CASE WHEN to_entity = $2 THEN $3 ELSE to_root END
        WHERE account = $1 AND (from_entity = $2 OR to_entity = $2)
        "#,
        account.0,
        end.0,
        root.0
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The goals that a task or goal is part of.
pub(crate) async fn goal_list(tx: &mut ScopedTx, task: EntityId) -> Result<Vec<GoalPart>, AccessError> {
    let account = tx.account();
    let rows = sqlx::query!(
        r#"
        SELECT DISTINCT p.entity, p.title, p.created_at FROM intentions.link AS l
        JOIN intentions.plan AS p ON p.account = l.account AND p.entity = l.to_root
        WHERE l.account = $1 AND l.from_root = $2 AND l.to_root <> $2 AND l.predicate = 'part-of' AND l.live
            AND p.kind = 'Goal' AND NOT p.gone
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
        SELECT count(DISTINCT p.entity) FILTER (WHERE p.status = 'completed') AS "done!",
            count(DISTINCT p.entity) AS "total!"
        FROM intentions.link AS l
        JOIN intentions.plan AS p ON p.account = l.account AND p.entity = l.from_root
        WHERE l.account = $1 AND l.to_root = $2 AND l.predicate = 'part-of' AND l.live
            AND p.kind = 'Task' AND NOT p.gone AND p.status <> 'cancelled'
        "#,
        account.0,
        goal.0
    )
    .fetch_one(tx.conn())
    .await?;
    Ok((row.done, row.total))
}

/// How far the goals are that are part of a goal, each 0 to 1. Cancelled ones don't count; what is completed is all the
/// way.
pub(crate) async fn part_progress(tx: &mut ScopedTx, goal: EntityId) -> Result<Vec<f64>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_scalar!(
        r#"
        SELECT CASE WHEN p.status = 'completed' THEN 1 ELSE p.progress END AS "progress!"
        FROM intentions.plan AS p
        WHERE p.account = $1 AND p.kind = 'Goal' AND NOT p.gone AND p.status <> 'cancelled' AND p.entity <> $2
            AND p.entity IN (SELECT l.from_root FROM intentions.link AS l
                WHERE l.account = $1 AND l.to_root = $2 AND l.predicate = 'part-of' AND l.live)
        ORDER BY p.entity LIMIT 1000
        "#,
        account.0,
        goal.0
    )
    .fetch_all(tx.conn())
    .await?)
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
        SELECT DISTINCT l.from_root AS "from", l.to_root AS "to", p.title, p.status
        FROM intentions.link AS l
        JOIN intentions.plan AS p ON p.account = l.account AND p.entity = l.to_root
        WHERE l.account = $1 AND l.from_root <> l.to_root AND l.from_root = ANY ($2) AND l.predicate = 'depends-on' AND l.live AND NOT p.gone
        ORDER BY l.from_root, p.title, l.to_root LIMIT 5000
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
        SELECT DISTINCT l.from_root AS "from", l.to_root AS "to", p.title, p.status
        FROM intentions.link AS l
        JOIN intentions.plan AS p ON p.account = l.account AND p.entity = l.to_root
        WHERE l.account = $1 AND l.from_root <> l.to_root AND l.from_root = ANY ($2) AND l.predicate = 'part-of' AND l.live AND NOT p.gone
            AND p.kind = 'Goal'
        ORDER BY l.from_root, p.title, l.to_root LIMIT 5000
        "#,
        account.0,
        tasks
    )
    .fetch_all(tx.conn())
    .await?)
}
