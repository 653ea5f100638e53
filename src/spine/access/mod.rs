//! Access: every touch of personal data happens in a [`ScopedTx`], a transaction bound to a [`Scope`].
//!
//! Invariant: a `Scope` can't be made outside the spine. It comes from a credential, a webhook's address, or the
//! envelope of an event or job, and the database itself (forced row-level security) shows its rows only.
//! Rows, events, audit entries and jobs of a `ScopedTx` commit together or not at all; the events come last.
//! Begin with [`Access::begin`], then [`ScopedTx::publish`].

mod bodies;
mod cause;
mod claims;
mod deed;
mod doors;
mod error;
mod scope;
mod tx;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use contracts::{AccountId, Clock};
use sqlx::PgPool;
use tokio::sync::Semaphore;

pub use cause::{Cause, DEPTH_MAX};
pub use doors::token_hash;
pub use error::{AccessError, database_is_away};
pub(crate) use error::{database_text, database_was_cut_off};
pub use scope::{Gate, Principal, Scope, TokenKind};
pub use tx::ScopedTx;

use crate::database::pools;
use crate::log::wake::Wake;
use crate::refusals::Refusals;
use crate::vault::Vault;

/// The class of advisory locks that say "somebody works for this account": "alw" and the lock's kind. `spine.enter`
/// takes them.
const AT_WORK: i32 = 0x616c_7701;

/// Opens transactions for scopes, and finds the scope that a credential or address stands for.
#[derive(Debug, Clone)]
pub struct Access {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    app: PgPool,
    /// For transactions by rote, as long as one of its few is free.
    rote: PgPool,
    rote_free: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    vault: Vault,
    wake: Wake,
    refusals: Refusals,
    connections: doors::Connections,
}

impl Access {
    pub(crate) fn new(app: PgPool, clock: Arc<dyn Clock>, vault: Vault, wake: Wake) -> Self {
        Self {
            inner: Arc::new(Inner {
                rote: pools::by_rote(&app),
                rote_free: Arc::new(Semaphore::new(pools::BY_ROTE as usize)),
                app,
                clock,
                vault,
                wake,
                refusals: Refusals::default(),
                connections: doors::Connections::default(),
            }),
        }
    }

    /// Opens a transaction that sees and writes the scope's account only.
    ///
    /// # Errors
    /// [`AccessError::Database`] when the database is away; [`AccessError::Erased`] when the account was erased.
    pub async fn begin(&self, scope: &Scope, cause: Cause) -> Result<ScopedTx, AccessError> {
        self.open(scope, cause, false).await
    }

    /// As [`Access::begin`], for an erased account too: what removes its rows needs to see them.
    pub(crate) async fn begin_erasure(&self, scope: &Scope) -> Result<ScopedTx, AccessError> {
        self.open(scope, Cause::outside(), true).await
    }

    /// Whether nobody works for the account any more: each transaction of a scope holds a shared lock until its end.
    pub(crate) async fn is_at_rest(
        conn: &mut sqlx::PgConnection,
        account: AccountId,
    ) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar!(
            r#"SELECT pg_try_advisory_xact_lock($1, hashtext($2)) AS "rests!""#,
            AT_WORK,
            account.to_string()
        )
        .fetch_one(conn)
        .await
    }

    /// One question to the database: what stands before BEGIN in it becomes a part of the transaction, and when it is
    /// refused there is none.
    async fn open(&self, scope: &Scope, cause: Cause, though_erased: bool) -> Result<ScopedTx, AccessError> {
        // A UUID needs no quoting, and nothing else of the scope goes in.
        let (account, inner) = (scope.account.0, &self.inner);
        let of_rote = scope
            .by_rote
            .then(|| inner.rote_free.clone().try_acquire_owned().ok());
        let of_rote = of_rote.flatten();
        let (pool, by_rote) = match of_rote {
            Some(_) => (&inner.rote, false), // set up for it
            None => (&inner.app, scope.by_rote),
        };
        let begin = format!("SELECT spine.enter('{account}', {though_erased}, {by_rote}); BEGIN");
        let tx = pool.begin_with(begin).await.map_err(entered)?;
        Ok(ScopedTx::new((tx, of_rote), self.clone(), scope.clone(), cause))
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        truncate_to_micros(self.inner.clock.now())
    }

    pub(crate) fn wake(&self) -> &Wake {
        &self.inner.wake
    }

    pub(crate) fn refusals(&self) -> &Refusals {
        &self.inner.refusals
    }
}

/// Why a transaction could not be entered. `AL001` is what `spine.enter` says of an account that was erased.
fn entered(error: sqlx::Error) -> AccessError {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    if code.is_some_and(|code| code == "AL001") {
        AccessError::Erased
    } else {
        error.into()
    }
}

/// PostgreSQL keeps microseconds; what we hash and compare must be what it gives back.
pub(crate) fn truncate_to_micros(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}
