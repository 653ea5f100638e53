//! `graph.record_relation`, and which relations the revisions of a record state.

use contracts::{EntityId, RawRecordId, RelationId};
use spine::ScopedTx;
use uuid::Uuid;

use crate::model::{Asserter, by_name};

/// A relation that holds and that a revision of a record stated.
#[derive(Debug)]
pub(crate) struct Stated {
    pub(crate) id: RelationId,
    pub(crate) from: Uuid,
    pub(crate) predicate: String,
    pub(crate) to: Uuid,
    /// The record that states it, or one of those that do.
    pub(crate) raw: Option<Uuid>,
}

/// All revisions of a record, itself among them.
pub(crate) async fn raw_revisions(tx: &mut ScopedTx, record: RawRecordId) -> Result<Vec<Uuid>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_scalar!(
        r#"
        SELECT other.id FROM graph.raw_record r
        JOIN graph.raw_record other ON other.account = $1 AND other.source = r.source AND other.stream = r.stream
            AND other.remote_key = r.remote_key
        WHERE r.account = $1 AND r.id = $2
        "#,
        account.0,
        record.0
    )
    .fetch_all(tx.conn())
    .await
}

/// What any of these revisions of a record stated and still holds.
pub(crate) async fn stated_list(tx: &mut ScopedTx, revisions: &[Uuid]) -> Result<Vec<Stated>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_as!(
        Stated,
        r#"
        WITH stated AS (
            SELECT id FROM graph.relation WHERE account = $1 AND raw_record = ANY($2)
            UNION
            SELECT relation FROM graph.record_relation WHERE account = $1 AND raw_record = ANY($2)
        )
        SELECT l.id, l.from_entity AS "from", l.predicate, l.to_entity AS "to", l.raw_record AS raw
        FROM stated JOIN graph.relation l ON l.account = $1 AND l.id = stated.id
        WHERE l.removed_at IS NULL ORDER BY l.id
        "#,
        account.0,
        revisions
    )
    .fetch_all(tx.conn())
    .await
}

/// What a source said by itself, in no record, of what an entity is related to, and still holds.
pub(crate) async fn unrecorded_list(
    tx: &mut ScopedTx,
    from: EntityId,
    asserter: &Asserter,
) -> Result<Vec<Stated>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_as!(
        Stated,
        r#"
        SELECT id, from_entity AS "from", predicate, to_entity AS "to", raw_record AS raw FROM graph.relation
        WHERE account = $1 AND from_entity = $2 AND asserted_by = $3 AND source = $4 AND raw_record IS NULL
            AND removed_at IS NULL
        ORDER BY id
        "#,
        account.0,
        from.0,
        by_name(asserter.by),
        asserter.source
    )
    .fetch_all(tx.conn())
    .await
}

/// Records state relations that other records of their source stated first.
pub(crate) async fn restate_all(
    tx: &mut ScopedTx,
    restated: &[(RelationId, RawRecordId)],
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    let relations: Vec<Uuid> = restated.iter().map(|one| one.0.0).collect();
    let records: Vec<Uuid> = restated.iter().map(|one| one.1.0).collect();
    sqlx::query!(
        r#"
        INSERT INTO graph.record_relation (account, raw_record, relation)
        SELECT DISTINCT $1::uuid, said.record, said.relation
        FROM unnest($2::uuid[], $3::uuid[]) AS said (relation, record)
        ON CONFLICT DO NOTHING
        "#,
        account.0,
        &relations,
        &records
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Of all revisions of a record it alone states these relations from now on, and none of them any other.
pub(crate) async fn restate(
    tx: &mut ScopedTx,
    record: RawRecordId,
    revisions: &[Uuid],
    stated: &[Uuid],
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        "DELETE FROM graph.record_relation WHERE account = $1 AND raw_record = ANY($2)",
        account.0,
        revisions
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        r#"
        WITH own AS (
            UPDATE graph.relation SET raw_record = $2
            WHERE account = $1 AND id = ANY($4) AND removed_at IS NULL
                AND (raw_record IS NULL OR raw_record = ANY($3))
            RETURNING id
        )
        INSERT INTO graph.record_relation (account, raw_record, relation)
        SELECT $1, $2, r.id FROM graph.relation r
        WHERE r.account = $1 AND r.id = ANY($4) AND r.removed_at IS NULL AND r.id NOT IN (SELECT id FROM own)
        ON CONFLICT DO NOTHING
        "#,
        account.0,
        record.0,
        revisions,
        stated
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Ends relations that no revision of a record states any more. What another record states holds on by that one's word.
/// Those that ended.
pub(crate) async fn unstate(
    tx: &mut ScopedTx,
    revisions: &[Uuid],
    unstated: &[Uuid],
) -> Result<Vec<RelationId>, sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        WITH heir AS (
            SELECT DISTINCT ON (relation) relation, raw_record FROM graph.record_relation
            WHERE account = $1 AND relation = ANY($3) ORDER BY relation, raw_record
        ), inherited AS (
            UPDATE graph.relation r SET raw_record = heir.raw_record FROM heir
            WHERE r.account = $1 AND r.id = heir.relation AND (r.raw_record IS NULL OR r.raw_record = ANY($2))
            RETURNING r.id, r.raw_record
        )
        DELETE FROM graph.record_relation l USING inherited
        WHERE l.account = $1 AND l.relation = inherited.id AND l.raw_record = inherited.raw_record
        "#,
        account.0,
        revisions,
        unstated
    )
    .execute(tx.conn())
    .await?;
    let ended = sqlx::query_scalar!(
        r#"
        UPDATE graph.relation SET removed_at = $4
        WHERE account = $1 AND id = ANY($3) AND removed_at IS NULL AND (raw_record IS NULL OR raw_record = ANY($2))
        RETURNING id
        "#,
        account.0,
        revisions,
        unstated,
        now
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(ended.into_iter().map(Into::into).collect())
}
