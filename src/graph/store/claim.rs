//! `graph.claim`.

use chrono::{DateTime, Utc};
use contracts::{EntityId, RawRecordId};
use serde_json::Value;
use spine::ScopedTx;
use spine::ports::AssertedBy;
use uuid::Uuid;

use super::object;
use crate::model::{Asserter, Claim, Content, by_from_name, by_name};

/// A claim with where it came from.
#[derive(Debug)]
pub(crate) struct ClaimRow {
    pub(crate) asserted_by: String,
    pub(crate) source: String,
    pub(crate) title: Option<String>,
    pub(crate) props: Value,
    pub(crate) starts_at: Option<DateTime<Utc>>,
    pub(crate) confidence: f32,
    pub(crate) recorded_from: DateTime<Utc>,
    pub(crate) recorded_to: Option<DateTime<Utc>>,
    pub(crate) raw_record: Option<Uuid>,
}

/// What holds of these entities (one with all that were merged into it) now, by each source.
pub(crate) async fn claim_current_list(
    tx: &mut ScopedTx,
    members: &[Uuid],
) -> Result<Vec<Claim>, sqlx::Error> {
    claim_list_at(tx, members, None).await
}

/// What the graph held of these entities at a moment; now, if none is given.
pub(crate) async fn claim_list_at(
    tx: &mut ScopedTx,
    members: &[Uuid],
    at: Option<DateTime<Utc>>,
) -> Result<Vec<Claim>, sqlx::Error> {
    let account = tx.account();
    let rows = sqlx::query!(
        r#"
        SELECT entity, asserted_by, source, title, props, starts_at, confidence, recorded_from
        FROM graph.claim
        WHERE account = $1 AND entity = ANY($2)
            AND CASE WHEN $3::timestamptz IS NULL THEN recorded_to IS NULL
                ELSE recorded_from <= $3 AND (recorded_to IS NULL OR recorded_to > $3) END
        ORDER BY recorded_from, id
        "#,
        account.0,
        members,
        at
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Claim {
            entity: row.entity.into(),
            asserter: Asserter {
                by: by_from_name(&row.asserted_by),
                source: row.source,
            },
            content: Content {
                title: row.title,
                props: object(row.props),
                starts_at: row.starts_at,
            },
            confidence: row.confidence,
            recorded_from: row.recorded_from,
        })
        .collect())
}

