//! The SQL of runs, their journals, and limits.

mod naming;

use chrono::{DateTime, Utc};
use contracts::{CorrelationId, EventId, Position, RunId};
use serde_json::Value;
use sha2::{Digest, Sha256};
use spine::access::{AccessError, ScopedTx};

pub(crate) use naming::journals_naming;

use super::model::{Purpose, RunRow, Status, Step};

/// A run that is about to be written down.
#[derive(Debug)]
pub(crate) struct NewRun<'a> {
    pub(crate) id: RunId,
    pub(crate) rule: &'a str,
    pub(crate) version: &'a str,
    pub(crate) event: EventId,
    pub(crate) event_position: Position,
    pub(crate) correlation: CorrelationId,
    pub(crate) key: [u8; 32],
    pub(crate) started_at: DateTime<Utc>,
}

/// What a run is counted by, and since when hits count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counter<'a> {
    pub(crate) purpose: Purpose,
    pub(crate) key: &'a [u8; 32],
    pub(crate) since: DateTime<Utc>,
}

/// How much of a run's counters is used; nothing where there is none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct UsedBefore {
    pub(crate) limit: usize,
    pub(crate) breaker: usize,
}

/// Writes a run down as running, and says how often what it is counted by happened since. Whoever asks holds the
/// counters until the transaction ends, so that nobody else counts at the same time. `None`: this event has had its run
/// of this rule.
pub(crate) async fn run_begin(
    tx: &mut ScopedTx,
    run: &NewRun<'_>,
    counters: &[Counter<'_>],
) -> Result<Option<UsedBefore>, AccessError> {
    let (account, now) = (tx.account(), tx.now());
    let of = |purpose| counters.iter().find(|counter| counter.purpose == purpose);
    let since = |purpose| of(purpose).map_or(now, |counter| counter.since);
    let (limit, breaker) = (since(Purpose::Limit), since(Purpose::Breaker));
    let purposes: Vec<_> = counters
        .iter()
        .map(|one| one.purpose.as_str().to_owned())
        .collect();
    let keys: Vec<_> = counters.iter().map(|one| one.key.to_vec()).collect();
    let keep_until: Vec<_> = counters.iter().map(|one| keep_until(now, one.since)).collect();
    let found = sqlx::query!(
        r#"
        WITH run AS (
            INSERT INTO rules.run (id, account, rule, version, event, event_position, correlation, key, status, actions,
                started_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'running', 0, $9)
            ON CONFLICT (account, rule, event) DO NOTHING RETURNING id
        ), used AS (
            INSERT INTO rules.limit_counter AS counter (account, rule, purpose, key, hits, keep_until)
            SELECT $2, $3, said.purpose, said.key, '{}', said.keep_until
            FROM run, unnest($10::text[], $11::bytea[], $12::timestamptz[]) AS said (purpose, key, keep_until)
            ON CONFLICT (account, rule, purpose, key) DO UPDATE SET keep_until = excluded.keep_until,
                hits = ARRAY(SELECT hit FROM unnest(counter.hits) AS hit
                    WHERE hit > CASE excluded.purpose WHEN 'limit' THEN $13::timestamptz ELSE $14::timestamptz END)
            RETURNING purpose, cardinality(hits) AS count
        )
        SELECT EXISTS (SELECT FROM run) AS "fresh!",
            coalesce((SELECT count FROM used WHERE purpose = 'limit'), 0) AS "limit!",
            coalesce((SELECT count FROM used WHERE purpose = 'breaker'), 0) AS "breaker!"
        "#,
        run.id.0,
        account.0,
        run.rule,
        run.version,
        run.event.0,
        run.event_position,
        run.correlation.0,
        &run.key[..],
        run.started_at,
        &purposes,
        &keys,
        &keep_until,
        limit,
        breaker
    )
    .fetch_one(tx.conn())
    .await?;
    let count = |hits| usize::try_from(hits).unwrap_or(0);
    Ok(found.fresh.then(|| UsedBefore {
        limit: count(found.limit),
        breaker: count(found.breaker),
    }))
}

/// The end of a run.
#[derive(Debug)]
pub(crate) struct Finish<'a> {
    pub(crate) run: RunId,
    pub(crate) rule: &'a str,
    pub(crate) status: Status,
    pub(crate) reason: Option<&'a str>,
    pub(crate) actions: i32,
    pub(crate) at: DateTime<Utc>,
    /// Its journal, from step 1 on.
    pub(crate) steps: &'a [Step],
    /// What counts it once more; [`run_begin`] made the counters.
    pub(crate) counted: &'a [(Purpose, &'a [u8; 32])],
}

