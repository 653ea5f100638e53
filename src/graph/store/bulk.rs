//! Many rows a statement, for what a [`Draft`](crate::draft::Draft) has collected.

use chrono::{DateTime, Utc};
use contracts::{EntityId, RawRecordId, RelationId};
use serde_json::Value;
use spine::ScopedTx;
use spine::ports::Identifier;
use uuid::Uuid;

use super::{RawRow, StoredEntity};
use crate::model::{Asserter, Claim, by_name, shown_title};

/// More bearers of one identifier than are read at once.
pub(crate) const BEARERS_MAX: usize = 50;

macro_rules! column {
    ($rows:expr, |$one:pat_param| $value:expr) => {
        &$rows.iter().map(|$one| $value).collect::<Vec<_>>()
    };
}

/// That an entity bears an identifier, by one source.
#[derive(Debug, Clone)]
pub(crate) struct Borne {
    pub(crate) entity: Uuid,
    pub(crate) kind: String,
    pub(crate) source: String,
    pub(crate) by_user: bool,
    /// It holds.
    pub(crate) live: bool,
}

/// Who bears each of these, whether it still holds or not; of an identifier at most one more than [`BEARERS_MAX`].
pub(crate) async fn borne_list(
    tx: &mut ScopedTx,
    identifiers: &[Uuid],
) -> Result<Vec<(Uuid, Borne)>, sqlx::Error> {
    let account = tx.account();
    let rows = sqlx::query!(
        r#"
        SELECT one.id AS "identifier!", b.entity, e.type AS kind, b.source, b.asserted_by = 'user' AS "by_user!",
            b.valid_to IS NULL AS "live!"
        FROM unnest($2::uuid[]) AS one (id)
        CROSS JOIN LATERAL (
            SELECT entity, source, asserted_by, valid_to FROM graph.entity_identifier
            WHERE account = $1 AND identifier = one.id LIMIT $3
        ) b
        JOIN graph.entity e ON e.account = $1 AND e.id = b.entity
        "#,
        account.0,
        identifiers,
        BEARERS_MAX as i64 + 1
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let borne = Borne {
                entity: row.entity,
                kind: row.kind,
                source: row.source,
                by_user: row.by_user,
                live: row.live,
            };
            (row.identifier, borne)
        })
        .collect())
}

/// Which of these are there already, by their places.
pub(crate) async fn raw_known(
    tx: &mut ScopedTx,
    source: &str,
    rows: &[RawRow],
) -> Result<Vec<(usize, RawRecordId, bool)>, sqlx::Error> {
    let account = tx.account();
    let found = sqlx::query!(
        r#"
        SELECT one.nth AS "nth!", r.id, r.status = 'parked' AS "parked!"
        FROM unnest($3::text[], $4::bytea[], $5::text[]) WITH ORDINALITY AS one (stream, remote_key, revision, nth)
        JOIN graph.raw_record r ON r.account = $1 AND r.source = $2 AND r.stream = one.stream
            AND r.remote_key = one.remote_key AND r.revision = one.revision
        "#,
        account.0,
        source,
        column!(rows, |row| row.stream.as_str()) as &[&str],
        column!(rows, |row| row.remote_key.as_slice()) as &[&[u8]],
        column!(rows, |row| row.revision.as_str()) as &[&str],
    )
    .fetch_all(tx.conn())
    .await?;
    let place = |nth: i64| usize::try_from(nth - 1).unwrap_or_default();
    Ok(found
        .into_iter()
        .map(|row| (place(row.nth), row.id.into(), row.parked))
        .collect())
}

/// Writes records down that nobody has.
pub(crate) async fn raw_insert_all(tx: &mut ScopedTx, rows: &[(RawRow, i32)]) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        INSERT INTO graph.raw_record (account, id, connection, source, stream, remote_key, revision, media_type,
            remote_id, body, body_key, received_at, status, reason, tries, settled_at)
        SELECT $1, id, connection, source, stream, remote_key, revision, media_type, remote_id, body, body_key, $2,
            status, reason, tries, $2
        FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::bytea[], $8::text[], $9::text[], $10::bytea[],
                $11::bytea[], $12::bytea[], $13::text[], $14::text[], $15::integer[])
            AS fresh (id, connection, source, stream, remote_key, revision, media_type, remote_id, body, body_key, status,
                reason, tries)
        "#,
        account.0,
        now,
        column!(rows, |(row, _)| row.id.0),
        column!(rows, |(row, _)| row.connection) as &[Option<Uuid>],
        column!(rows, |(row, _)| row.source.as_str()) as &[&str],
        column!(rows, |(row, _)| row.stream.as_str()) as &[&str],
        column!(rows, |(row, _)| row.remote_key.as_slice()) as &[&[u8]],
        column!(rows, |(row, _)| row.revision.as_str()) as &[&str],
        column!(rows, |(row, _)| row.media_type.as_str()) as &[&str],
        column!(rows, |(row, _)| row.remote_id.as_slice()) as &[&[u8]],
        column!(rows, |(row, _)| row.body.as_slice()) as &[&[u8]],
        column!(rows, |(row, _)| row.body_key.as_slice()) as &[&[u8]],
        column!(rows, |(row, _)| row.status) as &[&str],
        column!(rows, |(row, _)| row.reason.as_deref()) as &[Option<&str>],
        column!(rows, |(_, tries)| *tries),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Parked or received records were understood, each as often as it stands here.
