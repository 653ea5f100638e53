//! Doors: the scope that a credential or an address stands for.
//!
//! Invariant: asked before anybody is known, so each look-up is a function of the database that tells one account and
//! nothing else.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use contracts::{AccountId, ConnectionId, TokenId};
use uuid::Uuid;

use super::{Access, AccessError, Principal, Scope, TokenKind};

/// Of more connections is asked anew.
const CONNECTIONS_KNOWN_MAX: usize = 10_000;

impl Access {
    /// The scope of a token that was presented as `secret`, if it is good for this door.
    ///
    /// # Errors
    /// [`AccessError::Database`] when the database is away.
    pub async fn scope_by_token(&self, kind: TokenKind, secret: &str) -> Result<Option<Scope>, AccessError> {
        let hash = token_hash(secret);
        let row = sqlx::query!(
            r#"SELECT token AS "token!", account AS "account!" FROM accounts.token_lookup($1, $2, $3)"#,
            kind.as_str(),
            &hash[..],
            self.inner.clock.now(),
        )
        .fetch_optional(&self.inner.app)
        .await?;
        Ok(row.map(|row| {
            Scope::new(
                AccountId(row.account),
                Principal::Token {
                    id: TokenId(row.token),
                    kind,
                },
            )
        }))
    }

    /// Somebody whom nobody knows yet, in an account that doesn't exist (its id is fresh): sees no row, but may ask the
    /// look-ups that come before a sign-in, and is who the first account is made by.
    pub fn scope_of_stranger(&self, part: &str) -> Scope {
        Scope::new(AccountId::new(), Principal::System(part.to_owned()))
    }

    /// The scope of a connection that a webhook's address names. The address proves nothing: the caller checks that
    /// the connection is (still) there, since whose it was is remembered, and its signature before it writes.
    ///
    /// # Errors
    /// [`AccessError::Database`] when the database is away.
    pub async fn scope_by_connection(
        &self,
        plugin: &str,
        connection: ConnectionId,
    ) -> Result<Option<Scope>, AccessError> {
        let known = self.inner.connections.account(plugin, connection);
        let account = match known {
            Some(account) => Some(account),
            None => sqlx::query_scalar!("SELECT plugins.connection_lookup($1, $2)", plugin, connection.0)
                .fetch_one(&self.inner.app)
                .await?
                .map(AccountId),
        };
        if let Some(account) = account.filter(|_| known.is_none()) {
            self.inner.connections.remember(plugin, connection, account);
        }
        Ok(account.map(|account| {
            Scope::new(
                account,
                Principal::Connection {
                    plugin: plugin.to_owned(),
                    id: connection,
                },
            )
            .by_rote()
        }))
    }

    /// The connection isn't there any more.
    pub fn forget_connection(&self, connection: ConnectionId) {
        self.inner.connections.forget(connection);
    }

    /// The scopes of a plugin's connections whose provider was not asked since a moment: for the hub's own timekeeper,
    /// which queues that it be asked. At most 1,000.
    ///
    /// # Errors
    /// [`AccessError::Database`] when the database is away.
    pub async fn scopes_of_due_connections(
        &self,
        plugin: &str,
        before: DateTime<Utc>,
    ) -> Result<Vec<(Scope, ConnectionId)>, AccessError> {
        let rows = sqlx::query!(
            r#"
            SELECT account AS "account!", connection AS "connection!" FROM plugins.connections_due($1, $2)
            "#,
            plugin,
            before
        )
        .fetch_all(&self.inner.app)
        .await?;
        let scope = |account, id| {
            Scope::new(
                AccountId(account),
                Principal::Connection {
                    plugin: plugin.to_owned(),
                    id,
                },
            )
        };
        Ok(rows
            .into_iter()
            .map(|row| {
                (
                    scope(row.account, ConnectionId(row.connection)),
                    ConnectionId(row.connection),
                )
            })
            .collect())
    }

    /// The scopes of accounts in which something planned has come due, for the hub's own timekeeper, which tells of it.
    /// At most 1,000, those that wait longest first.
    ///
    /// # Errors
    /// [`AccessError::Database`] when the database is away.
    pub async fn scopes_of_due_intentions(&self) -> Result<Vec<Scope>, AccessError> {
        let now = self.now();
        let accounts = sqlx::query_scalar!(
            r#"SELECT account AS "account!" FROM intentions.accounts_due($1)"#,
            now
        )
        .fetch_all(&self.inner.app)
        .await?;
        let scope = |account| Scope::new(AccountId(account), Principal::System("intentions".to_owned()));
        Ok(accounts.into_iter().map(scope).collect())
    }

