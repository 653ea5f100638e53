//! Walking `graph.relation` from entity to entity.

use spine::ScopedTx;
use uuid::Uuid;

/// One step of a walk.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Which of the given entities it begins at, counted from 0.
    pub(crate) start: usize,
    /// Where it leads; what was merged is given as itself, so that the order of ids stays the index's.
    pub(crate) far: Uuid,
    /// That is related to one of those that were asked about.
    pub(crate) is_near: bool,
}

/// A neighbour with how it is called and by what it is related.
#[derive(Debug)]
pub(crate) struct NeighbourRow {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) title: Option<String>,
    pub(crate) outgoing: Vec<String>,
    pub(crate) incoming: Vec<String>,
}

/// Where the relations of each of some entities lead, in order of ids, at most `limit` in all, and whether that is
/// related to any of `members`. The first of them is walked after `after` only.
///
/// Indexes that hold all that is asked give the steps in their order, so that no start is looked at whose steps the
/// limit leaves out, and no relation itself is read.
pub(crate) async fn step_list(
    tx: &mut ScopedTx,
    starts: &[Uuid],
    after: Uuid,
    limit: usize,
    members: &[Uuid],
) -> Result<Vec<Step>, sqlx::Error> {
    let account = tx.account();
    let rows = sqlx::query!(
        r#"
        SELECT step.nth AS "nth!", step.far AS "far!",
            -- By what follows `far` among all that a member is related to: that is found in the member's part of an index
            -- alone, while equality would let the planner read all that `far` is related to.
            EXISTS (
                SELECT FROM unnest($5::uuid[]) AS member (id)
                CROSS JOIN LATERAL (
                    (SELECT r.to_entity AS near FROM graph.relation r
                        WHERE r.account = $1 AND r.from_entity = member.id AND r.to_entity >= step.far
                            AND r.removed_at IS NULL
                        ORDER BY r.to_entity LIMIT 1)
                    UNION ALL
                    (SELECT r.from_entity FROM graph.relation r
                        WHERE r.account = $1 AND r.to_entity = member.id AND r.from_entity >= step.far
                            AND r.removed_at IS NULL
                        ORDER BY r.from_entity LIMIT 1)
                ) next
                WHERE next.near = step.far
            ) AS "is_near!"
        FROM (
            SELECT one.nth, found.far
            FROM unnest($2::uuid[]) WITH ORDINALITY AS one (id, nth)
            CROSS JOIN LATERAL (
                SELECT e.absorbed FROM graph.entity e WHERE e.account = $1 AND e.id = one.id OFFSET 0
            ) e
            CROSS JOIN LATERAL (
                SELECT DISTINCT ways.far
                FROM unnest(CASE WHEN e.absorbed = 0 THEN ARRAY[one.id] ELSE graph.entity_members($1, one.id) END)
                    AS member (id)
                CROSS JOIN LATERAL (
                    (SELECT DISTINCT r.to_entity AS far FROM graph.relation r
                        WHERE r.account = $1 AND r.from_entity = member.id AND r.removed_at IS NULL
                            AND r.to_entity > CASE WHEN one.nth = 1 THEN $3::uuid
                                ELSE '00000000-0000-0000-0000-000000000000'::uuid END
                        ORDER BY r.to_entity LIMIT $4)
                    UNION ALL
                    (SELECT DISTINCT r.from_entity FROM graph.relation r
                        WHERE r.account = $1 AND r.to_entity = member.id AND r.removed_at IS NULL
                            AND r.from_entity > CASE WHEN one.nth = 1 THEN $3::uuid
                                ELSE '00000000-0000-0000-0000-000000000000'::uuid END
                        ORDER BY r.from_entity LIMIT $4)
                ) ways
                ORDER BY ways.far LIMIT $4
            ) found
            ORDER BY one.nth, found.far LIMIT $4
        ) step
        ORDER BY step.nth, step.far
        "#,
        account.0,
        starts,
        after,
        limit as i64,
        members
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Step {
            start: usize::try_from(row.nth - 1).unwrap_or_default(),
            far: row.far,
            is_near: row.is_near,
        })
        .collect())
}

/// What is shown of pairs of neighbours (`vias[n]` and `fars[n]`), in their order; deleted ones are left out.
pub(crate) async fn neighbour_list(
    tx: &mut ScopedTx,
    vias: &[Uuid],
    fars: &[Uuid],
) -> Result<Vec<(usize, NeighbourRow)>, sqlx::Error> {
    let account = tx.account();
    let rows = sqlx::query!(
        r#"
        SELECT pair.nth AS "nth!", root.id, root.type AS kind, root.title,
            -- Found in the member's part of an index alone: equality would let the planner read all that `far` is related to.
            ARRAY(SELECT DISTINCT said.predicate FROM unnest(via.members) AS member (id) CROSS JOIN LATERAL (
                SELECT DISTINCT r.predicate FROM graph.relation r WHERE r.account = $1
                    AND r.from_entity = member.id AND r.to_entity BETWEEN pair.far AND pair.far AND r.removed_at IS NULL
                ) said ORDER BY said.predicate) AS "outgoing!",
            ARRAY(SELECT DISTINCT said.predicate FROM unnest(via.members) AS member (id) CROSS JOIN LATERAL (
                SELECT DISTINCT r.predicate FROM graph.relation r WHERE r.account = $1
                    AND r.to_entity = member.id AND r.from_entity BETWEEN pair.far AND pair.far AND r.removed_at IS NULL
                ) said ORDER BY said.predicate) AS "incoming!"
        FROM unnest($2::uuid[], $3::uuid[]) WITH ORDINALITY AS pair (via, far, nth)
        JOIN LATERAL (
            SELECT CASE WHEN one.absorbed = 0 THEN ARRAY[one.id] ELSE graph.entity_members($1, one.id) END AS members
            FROM graph.entity one WHERE one.account = $1 AND one.id = pair.via
        ) via ON true
        JOIN graph.entity far ON far.account = $1 AND far.id = pair.far
        LEFT JOIN LATERAL (
            SELECT graph.entity_root($1, far.id) AS id WHERE far.merged_into IS NOT NULL OFFSET 0
        ) AS far_root ON true
        JOIN graph.entity root ON root.account = $1 AND root.deleted_at IS NULL
            AND root.id = CASE WHEN far.merged_into IS NULL THEN far.id ELSE far_root.id END
        ORDER BY pair.nth
        "#,
        account.0,
        vias,
        fars
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let neighbour = NeighbourRow {
                id: row.id,
                kind: row.kind,
                title: row.title,
                outgoing: row.outgoing,
                incoming: row.incoming,
            };
            (usize::try_from(row.nth - 1).unwrap_or_default(), neighbour)
        })
        .collect())
}
