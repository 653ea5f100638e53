//! Removing rows for good: of an entity, with everything that only speaks of it.

use std::collections::BTreeMap;

use spine::ScopedTx;
use uuid::Uuid;

/// How many rows went, by table.
pub(crate) type Rows = BTreeMap<String, u64>;

fn count(rows: &mut Rows, table: &str, gone: u64) {
    if gone > 0 {
        *rows.entry(table.to_owned()).or_default() += gone;
    }
}

/// Ids by which events, journals and jobs may speak of these entities: their own, and of the records that they were
/// read from.
pub(crate) async fn erase_names(tx: &mut ScopedTx, members: &[Uuid]) -> Result<Vec<String>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_scalar!(
        r#"
        SELECT id::text AS "id!" FROM unnest($2::uuid[]) AS own (id)
        UNION SELECT raw_record::text FROM graph.entity
            WHERE account = $1 AND id = ANY($2) AND raw_record IS NOT NULL
        UNION SELECT raw_record::text FROM graph.claim
            WHERE account = $1 AND entity = ANY($2) AND raw_record IS NOT NULL
        UNION SELECT raw_record::text FROM graph.record_entity WHERE account = $1 AND entity = ANY($2)
        "#,
        account.0,
        members
    )
    .fetch_all(tx.conn())
    .await
}

/// What these entities are called, by any source, and nothing else is: a name that two bear isn't one's to take.
pub(crate) async fn erase_called(tx: &mut ScopedTx, members: &[Uuid]) -> Result<Vec<String>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_scalar!(
        r#"
        WITH called AS (
            SELECT title, props FROM graph.entity WHERE account = $1 AND id = ANY($2)
            UNION ALL SELECT title, props FROM graph.claim WHERE account = $1 AND entity = ANY($2)
        ), names AS (
            SELECT title AS name FROM called
            UNION SELECT props->>'name' FROM called
            UNION SELECT props->>'nickname' FROM called
        )
        SELECT name AS "name!" FROM names
        WHERE length(btrim(name)) > 1 AND NOT EXISTS (SELECT FROM graph.entity e
            WHERE e.account = $1 AND e.id <> ALL($2) AND lower(e.title) = lower(name))
        "#,
        account.0,
        members
    )
    .fetch_all(tx.conn())
    .await
}

/// Addresses that nobody else bears.
pub(crate) async fn erase_addresses(tx: &mut ScopedTx, members: &[Uuid]) -> Result<Vec<String>, sqlx::Error> {
    let account = tx.account();
    sqlx::query_scalar!(
        r#"
        SELECT i.value FROM graph.identifier i
        WHERE i.account = $1 AND i.scheme IN ('tel', 'email', 'acct', 'url', 'xmpp', 'matrix')
            AND EXISTS (SELECT FROM graph.entity_identifier b
                WHERE b.account = $1 AND b.identifier = i.id AND b.entity = ANY($2))
            AND NOT EXISTS (SELECT FROM graph.entity_identifier b
                WHERE b.account = $1 AND b.identifier = i.id AND b.entity <> ALL($2))
        "#,
        account.0,
        members
    )
    .fetch_all(tx.conn())
    .await
}

