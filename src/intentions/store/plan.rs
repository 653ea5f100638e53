//! Plans: one row a task or goal.

use chrono::{DateTime, Utc};
use contracts::EntityId;
use spine::{AccessError, ScopedTx};
use uuid::Uuid;

/// A task or goal as it was last planned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) entity: Uuid,
    pub(crate) kind: String,
    pub(crate) version: i64,
    pub(crate) gone: bool,
    pub(crate) title: String,
    pub(crate) status: String,
    pub(crate) priority: i32,
    pub(crate) percent: Option<i32>,
    pub(crate) due: Option<String>,
    pub(crate) due_at: Option<DateTime<Utc>>,
    pub(crate) overdue_at: Option<DateTime<Utc>>,
    pub(crate) starts_at: Option<DateTime<Utc>>,
    pub(crate) completed_at: Option<DateTime<Utc>>,
    pub(crate) recurrence: Option<String>,
    pub(crate) progress: f64,
    pub(crate) progress_by_hand: bool,
    pub(crate) problem: Option<String>,
    /// In which local times were read.
    pub(crate) zone: String,
    pub(crate) created_at: DateTime<Utc>,
}

/// Lets one transaction at a time plan for the account: whoever counts a goal's tasks counts all that were committed.
/// Taken before any row of the graph is locked, so that nobody waits in a ring.
pub(crate) async fn account_lock(tx: &mut ScopedTx) -> Result<(), AccessError> {
    let account = tx.account().to_string();
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('intentions/' || $1, 0))",
        account
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The plan of an entity, also of one that is gone.
pub(crate) async fn plan_by_id(tx: &mut ScopedTx, id: EntityId) -> Result<Option<Plan>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        Plan,
        r#"
        SELECT entity, kind, version, gone, title, status, priority, percent, due, due_at, overdue_at, starts_at,
            completed_at, recurrence, progress, progress_by_hand, problem, zone, created_at
        FROM intentions.plan WHERE account = $1 AND entity = $2
        "#,
        account.0,
        id.0
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// Writes a plan; the progress of a goal that is there already stays.
pub(crate) async fn plan_upsert(tx: &mut ScopedTx, plan: &Plan) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        r#"
        INSERT INTO intentions.plan (account, entity, kind, version, title, status, priority, percent, due, due_at,
            overdue_at, starts_at, completed_at, recurrence, problem, created_at, zone)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
        ON CONFLICT (account, entity) DO UPDATE SET kind = excluded.kind, version = excluded.version, gone = false,
            title = excluded.title, status = excluded.status, priority = excluded.priority, percent = excluded.percent,
            due = excluded.due, due_at = excluded.due_at, overdue_at = excluded.overdue_at,
            starts_at = excluded.starts_at, completed_at = excluded.completed_at, recurrence = excluded.recurrence,
            problem = excluded.problem, zone = excluded.zone
        "#,
        account.0,
        plan.entity,
        plan.kind,
        plan.version,
        plan.title,
        plan.status,
        plan.priority,
        plan.percent,
        plan.due,
        plan.due_at,
        plan.overdue_at,
        plan.starts_at,
        plan.completed_at,
        plan.recurrence,
        plan.problem,
        plan.created_at,
        plan.zone
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes that the entity was deleted. What was told of it stays told, should it come back.
pub(crate) async fn plan_gone(tx: &mut ScopedTx, id: EntityId) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        r#"
        WITH untold AS (DELETE FROM intentions.moment WHERE account = $1 AND entity = $2 AND told_at IS NULL)
        UPDATE intentions.plan SET gone = true WHERE account = $1 AND entity = $2
        "#,
        account.0,
        id.0
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Removes everything that speaks of these entities.
pub(crate) async fn plan_erase(tx: &mut ScopedTx, ids: &[Uuid]) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        "DELETE FROM intentions.moment WHERE account = $1 AND entity = ANY ($2)",
        account.0,
        ids
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        r#"
        WITH completions AS (DELETE FROM intentions.completion WHERE account = $1 AND entity = ANY ($2)),
            links AS (
                DELETE FROM intentions.link
                WHERE account = $1 AND (from_entity = ANY ($2) OR to_entity = ANY ($2))
            )
        DELETE FROM intentions.plan WHERE account = $1 AND entity = ANY ($2)
        "#,
        account.0,
        ids
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Keeps a goal's progress.
pub(crate) async fn plan_progress(
    tx: &mut ScopedTx,
    goal: EntityId,
    progress: f64,
    by_hand: bool,
) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        "UPDATE intentions.plan SET progress = $3, progress_by_hand = $4 WHERE account = $1 AND entity = $2",
        account.0,
        goal.0,
        progress,
        by_hand
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Open tasks and goals that were read in another zone, at most 1,000.
pub(crate) async fn plan_elsewhere_list(tx: &mut ScopedTx, zone: &str) -> Result<Vec<EntityId>, AccessError> {
    let account = tx.account();
    let found = sqlx::query_scalar!(
        r#"
        SELECT entity FROM intentions.plan
        WHERE account = $1 AND NOT gone AND zone <> $2 AND status IN ('needs-action', 'in-process')
        ORDER BY entity LIMIT 1000
        "#,
        account.0,
        zone
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(found.into_iter().map(EntityId).collect())
}

/// Which plans to list.
#[derive(Debug, Default)]
pub(crate) struct PlanFilter<'a> {
    pub(crate) kind: &'a str,
    /// Any of these.
    pub(crate) statuses: Vec<String>,
    pub(crate) due_before: Option<DateTime<Utc>>,
    /// Parts of this goal only.
    pub(crate) goal: Option<EntityId>,
    /// A part of the title, in any case.
    pub(crate) name: Option<&'a str>,
    /// After this due moment (none: at the end) and id.
    pub(crate) after: Option<(Option<DateTime<Utc>>, Uuid)>,
    pub(crate) limit: i64,
}

/// Plans by their due moment, those without one last.
pub(crate) async fn plan_list(tx: &mut ScopedTx, filter: &PlanFilter<'_>) -> Result<Vec<Plan>, AccessError> {
    let account = tx.account();
    let (after_due, after_id) = match filter.after {
        Some((due, id)) => (due, Some(id)),
        None => (None, None),
    };
    Ok(sqlx::query_as!(
        Plan,
        r#"
        SELECT entity, kind, version, gone, title, status, priority, percent, due, due_at, overdue_at, starts_at,
            completed_at, recurrence, progress, progress_by_hand, problem, zone, created_at
        FROM intentions.plan AS p
        WHERE account = $1 AND kind = $2 AND NOT gone AND status = ANY ($3)
            AND ($4::timestamptz IS NULL OR coalesce(due_at, 'infinity') < $4)
            AND ($5::uuid IS NULL OR EXISTS (
                SELECT FROM intentions.link AS l
                WHERE l.account = $1 AND l.from_root = p.entity AND l.predicate = 'part-of' AND l.to_root = $5 AND l.live
            ))
            AND ($7::uuid IS NULL OR (coalesce(due_at, 'infinity'), entity) > (coalesce($6, 'infinity'::timestamptz), $7))
            AND ($9::text IS NULL OR position(lower($9) IN lower(title)) > 0)
        ORDER BY coalesce(due_at, 'infinity'), entity LIMIT $8
        "#,
        account.0,
        filter.kind,
        &filter.statuses,
        filter.due_before,
        filter.goal.map(|goal| goal.0),
        after_due,
        after_id,
        filter.limit,
        filter.name
    )
    .fetch_all(tx.conn())
    .await?)
}
