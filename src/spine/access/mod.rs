//! Access: every touch of personal data happens in a [`ScopedTx`], a transaction bound to a [`Scope`].
//!
//! Invariant: a `Scope` can't be made outside the spine. It comes from a credential, a webhook's address, or the
//! envelope of an event or job, and the database itself (forced row-level security) shows its rows only.
//! Rows, events, audit entries and jobs of a `ScopedTx` commit together or not at all; the events come last.
//! Begin with [`Access::begin`], then [`ScopedTx::publish`].

mod bodies;
mod cause;
mod claims;
mod doors;
mod error;
mod scope;
mod tx;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use contracts::{AccountId, Clock};
use sqlx::PgPool;

pub use cause::{Cause, DEPTH_MAX};
pub use doors::token_hash;
pub use error::{AccessError, database_is_away};
pub(crate) use error::{database_text, database_was_cut_off};
pub use scope::{Gate, Principal, Scope, TokenKind};
pub use tx::ScopedTx;

use crate::log::wake::Wake;
use crate::refusals::Refusals;
use crate::vault::Vault;

/// The class of advisory locks that say "somebody works for this account": "alw" and the lock's kind.
const AT_WORK: i32 = 0x616c_7701;

/// Opens transactions for scopes, and finds the scope that a credential or address stands for.
#[derive(Debug, Clone)]
pub struct Access {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    app: PgPool,
    clock: Arc<dyn Clock>,
    vault: Vault,
    wake: Wake,
    refusals: Refusals,
}

impl Access {
    pub(crate) fn new(app: PgPool, clock: Arc<dyn Clock>, vault: Vault, wake: Wake) -> Self {
        Self {
            inner: Arc::new(Inner {
                app,
                clock,
                vault,
                wake,
                refusals: Refusals::default(),
            }),
        }
    }

    /// Opens a transaction that sees and writes the scope's account only.
    ///
    /// # Errors
    /// [`AccessError::Database`] when the database is away; [`AccessError::Erased`] when the account was erased.
    pub async fn begin(&self, scope: &Scope, cause: Cause) -> Result<ScopedTx, AccessError> {
        let (tx, erased) = self.open(scope, cause).await?;
        if erased { Err(AccessError::Erased) } else { Ok(tx) }
    }

    /// As [`Access::begin`], for an erased account too: what removes its rows needs to see them.
    pub(crate) async fn begin_erasure(&self, scope: &Scope) -> Result<ScopedTx, AccessError> {
        Ok(self.open(scope, Cause::outside()).await?.0)
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

    async fn open(&self, scope: &Scope, cause: Cause) -> Result<(ScopedTx, bool), AccessError> {
        let mut tx = self.inner.app.begin().await?;
        let erased = sqlx::query!(
            r#"
            SELECT pg_advisory_xact_lock_shared($3, hashtext($1)), set_config('allod.account', $1, true),
                EXISTS (SELECT FROM spine.erasure WHERE account = $2) AS "erased!"
            "#,
            scope.account.to_string(),
            scope.account.0,
            AT_WORK
        )
        .fetch_one(&mut *tx)
        .await?
        .erased;
        let tx = ScopedTx::new(tx, self.clone(), scope.clone(), cause);
        Ok((tx, erased))
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

/// PostgreSQL keeps microseconds; what we hash and compare must be what it gives back.
pub(crate) fn truncate_to_micros(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}
