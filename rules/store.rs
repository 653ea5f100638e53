//! The SQL of rules and their versions.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use spine::access::{AccessError, ScopedTx};

/// A rule as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredRule {
    pub(crate) id: String,
    pub(crate) enabled: bool,
    /// Since when it runs.
    pub(crate) enabled_at: Option<DateTime<Utc>>,
    pub(crate) version: String,
    pub(crate) inputs: Value,
    pub(crate) origin: String,
    pub(crate) paused_reason: Option<String>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) source: String,
}

impl StoredRule {
    /// What the owner set.
    pub(crate) fn set_inputs(&self) -> Map<String, Value> {
        self.inputs.as_object().cloned().unwrap_or_default()
    }
}

/// How often the account's rules have changed.
pub(crate) async fn epoch(tx: &mut ScopedTx) -> Result<i64, AccessError> {
    let account = tx.account();
    let found = sqlx::query_scalar!("SELECT epoch FROM rules.epoch WHERE account = $1", account.0)
        .fetch_optional(tx.conn())
        .await?;
    Ok(found.unwrap_or(0))
}

/// Tells every process that the account's rules changed.
pub(crate) async fn epoch_advance(tx: &mut ScopedTx) -> Result<(), AccessError> {
    let account = tx.account();
    sqlx::query!(
        "INSERT INTO rules.epoch (account, epoch) VALUES ($1, 1) ON CONFLICT (account) DO UPDATE SET epoch = rules.epoch.epoch + 1",
        account.0
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The account's rules, in order of id; at most 5,000.
pub(crate) async fn rule_list(tx: &mut ScopedTx) -> Result<Vec<StoredRule>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        StoredRule,
        r#"
        SELECT rule.id, rule.enabled, rule.enabled_at, rule.version, rule.inputs, rule.origin, rule.paused_reason,
            rule.updated_at, version.source
        FROM rules.rule AS rule
        JOIN rules.rule_version AS version
            ON version.account = rule.account AND version.rule = rule.id AND version.version = rule.version
        WHERE rule.account = $1 ORDER BY rule.id LIMIT 5000
        "#,
        account.0
    )
    .fetch_all(tx.conn())
    .await?)
}

/// One rule; locked against other changes until the transaction ends.
pub(crate) async fn rule_by_id(tx: &mut ScopedTx, id: &str) -> Result<Option<StoredRule>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        StoredRule,
        r#"
        SELECT rule.id, rule.enabled, rule.enabled_at, rule.version, rule.inputs, rule.origin, rule.paused_reason,
            rule.updated_at, version.source
        FROM rules.rule AS rule
        JOIN rules.rule_version AS version
            ON version.account = rule.account AND version.rule = rule.id AND version.version = rule.version
        WHERE rule.account = $1 AND rule.id = $2 FOR UPDATE OF rule
        "#,
        account.0,
        id
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// Writes a rule and its version down, as `rule` says.
pub(crate) async fn rule_put(tx: &mut ScopedTx, rule: &StoredRule) -> Result<(), AccessError> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        INSERT INTO rules.rule_version (account, rule, version, source, created_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING
        "#,
        account.0,
        rule.id,
        rule.version,
        rule.source,
        now
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        r#"
        INSERT INTO rules.rule (account, id, enabled, version, inputs, origin, paused_reason, created_at, updated_at,
            enabled_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)
        ON CONFLICT (account, id) DO UPDATE SET enabled = excluded.enabled, enabled_at = excluded.enabled_at,
            version = excluded.version, inputs = excluded.inputs, origin = excluded.origin, paused_reason = excluded.paused_reason,
            updated_at = excluded.updated_at
        "#,
        account.0,
        rule.id,
        rule.enabled,
        rule.version,
        rule.inputs,
        rule.origin,
        rule.paused_reason,
        now,
        rule.enabled_at
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Stops a rule with a reason. False: it was not running.
pub(crate) async fn rule_pause(tx: &mut ScopedTx, id: &str, reason: &str) -> Result<bool, AccessError> {
    let (account, now) = (tx.account(), tx.now());
    let done = sqlx::query!(
        r#"
        UPDATE rules.rule SET enabled = false, paused_reason = $3, updated_at = $4
        WHERE account = $1 AND id = $2 AND enabled
        "#,
        account.0,
        id,
        reason,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes a rule. Its versions stay, because the traces of its runs show them. False: there was none.
pub(crate) async fn rule_delete(tx: &mut ScopedTx, id: &str) -> Result<bool, AccessError> {
    let account = tx.account();
    let done = sqlx::query!(
        "DELETE FROM rules.rule WHERE account = $1 AND id = $2",
        account.0,
        id
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}