/// Removes these entities: one with all that were merged into it.
pub(crate) async fn erase_entities(tx: &mut ScopedTx, members: &[Uuid]) -> Result<Rows, sqlx::Error> {
    let account = tx.account();
    let mut rows = Rows::new();
    // Whoever is writing rows about them is waited for, and whoever comes later finds them gone.
    sqlx::query!(
        "SELECT id FROM graph.entity WHERE account = $1 AND id = ANY($2) ORDER BY id FOR UPDATE",
        account.0,
        members
    )
    .fetch_all(tx.conn())
    .await?;
    let done = sqlx::query!(
        "DELETE FROM graph.timeline WHERE account = $1 AND (item = ANY($2) OR about = ANY($2))",
        account.0,
        members
    );
    count(
        &mut rows,
        "graph.timeline",
        done.execute(tx.conn()).await?.rows_affected(),
    );
    sqlx::query!(
        "DELETE FROM graph.erasure WHERE account = $1 AND entity = ANY($2)",
        account.0,
        members
    )
    .execute(tx.conn())
    .await?;
    let raws = sqlx::query_scalar!(
        r#"
        SELECT raw_record AS "raw!" FROM (
            SELECT raw_record FROM graph.entity WHERE account = $1 AND id = ANY($2)
            UNION SELECT raw_record FROM graph.claim WHERE account = $1 AND entity = ANY($2)
            UNION SELECT raw_record FROM graph.relation
                WHERE account = $1 AND (from_entity = ANY($2) OR to_entity = ANY($2))
            UNION SELECT raw_record FROM graph.record_entity WHERE account = $1 AND entity = ANY($2)
        ) named WHERE raw_record IS NOT NULL
        "#,
        account.0,
        members
    )
    .fetch_all(tx.conn())
    .await?;
    sqlx::query!(
        r#"
        DELETE FROM graph.record_relation WHERE account = $1 AND relation IN (SELECT id FROM graph.relation
            WHERE account = $1 AND (from_entity = ANY($2) OR to_entity = ANY($2)))
        "#,
        account.0,
        members
    )
    .execute(tx.conn())
    .await?;
    let links = records_unlink(tx, members).await?;
    count(&mut rows, "graph.record_entity", links);
    let done = sqlx::query!(
        "DELETE FROM graph.relation WHERE account = $1 AND (from_entity = ANY($2) OR to_entity = ANY($2))",
        account.0,
        members
    );
    count(
        &mut rows,
        "graph.relation",
        done.execute(tx.conn()).await?.rows_affected(),
    );
    let done = sqlx::query!(
        "DELETE FROM graph.claim WHERE account = $1 AND entity = ANY($2)",
        account.0,
        members
    );
    count(
        &mut rows,
        "graph.claim",
        done.execute(tx.conn()).await?.rows_affected(),
    );
    let done = sqlx::query!(
        "DELETE FROM graph.name_sound WHERE account = $1 AND entity = ANY($2)",
        account.0,
        members
    );
    count(
        &mut rows,
        "graph.name_sound",
        done.execute(tx.conn()).await?.rows_affected(),
    );
    let done = sqlx::query!(
        "DELETE FROM graph.merge_decision WHERE account = $1 AND (first_entity = ANY($2) OR second_entity = ANY($2))",
        account.0,
        members
    );
    count(
        &mut rows,
        "graph.merge_decision",
        done.execute(tx.conn()).await?.rows_affected(),
    );
    let identifiers = sqlx::query_scalar!(
        "DELETE FROM graph.entity_identifier WHERE account = $1 AND entity = ANY($2) RETURNING identifier",
        account.0,
        members
    )
    .fetch_all(tx.conn())
    .await?;
    count(&mut rows, "graph.entity_identifier", identifiers.len() as u64);
    let done = sqlx::query!(
        r#"
        DELETE FROM graph.identifier i WHERE account = $1 AND id = ANY($2)
            AND NOT EXISTS (SELECT FROM graph.entity_identifier b WHERE b.account = $1 AND b.identifier = i.id)
            AND NOT EXISTS (SELECT FROM graph.timeline t WHERE t.account = $1 AND t.about = i.id)
        "#,
        account.0,
        &identifiers
    );
    count(
        &mut rows,
        "graph.identifier",
        done.execute(tx.conn()).await?.rows_affected(),
    );
    sqlx::query!(
        "UPDATE graph.entity SET place = NULL WHERE account = $1 AND place = ANY($2)",
        account.0,
        members
    )
    .execute(tx.conn())
    .await?;
    let done = sqlx::query!(
        "DELETE FROM graph.entity WHERE account = $1 AND id = ANY($2)",
        account.0,
        members
    );
    count(
        &mut rows,
        "graph.entity",
        done.execute(tx.conn()).await?.rows_affected(),
    );
    // A record of which something else was read, too, stays: it is that one's proof. One that was all about the erased is
    // nobody's proof any more.
    let done = sqlx::query!(
        r#"
        DELETE FROM graph.raw_record r WHERE account = $1 AND id = ANY($2)
            AND NOT EXISTS (SELECT FROM graph.entity e WHERE e.account = $1 AND e.raw_record = r.id)
            AND NOT EXISTS (SELECT FROM graph.claim c WHERE c.account = $1 AND c.raw_record = r.id)
            AND NOT EXISTS (SELECT FROM graph.relation l WHERE l.account = $1 AND l.raw_record = r.id)
            AND NOT EXISTS (SELECT FROM graph.record_entity o WHERE o.account = $1 AND o.raw_record = r.id)
            AND NOT EXISTS (SELECT FROM graph.record_relation s WHERE s.account = $1 AND s.raw_record = r.id)
        "#,
        account.0,
        &raws
    );
    count(
        &mut rows,
        "graph.raw_record",
        done.execute(tx.conn()).await?.rows_affected(),
    );
    Ok(rows)
}

/// Removes what names these entities as spoken of by records; of the records that were all about one of them, also what
/// names them as others' proof, so that nothing keeps them. How many links went.
async fn records_unlink(tx: &mut ScopedTx, members: &[Uuid]) -> Result<u64, sqlx::Error> {
    let account = tx.account();
    let about = sqlx::query_scalar!(
        "SELECT raw_record FROM graph.record_entity WHERE account = $1 AND entity = ANY($2) AND subject",
        account.0,
        members
    )
    .fetch_all(tx.conn())
    .await?;
    if !about.is_empty() {
        sqlx::query!(
            "DELETE FROM graph.record_relation WHERE account = $1 AND raw_record = ANY($2)",
            account.0,
            &about
        )
        .execute(tx.conn())
        .await?;
        sqlx::query!(
            "UPDATE graph.entity SET raw_record = NULL WHERE account = $1 AND raw_record = ANY($2)",
            account.0,
            &about
        )
        .execute(tx.conn())
        .await?;
        sqlx::query!(
            "UPDATE graph.claim SET raw_record = NULL WHERE account = $1 AND raw_record = ANY($2)",
            account.0,
            &about
        )
        .execute(tx.conn())
        .await?;
        sqlx::query!(
            "UPDATE graph.relation SET raw_record = NULL WHERE account = $1 AND raw_record = ANY($2)",
            account.0,
            &about
        )
        .execute(tx.conn())
        .await?;
    }
    let gone = sqlx::query!(
        "DELETE FROM graph.record_entity WHERE account = $1 AND (entity = ANY($2) OR raw_record = ANY($3))",
        account.0,
        members,
        &about
    )
    .execute(tx.conn())
    .await?;
    Ok(gone.rows_affected())
}