/// Writes the end of a run down, with its journal, and counts it.
pub(crate) async fn run_finish(tx: &mut ScopedTx, finish: &Finish<'_>) -> Result<(), AccessError> {
    let (account, now, steps) = (tx.account(), tx.now(), finish.steps);
    let purposes: Vec<_> = finish
        .counted
        .iter()
        .map(|(purpose, _)| purpose.as_str().to_owned())
        .collect();
    let keys: Vec<_> = finish.counted.iter().map(|(_, key)| key.to_vec()).collect();
    macro_rules! column {
        (|$step:ident| $value:expr) => {
            &steps.iter().map(|$step| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        r#"
        WITH journal AS (
            INSERT INTO rules.journal_entry (run, account, seq, kind, name, args_hash, args, value, line, message, job, at)
            SELECT $1, $2, row.ord, row.kind, row.name, row.args_hash, row.args, row.value, row.line, row.message,
                row.job, row.at
            FROM unnest(
                $3::text[], $4::text[], $5::bytea[], $6::jsonb[], $7::jsonb[], $8::integer[], $9::uuid[], $10::uuid[],
                $11::timestamptz[]
            ) WITH ORDINALITY AS row (kind, name, args_hash, args, value, line, message, job, at, ord)
        ), counted AS (
            UPDATE rules.limit_counter AS counter SET hits = counter.hits || $15::timestamptz
            FROM unnest($13::text[], $14::bytea[]) AS said (purpose, key)
            WHERE counter.account = $2 AND counter.rule = $12 AND counter.purpose = said.purpose
                AND counter.key = said.key
        )
        UPDATE rules.run SET status = $16, reason = $17, actions = $18, finished_at = $19 WHERE account = $2 AND id = $1
        "#,
        finish.run.0,
        account.0,
        column!(|step| step.kind.as_str().to_owned()),
        column!(|step| step.name.clone()),
        column!(|step| args_hash(&step.args).to_vec()),
        column!(|step| step.args.clone()),
        column!(|step| step.value.clone()),
        column!(|step| i32::try_from(step.line).unwrap_or(0)),
        column!(|step| step.message.map(|id| id.0)) as &[Option<uuid::Uuid>],
        column!(|step| step.job.map(|id| id.0)) as &[Option<uuid::Uuid>],
        column!(|step| step.at),
        finish.rule,
        &purposes,
        &keys,
        now,
        finish.status.as_str(),
        finish.reason,
        finish.actions,
        finish.at
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What is counted now is of use for one window more.
fn keep_until(now: DateTime<Utc>, since: DateTime<Utc>) -> DateTime<Utc> {
    now.checked_add_signed(now - since)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// What tells whether a step of a later entry is the same: keys in order, so that it doesn't hang on a map's order.
fn args_hash(args: &Value) -> [u8; 32] {
    let mut hash = Sha256::new();
    feed(args, &mut hash);
    hash.finalize().into()
}

fn feed(value: &Value, hash: &mut Sha256) {
    match value {
        Value::Array(items) => {
            hash.update(b"[");
            items.iter().for_each(|item| feed(item, hash));
            hash.update(b"]");
        }
        Value::Object(fields) => {
            let mut keys: Vec<_> = fields.iter().collect();
            keys.sort_by_key(|(key, _)| *key);
            hash.update(b"{");
            for (key, item) in keys {
                feed(&Value::String(key.clone()), hash);
                feed(item, hash);
            }
            hash.update(b"}");
        }
        plain => {
            hash.update(plain.to_string());
            hash.update(b",");
        }
    }
}

/// A journal entry as it is stored.
#[derive(Debug)]
pub(crate) struct StoredStep {
    pub(crate) seq: i32,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) args: Value,
    pub(crate) value: Value,
    pub(crate) line: i32,
    pub(crate) message: Option<uuid::Uuid>,
    pub(crate) job: Option<uuid::Uuid>,
    pub(crate) at: DateTime<Utc>,
}

/// A run's journal, in order.
pub(crate) async fn journal_list(tx: &mut ScopedTx, run: RunId) -> Result<Vec<StoredStep>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        StoredStep,
        r#"
        SELECT seq, kind, name, args, value, line, message, job, at
        FROM rules.journal_entry WHERE account = $1 AND run = $2 ORDER BY seq LIMIT 1000
        "#,
        account.0,
        run.0
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Runs, newest first: those of a rule, and those before a run, if given.
pub(crate) async fn run_list(
    tx: &mut ScopedTx,
    rule: Option<&str>,
    before: Option<RunId>,
    limit: i64,
) -> Result<Vec<RunRow>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        RunRow,
        r#"
        SELECT id AS "id: uuid::Uuid", rule, version, event AS "event: uuid::Uuid", event_position,
            correlation AS "correlation: uuid::Uuid", status, reason, actions, started_at, finished_at
        FROM rules.run
        WHERE account = $1 AND ($2::text IS NULL OR rule = $2) AND ($3::uuid IS NULL OR id < $3)
        ORDER BY id DESC LIMIT $4
        "#,
        account.0,
        rule,
        before.map(|id| id.0),
        limit
    )
    .fetch_all(tx.conn())
    .await?)
}

/// One run.
pub(crate) async fn run_by_id(tx: &mut ScopedTx, id: RunId) -> Result<Option<RunRow>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        RunRow,
        r#"
        SELECT id AS "id: uuid::Uuid", rule, version, event AS "event: uuid::Uuid", event_position,
            correlation AS "correlation: uuid::Uuid", status, reason, actions, started_at, finished_at
        FROM rules.run WHERE account = $1 AND id = $2
        "#,
        account.0,
        id.0
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// How often something limited happened after the one moment and before the other, as far as it is still known.
pub(crate) async fn limit_used_between(
    tx: &mut ScopedTx,
    rule: &str,
    purpose: Purpose,
    key: &[u8; 32],
    (after, before): (DateTime<Utc>, DateTime<Utc>),
) -> Result<usize, AccessError> {
    let account = tx.account();
    let hits = sqlx::query_scalar!(
        r#"
        SELECT count(*) AS "count!" FROM rules.limit_counter AS counter, unnest(counter.hits) AS hit
        WHERE account = $1 AND rule = $2 AND purpose = $3 AND key = $4 AND hit > $5 AND hit < $6
        "#,
        account.0,
        rule,
        purpose.as_str(),
        &key[..],
        after,
        before
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(usize::try_from(hits).unwrap_or(0))
}

/// Removes runs of all accounts that ended before a moment, with their journals, and counters that count nothing any
/// more; some at a time. How many.
pub(crate) async fn prune(tx: &mut ScopedTx, runs_before: DateTime<Utc>) -> Result<i64, AccessError> {
    let now = tx.now();
    let pruned = sqlx::query_scalar!(r#"SELECT rules.prune($1, $2) AS "count!""#, runs_before, now)
        .fetch_one(tx.conn())
        .await?;
    Ok(pruned)
}

/// Forgets what a rule has counted, so that it begins anew.
pub(crate) async fn limit_clear(tx: &mut ScopedTx, rule: &str, purpose: Purpose) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        "DELETE FROM rules.limit_counter WHERE account = $1 AND rule = $2 AND purpose = $3",
        account.0,
        rule,
        purpose.as_str()
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Removes the journals of these runs, and of those in which any of these ids stands.
pub(crate) async fn journals_erase(
    tx: &mut ScopedTx,
    ids: &[String],
    runs: &[uuid::Uuid],
) -> Result<(), sqlx::Error> {
    let account = tx.account();
    sqlx::query!(
        r#"
        DELETE FROM rules.journal_entry WHERE account = $1 AND (run = ANY($3) OR run IN (
            SELECT j.run FROM rules.journal_entry j
            WHERE j.account = $1 AND EXISTS (SELECT FROM unnest($2::text[]) AS named (id)
                WHERE position(named.id IN j.args::text) > 0 OR position(named.id IN j.value::text) > 0
                    OR j.message::text = named.id)))
        "#,
        account.0,
        ids,
        runs
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_arguments_have_the_same_hash_whatever_their_order() {
        let one: Value = serde_json::from_str(r#"[{"a":1,"b":"x"}]"#).unwrap();
        let other: Value = serde_json::from_str(r#"[{"b":"x","a":1}]"#).unwrap();
        assert_eq!(args_hash(&one), args_hash(&other));
        for different in [
            json!([{ "a": 1, "b": "y" }]),
            json!([{ "a": 1 }, { "b": "x" }]),
            json!([["a", 1, "b", "x"]]),
            json!([12]),
            json!([1, 2]),
        ] {
            assert_ne!(args_hash(&one), args_hash(&different), "{different}");
        }
        assert_ne!(args_hash(&json!([12])), args_hash(&json!([1, 2])));
    }
}