pub(crate) async fn raw_settle_all(tx: &mut ScopedTx, records: &[RawRecordId]) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        UPDATE graph.raw_record r
        SET status = 'processed', reason = NULL, tries = r.tries + settled.times, settled_at = $3
        FROM (SELECT one.id, count(*)::integer AS times FROM unnest($2::uuid[]) AS one (id) GROUP BY one.id) settled
        WHERE r.account = $1 AND r.id = settled.id
        "#,
        account.0,
        column!(records, |record| record.0),
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Entities that nobody has.
pub(crate) async fn entity_insert_all(
    tx: &mut ScopedTx,
    entities: &[&StoredEntity],
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        r#"
        INSERT INTO graph.entity (account, id, type, title, props, version, starts_at, folded, asserted_by, source,
            raw_record, created_at, updated_at)
        SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::bigint[], $7::timestamptz[],
            $8::boolean[], $9::text[], $10::text[], $11::uuid[], $12::timestamptz[], $13::timestamptz[])
        "#,
        account.0,
        column!(entities, |one| one.id.0),
        column!(entities, |one| one.kind.as_str()) as &[&str],
        column!(entities, |one| shown_title(&one.content)) as &[Option<String>],
        column!(entities, |one| Value::Object(one.content.props.clone())),
        column!(entities, |one| one.version),
        column!(entities, |one| one.content.starts_at) as &[Option<DateTime<Utc>>],
        column!(entities, |one| one.folded),
        column!(entities, |one| by_name(one.asserter.by)) as &[&str],
        column!(entities, |one| one.asserter.source.as_str()) as &[&str],
        column!(entities, |one| one.raw.map(Uuid::from)) as &[Option<Uuid>],
        column!(entities, |one| one.created_at),
        column!(entities, |one| one.updated_at),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What entities show now.
pub(crate) async fn entity_update_all(
    tx: &mut ScopedTx,
    entities: &[&StoredEntity],
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        r#"
        UPDATE graph.entity e
        SET title = now.title, props = now.props, starts_at = now.starts_at, version = now.version,
            folded = now.folded, updated_at = greatest(e.updated_at, now.updated_at)
        FROM unnest($2::uuid[], $3::text[], $4::jsonb[], $5::bigint[], $6::timestamptz[], $7::boolean[],
            $8::timestamptz[]) AS now (id, title, props, version, starts_at, folded, updated_at)
        WHERE e.account = $1 AND e.id = now.id
        "#,
        account.0,
        column!(entities, |one| one.id.0),
        column!(entities, |one| shown_title(&one.content)) as &[Option<String>],
        column!(entities, |one| Value::Object(one.content.props.clone())),
        column!(entities, |one| one.version),
        column!(entities, |one| one.content.starts_at) as &[Option<DateTime<Utc>>],
        column!(entities, |one| one.folded),
        column!(entities, |one| one.updated_at),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Claims beside those that hold.
pub(crate) async fn claim_insert_all(
    tx: &mut ScopedTx,
    claims: &[(Claim, Option<RawRecordId>)],
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        r#"
        INSERT INTO graph.claim (account, id, entity, asserted_by, source, title, props, starts_at, confidence,
            recorded_from, raw_record)
        SELECT $1, * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::jsonb[],
            $8::timestamptz[], $9::real[], $10::timestamptz[], $11::uuid[])
        "#,
        account.0,
        column!(claims, |_| Uuid::now_v7()),
        column!(claims, |(claim, _)| claim.entity.0),
        column!(claims, |(claim, _)| by_name(claim.asserter.by)) as &[&str],
        column!(claims, |(claim, _)| claim.asserter.source.as_str()) as &[&str],
        column!(claims, |(claim, _)| claim.content.title.as_deref()) as &[Option<&str>],
        column!(claims, |(claim, _)| Value::Object(claim.content.props.clone())),
        column!(claims, |(claim, _)| claim.content.starts_at) as &[Option<DateTime<Utc>>],
        column!(claims, |(claim, _)| claim.confidence),
        column!(claims, |(claim, _)| claim.recorded_from),
        column!(claims, |(_, raw)| raw.map(Uuid::from)) as &[Option<Uuid>],
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// That an entity bears an identifier.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) entity: Uuid,
    pub(crate) identifier: Uuid,
    pub(crate) asserter: Asserter,
}

