//! All SQL of the accounts service.

use chrono::{DateTime, Utc};
use contracts::{AccountId, TokenId};
use spine::access::{TokenKind, token_hash};
use spine::{AccessError, ScopedTx};

use crate::model::{Account, Token};

/// How long a set-up link is good.
const SETUP_LIFE: chrono::Duration = chrono::Duration::hours(24);

/// A new account, with the id of the transaction's scope.
#[derive(Debug)]
pub(crate) struct NewAccount<'a> {
    pub(crate) handle: &'a str,
    pub(crate) display_name: &'a str,
    pub(crate) zone: &'a str,
    pub(crate) locale: &'a str,
    pub(crate) password_hash: Option<&'a str>,
    pub(crate) is_owner: bool,
}

/// False: somebody else has the handle.
pub(crate) async fn account_insert(tx: &mut ScopedTx, new: &NewAccount<'_>) -> Result<bool, AccessError> {
    let (account, now) = (tx.account(), tx.now());
    let done = sqlx::query!(
        r#"
        INSERT INTO accounts.account
            (account, handle, display_name, zone, locale, password_hash, is_owner, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (lower(handle)) DO NOTHING
        "#,
        account.0,
        new.handle,
        new.display_name,
        new.zone,
        new.locale,
        new.password_hash,
        new.is_owner,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The account of the transaction's scope; `None`: it is gone, or the scope is the instance's.
pub(crate) async fn account_own(tx: &mut ScopedTx) -> Result<Option<Account>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        Account,
        r#"
        SELECT account AS "id: uuid::Uuid", handle, display_name, zone, locale, is_owner, created_at
        FROM accounts.account WHERE account = $1
        "#,
        account.0
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// Changes what is given; false if the account is gone.
pub(crate) async fn account_update(
    tx: &mut ScopedTx,
    display_name: Option<&str>,
    zone: Option<&str>,
    locale: Option<&str>,
) -> Result<bool, AccessError> {
    let account = tx.account();
    let done = sqlx::query!(
        r#"
        UPDATE accounts.account SET display_name = coalesce($2, display_name), zone = coalesce($3, zone),
            locale = coalesce($4, locale)
        WHERE account = $1
        "#,
        account.0,
        display_name,
        zone,
        locale
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Every account, oldest first, at most 1,000: for the operator alone.
pub(crate) async fn account_list(tx: &mut ScopedTx) -> Result<Vec<Account>, AccessError> {
    Ok(sqlx::query_as!(
        Account,
        r#"
        SELECT account AS "id!: uuid::Uuid", handle AS "handle!", display_name AS "display_name!", zone AS "zone!",
            locale AS "locale!", is_owner AS "is_owner!", created_at AS "created_at!"
        FROM accounts.account_list()
        "#
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Whom a handle or id means.
pub(crate) async fn account_lookup(
    tx: &mut ScopedTx,
    handle_or_id: &str,
) -> Result<Option<AccountId>, AccessError> {
    let found = sqlx::query_scalar!("SELECT accounts.account_lookup($1)", handle_or_id)
        .fetch_one(tx.conn())
        .await?;
    Ok(found.map(AccountId))
}

/// The account's password, if it has one.
pub(crate) async fn account_password_hash(tx: &mut ScopedTx) -> Result<Option<String>, AccessError> {
    let account = tx.account();
    let row = sqlx::query_scalar!(
        "SELECT password_hash FROM accounts.account WHERE account = $1",
        account.0
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.flatten())
}

/// False: the account is gone.
pub(crate) async fn account_set_password(tx: &mut ScopedTx, hash: &str) -> Result<bool, AccessError> {
    let account = tx.account();
    let done = sqlx::query!(
        "UPDATE accounts.account SET password_hash = $2 WHERE account = $1",
        account.0,
        hash
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// True while nobody lives here; then no other transaction is told so until this one ends.
pub(crate) async fn is_empty(tx: &mut ScopedTx) -> Result<bool, AccessError> {
    Ok(sqlx::query_scalar!(r#"SELECT accounts.is_empty() AS "empty!""#)
        .fetch_one(tx.conn())
        .await?)
}

/// Whose password a sign-in with this handle is checked against.
pub(crate) async fn login_lookup(
    tx: &mut ScopedTx,
    handle: &str,
) -> Result<Option<(AccountId, Option<String>)>, AccessError> {
    let row = sqlx::query!(
        r#"SELECT account AS "account!", password_hash FROM accounts.login_lookup($1)"#,
        handle
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| (AccountId(row.account), row.password_hash)))
}

/// A session that counts for one minute, until [`session_confirm`].
pub(crate) async fn session_open(
    tx: &mut ScopedTx,
    account: AccountId,
    token: TokenId,
    name: &str,
    secret: &str,
) -> Result<(), AccessError> {
    let (hash, now) = (token_hash(secret), tx.now());
    sqlx::query!(
        "SELECT accounts.session_open($1, $2, $3, $4, $5)",
        token.0,
        account.0,
        name,
        &hash[..],
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The session counts until then.
pub(crate) async fn session_confirm(
    tx: &mut ScopedTx,
    token: TokenId,
    until: DateTime<Utc>,
) -> Result<Option<Token>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        Token,
        r#"
        UPDATE accounts.token SET expires_at = $3
        WHERE account = $1 AND token = $2 AND kind = 'session' AND revoked_at IS NULL
        RETURNING token AS "id: uuid::Uuid", kind, name, created_at, expires_at, revoked_at
        "#,
        account.0,
        token.0,
        until
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// A token of the account, with the hash of its secret.
pub(crate) async fn token_insert(
    tx: &mut ScopedTx,
    kind: TokenKind,
    name: &str,
    secret: &str,
    expires_at: Option<DateTime<Utc>>,
) -> Result<Token, AccessError> {
    let (account, now, hash) = (tx.account(), tx.now(), token_hash(secret));
    Ok(sqlx::query_as!(
        Token,
        r#"
        INSERT INTO accounts.token (token, account, kind, name, hash, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        RETURNING token AS "id: uuid::Uuid", kind, name, created_at, expires_at, revoked_at
        "#,
        TokenId::new().0,
        account.0,
        kind.as_str(),
        name,
        &hash[..],
        now,
        expires_at
    )
    .fetch_one(tx.conn())
    .await?)
}

/// The account's tokens that are still good, newest first, at most 500.
pub(crate) async fn token_list(tx: &mut ScopedTx) -> Result<Vec<Token>, AccessError> {
    let (account, now) = (tx.account(), tx.now());
    Ok(sqlx::query_as!(
        Token,
        r#"
        SELECT token AS "id: uuid::Uuid", kind, name, created_at, expires_at, revoked_at FROM accounts.token
        WHERE account = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
        ORDER BY created_at DESC, token DESC LIMIT 500
        "#,
        account.0,
        now
    )
    .fetch_all(tx.conn())
    .await?)
}

/// What a revocation met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Revoked {
    /// The token was good; it is refused from now on.
    Now,
    /// It was revoked before.
    Before,
    /// The account has no such token.
    Unknown,
}

/// Revokes a token of the account.
pub(crate) async fn token_revoke(tx: &mut ScopedTx, token: TokenId) -> Result<Revoked, AccessError> {
    let (account, now) = (tx.account(), tx.now());
    let done = sqlx::query!(
        "UPDATE accounts.token SET revoked_at = $3 WHERE account = $1 AND token = $2 AND revoked_at IS NULL",
        account.0,
        token.0,
        now
    )
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 1 {
        return Ok(Revoked::Now);
    }
    let there = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM accounts.token WHERE account = $1 AND token = $2) AS "there!""#,
        account.0,
        token.0
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(if there { Revoked::Before } else { Revoked::Unknown })
}

/// Ends every session of the account but one.
pub(crate) async fn session_revoke_others(
    tx: &mut ScopedTx,
    keep: Option<TokenId>,
) -> Result<Vec<TokenId>, AccessError> {
    let (account, now) = (tx.account(), tx.now());
    let ended = sqlx::query_scalar!(
        r#"
        UPDATE accounts.token SET revoked_at = $2
        WHERE account = $1 AND kind = 'session' AND revoked_at IS NULL AND token IS DISTINCT FROM $3
        RETURNING token
        "#,
        account.0,
        now,
        keep.map(|token| token.0)
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(ended.into_iter().map(TokenId).collect())
}

/// A set-up link in the place of every older one. False: somebody lives here already.
pub(crate) async fn setup_issue(tx: &mut ScopedTx, secret: &str) -> Result<bool, AccessError> {
    let (hash, now) = (token_hash(secret), tx.now());
    Ok(sqlx::query_scalar!(
        r#"SELECT accounts.setup_issue($1, $2, $3) AS "issued!""#,
        &hash[..],
        now,
        now + SETUP_LIFE
    )
    .fetch_one(tx.conn())
    .await?)
}

/// True: whoever holds this link may set the hub up.
pub(crate) async fn setup_is_open(tx: &mut ScopedTx, secret: &str) -> Result<bool, AccessError> {
    let (hash, now) = (token_hash(secret), tx.now());
    Ok(sqlx::query_scalar!(
        r#"SELECT accounts.setup_is_open($1, $2) AS "open!""#,
        &hash[..],
        now
    )
    .fetch_one(tx.conn())
    .await?)
}

/// Uses the link up with the commit. False: it is wrong, old or used.
pub(crate) async fn setup_use(tx: &mut ScopedTx, secret: &str) -> Result<bool, AccessError> {
    let (hash, now) = (token_hash(secret), tx.now());
    Ok(
        sqlx::query_scalar!(r#"SELECT accounts.setup_use($1, $2) AS "used!""#, &hash[..], now)
            .fetch_one(tx.conn())
            .await?,
    )
}