pub(crate) async fn claim_insert(
    tx: &mut ScopedTx,
    claim: &Claim,
    raw: Option<RawRecordId>,
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    let props = Value::Object(claim.content.props.clone());
    sqlx::query!(
        r#"
        INSERT INTO graph.claim (account, id, entity, asserted_by, source, title, props, starts_at, confidence,
            recorded_from, raw_record)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        "#,
        account.0,
        Uuid::now_v7(),
        claim.entity.0,
        by_name(claim.asserter.by),
        claim.asserter.source,
        claim.content.title,
        props,
        claim.content.starts_at,
        claim.confidence,
        claim.recorded_from,
        raw.map(Uuid::from)
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Claims that change together.
#[derive(Debug, Default)]
pub(crate) struct Replaced {
    /// The source's claim so far is history.
    pub(crate) closes: bool,
    /// Claims that hold from now on, each with its record.
    pub(crate) written: Vec<(Claim, Option<RawRecordId>)>,
}

/// Closes the source's claim about an entity, if it is to be, and writes others.
pub(crate) async fn claims_replace(
    tx: &mut ScopedTx,
    entity: EntityId,
    asserter: &Asserter,
    replaced: &Replaced,
) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    if !replaced.closes && replaced.written.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        (|$claim:ident, $raw:ident| $value:expr) => {
            &replaced
                .written
                .iter()
                .map(|($claim, $raw)| $value)
                .collect::<Vec<_>>()
        };
    }
    // The new ones are written once the old one is closed: one source has one claim.
    sqlx::query!(
        r#"
        WITH closed AS (
            UPDATE graph.claim SET recorded_to = greatest(recorded_from, $5)
            WHERE account = $1 AND entity = $2 AND asserted_by = $3 AND source = $4 AND recorded_to IS NULL AND $6
            RETURNING id
        ), done AS (SELECT count(*) AS claims FROM closed)
        INSERT INTO graph.claim (account, id, entity, asserted_by, source, title, props, starts_at, confidence,
            recorded_from, raw_record)
        SELECT $1, said.* FROM done, unnest($7::uuid[], $8::uuid[], $9::text[], $10::text[], $11::text[],
            $12::jsonb[], $13::timestamptz[], $14::real[], $15::timestamptz[], $16::uuid[]) AS said
        WHERE done.claims >= 0
        "#,
        account.0,
        entity.0,
        by_name(asserter.by),
        asserter.source,
        now,
        replaced.closes,
        column!(|_claim, _raw| Uuid::now_v7()),
        column!(|claim, _raw| claim.entity.0),
        column!(|claim, _raw| by_name(claim.asserter.by).to_owned()),
        column!(|claim, _raw| claim.asserter.source.clone()),
        column!(|claim, _raw| claim.content.title.clone()) as &[Option<String>],
        column!(|claim, _raw| Value::Object(claim.content.props.clone())),
        column!(|claim, _raw| claim.content.starts_at) as &[Option<DateTime<Utc>>],
        column!(|claim, _raw| claim.confidence),
        column!(|claim, _raw| claim.recorded_from),
        column!(|_claim, raw| raw.map(Uuid::from)) as &[Option<Uuid>],
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The source's claim is history from now on. Returns the record that it was of, if of one; `None`: it has none.
pub(crate) async fn claim_close(
    tx: &mut ScopedTx,
    entity: EntityId,
    asserter: &Asserter,
) -> Result<Option<Option<Uuid>>, sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query_scalar!(
        r#"
        UPDATE graph.claim SET recorded_to = greatest(recorded_from, $5)
        WHERE account = $1 AND entity = $2 AND asserted_by = $3 AND source = $4 AND recorded_to IS NULL
        RETURNING raw_record
        "#,
        account.0,
        entity.0,
        by_name(asserter.by),
        asserter.source,
        now
    )
    .fetch_optional(tx.conn())
    .await
}

/// Who was the last to speak of entities of which nobody says anything any more; `None`: somebody does, or nobody ever did.
pub(crate) async fn claim_last_word(
    tx: &mut ScopedTx,
    members: &[Uuid],
) -> Result<Option<AssertedBy>, sqlx::Error> {
    let account = tx.account();
    let by = sqlx::query_scalar!(
        r#"
        SELECT asserted_by FROM graph.claim c
        WHERE account = $1 AND entity = ANY($2) AND NOT EXISTS (SELECT FROM graph.claim now
            WHERE now.account = $1 AND now.entity = ANY($2) AND now.recorded_to IS NULL)
        ORDER BY recorded_to DESC, id DESC LIMIT 1
        "#,
        account.0,
        members
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(by.as_deref().map(by_from_name))
}

/// What was ever asserted of these entities, newest first, at most 200.
pub(crate) async fn claim_history(tx: &mut ScopedTx, members: &[Uuid]) -> Result<Vec<ClaimRow>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_as!(
        ClaimRow,
        r#"
        SELECT asserted_by, source, title, props, starts_at, confidence, recorded_from, recorded_to, raw_record
        FROM graph.claim WHERE account = $1 AND entity = ANY($2)
        ORDER BY recorded_from DESC, id DESC LIMIT 200
        "#,
        account.0,
        members
    )
    .fetch_all(tx.conn())
    .await
}

/// What an entity of a single source holds, in the form of a claim; `None` if it has claims.
pub(crate) async fn claim_of_single_source(
    tx: &mut ScopedTx,
    entity: EntityId,
) -> Result<Option<ClaimRow>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_as!(
        ClaimRow,
        r#"
        SELECT asserted_by, source, title, props, starts_at, 1::real AS "confidence!",
            updated_at AS recorded_from, NULL::timestamptz AS recorded_to, raw_record
        FROM graph.entity WHERE account = $1 AND id = $2 AND NOT folded
        "#,
        account.0,
        entity.0
    )
    .fetch_optional(tx.conn())
    .await
}

/// The only source's word about an entity that has no claims yet, as far as the row still tells: since when it is as
/// it is now.
pub(crate) async fn claim_of_unfolded(
    tx: &mut ScopedTx,
    entity: EntityId,
) -> Result<Option<Claim>, sqlx::Error> {
    let account = tx.account();
    let row = sqlx::query!(
        r#"
        SELECT asserted_by, source, title, props, starts_at, updated_at
        FROM graph.entity WHERE account = $1 AND id = $2 AND NOT folded
        "#,
        account.0,
        entity.0
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Claim {
        entity,
        asserter: Asserter {
            by: by_from_name(&row.asserted_by),
            source: row.source,
        },
        content: Content {
            title: row.title,
            props: object(row.props),
            starts_at: row.starts_at,
        },
        confidence: 1.0,
        recorded_from: row.updated_at,
    }))
}