    /// Streams of connections that are to be read by a moment, for the plugins' own timekeeper: the streams' rows.
    /// At most 1,000.
    ///
    /// # Errors
    /// [`AccessError::Database`] when the database is away.
    pub async fn scopes_of_due_streams(&self, by: DateTime<Utc>) -> Result<Vec<(Scope, Uuid)>, AccessError> {
        let rows = sqlx::query!(
            r#"
            SELECT account AS "account!", plugin AS "plugin!", connection AS "connection!", stream AS "stream!"
            FROM plugins.streams_due($1)
            "#,
            by
        )
        .fetch_all(&self.inner.app)
        .await?;
        let scope =
            |account, plugin, id| Scope::new(AccountId(account), Principal::Connection { plugin, id });
        Ok(rows
            .into_iter()
            .map(|row| {
                let id = ConnectionId(row.connection);
                (scope(row.account, row.plugin, id), row.stream)
            })
            .collect())
    }

    /// The scopes of accounts with a gap in their timelines, for the graph, which fills it. At most 1,000.
    ///
    /// # Errors
    /// [`AccessError::Database`] when the database is away.
    pub async fn scopes_of_timeline_gaps(&self) -> Result<Vec<Scope>, AccessError> {
        let accounts = sqlx::query_scalar!(r#"SELECT account AS "account!" FROM graph.accounts_with_gaps()"#)
            .fetch_all(&self.inner.app)
            .await?;
        let scope = |account| Scope::new(AccountId(account), Principal::System("graph".to_owned()));
        Ok(accounts.into_iter().map(scope).collect())
    }

    /// The scopes of accounts that keep contents which nobody needs since a moment, or whose part of the store was not
    /// searched since another: for the hub's own caretaker. At most 1,000.
    ///
    /// # Errors
    /// [`AccessError::Database`] when the database is away.
    pub async fn scopes_of_due_media(
        &self,
        released_before: DateTime<Utc>,
        swept_before: DateTime<Utc>,
    ) -> Result<Vec<Scope>, AccessError> {
        let accounts = sqlx::query_scalar!(
            r#"SELECT account AS "account!" FROM media.accounts_due($1, $2)"#,
            released_before,
            swept_before
        )
        .fetch_all(&self.inner.app)
        .await?;
        let scope = |account| Scope::new(AccountId(account), Principal::System("media".to_owned()));
        Ok(accounts.into_iter().map(scope).collect())
    }

    /// Imports that have a file on the disk, with the scope of each: for the importer itself, after a start.
    ///
    /// # Errors
    /// [`AccessError::Database`] when the database is away.
    pub async fn open_imports(&self) -> Result<Vec<(Scope, Uuid)>, AccessError> {
        let rows =
            sqlx::query!(r#"SELECT account AS "account!", import AS "import!" FROM etl.imports_open()"#)
                .fetch_all(&self.inner.app)
                .await?;
        let scope = |account| Scope::new(AccountId(account), Principal::System("etl".to_owned()));
        Ok(rows
            .into_iter()
            .map(|row| (scope(row.account), row.import))
            .collect())
    }

    /// Scopes of the accounts in which a fact expired by a moment and the log doesn't tell yet: for the hub's own
    /// timekeeper. At most 1,000.
    ///
    /// # Errors
    /// [`AccessError::Database`] when the database is away.
    pub async fn scopes_of_due_facts(&self, by: DateTime<Utc>) -> Result<Vec<Scope>, AccessError> {
        let accounts = sqlx::query_scalar!(r#"SELECT account AS "account!" FROM state.accounts_due($1)"#, by)
            .fetch_all(&self.inner.app)
            .await?;
        let scope = |account| Scope::new(AccountId(account), Principal::System("state".to_owned()));
        Ok(accounts.into_iter().map(scope).collect())
    }
}

/// Whose a connection is, which never changes as long as it is there.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<HashMap<ConnectionId, (String, AccountId)>>);

impl Connections {
    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, (String, AccountId)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn account(&self, plugin: &str, connection: ConnectionId) -> Option<AccountId> {
        let known = self.lock();
        let (of, account) = known.get(&connection)?;
        (of == plugin).then_some(*account)
    }

    fn remember(&self, plugin: &str, connection: ConnectionId, account: AccountId) {
        let mut known = self.lock();
        if known.len() >= CONNECTIONS_KNOWN_MAX {
            known.clear();
        }
        known.insert(connection, (plugin.to_owned(), account));
    }

    fn forget(&self, connection: ConnectionId) {
        self.lock().remove(&connection);
    }
}

/// What is stored of a token: the SHA-256 of its secret. Secrets have 256 random bits, so no slow hash is needed.
pub fn token_hash(secret: &str) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(secret.as_bytes()).into()
}