/// Says which entities bear which identifiers.
pub(crate) async fn link_insert_all(tx: &mut ScopedTx, links: &[Link]) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        INSERT INTO graph.entity_identifier (account, entity, identifier, asserted_by, source, confidence, recorded_at)
        SELECT $1, said.entity, said.identifier, said.by, said.source, 1, $2
        FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[]) AS said (entity, identifier, by, source)
        "#,
        account.0,
        now,
        column!(links, |one| one.entity),
        column!(links, |one| one.identifier),
        column!(links, |one| by_name(one.asserter.by)) as &[&str],
        column!(links, |one| one.asserter.source.as_str()) as &[&str],
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// An edge that nobody of its source has said.
#[derive(Debug)]
pub(crate) struct NewEdge {
    pub(crate) id: RelationId,
    pub(crate) from: Uuid,
    pub(crate) predicate: String,
    pub(crate) to: Uuid,
    pub(crate) asserter: Asserter,
    pub(crate) raw: Option<RawRecordId>,
}

/// Writes edges, and puts whichever end of one has a time on the timeline of the other.
pub(crate) async fn relation_insert_all(tx: &mut ScopedTx, edges: &[NewEdge]) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    let (from, to) = (column!(edges, |one| one.from), column!(edges, |one| one.to));
    let predicates: Vec<&str> = edges.iter().map(|one| one.predicate.as_str()).collect();
    sqlx::query!(
        r#"
        INSERT INTO graph.relation (account, id, from_entity, predicate, to_entity, asserted_by, source, recorded_at,
            raw_record)
        SELECT $1, fresh.id, fresh.near, fresh.predicate, fresh.far, fresh.by, fresh.source, $2, fresh.raw
        FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::uuid[], $7::text[], $8::text[], $9::uuid[])
            AS fresh (id, near, predicate, far, by, source, raw)
        "#,
        account.0,
        now,
        column!(edges, |one| one.id.0),
        from,
        &predicates as &[&str],
        to,
        column!(edges, |one| by_name(one.asserter.by)) as &[&str],
        column!(edges, |one| one.asserter.source.as_str()) as &[&str],
        column!(edges, |one| one.raw.map(Uuid::from)) as &[Option<Uuid>],
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        r#"
        INSERT INTO graph.timeline (account, item, about, role, kind, at)
        SELECT DISTINCT $1::uuid, item.id, ends.about, ends.role, item.type, item.starts_at
        FROM (
            SELECT near AS item, far AS about, role FROM unnest($2::uuid[], $3::uuid[], $4::text[]) AS a (near, far, role)
            UNION
            SELECT far, near, role FROM unnest($2::uuid[], $3::uuid[], $4::text[]) AS b (near, far, role)
        ) ends
        JOIN graph.entity named ON named.account = $1 AND named.id = ends.item
        LEFT JOIN LATERAL (
            SELECT graph.entity_root($1, named.id) AS id WHERE named.merged_into IS NOT NULL OFFSET 0
        ) AS named_root ON true
        JOIN graph.entity item ON item.account = $1 AND item.starts_at IS NOT NULL
            AND item.id = CASE WHEN named.merged_into IS NULL THEN named.id ELSE named_root.id END
        ON CONFLICT (account, item, about, role) DO NOTHING
        "#,
        account.0,
        from,
        to,
        &predicates as &[&str],
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// That an item stands on the timeline of an address that it names.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) item: EntityId,
    pub(crate) kind: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) role: &'static str,
    pub(crate) address: Identifier,
}

/// Puts items on the timelines of the addresses that they name.
pub(crate) async fn timeline_named_all(tx: &mut ScopedTx, named: &[Named]) -> Result<(), sqlx::Error> {
    let account = tx.account();
    let schemes: Vec<String> = named.iter().map(|one| one.address.scheme.clone()).collect();
    let values: Vec<String> = named.iter().map(|one| one.address.value.clone()).collect();
    // Most addresses were seen before: they are made only where the first try finds fewer than it looked for.
    for last in [false, true] {
        let found = sqlx::query_scalar!(
            r#"
            WITH named AS (
                SELECT one.item, i.id, one.role, one.kind, one.at
                FROM unnest($2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[])
                    AS one (item, kind, at, role, scheme, value)
                JOIN graph.identifier i ON i.account = $1 AND i.scheme = one.scheme AND i.value = one.value
            ), written AS (
                INSERT INTO graph.timeline (account, item, about, role, kind, at)
                SELECT $1, named.item, named.id, named.role, named.kind, named.at FROM named
                ON CONFLICT (account, item, about, role) DO UPDATE SET at = excluded.at
            )
            SELECT count(*) AS "count!" FROM named
            "#,
            account.0,
            column!(named, |one| one.item.0),
            column!(named, |one| one.kind.as_str()) as &[&str],
            column!(named, |one| one.at),
            column!(named, |one| one.role) as &[&str],
            &schemes,
            &values,
        )
        .fetch_one(tx.conn())
        .await?;
        if last || usize::try_from(found).is_ok_and(|found| found == named.len()) {
            break;
        }
        super::timeline::identifiers_ensure(tx, &schemes, &values).await?;
    }
    Ok(())
}
