//! How each role's connections are set up.

use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use super::error::DatabaseError;
use super::roles::Role;

/// A webhook waits this long for a connection before it answers 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that rested longer is asked whether it still lives before it is given out.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// Connections for what is done by rote. Few: one that was used a moment ago answers several times as fast as one of many
/// that take turns, whose plans and tables the processor has forgotten.
pub(crate) const BY_ROTE: u32 = 4;

/// Adds what every connection of the role has: a name, limits, and a search path on which nobody can place a function
/// or table in front of the meant one. A later `options` overrides these.
pub(super) fn for_role(options: PgConnectOptions, role: Role) -> PgConnectOptions {
    let options = options
        .username(role.name())
        .application_name(&role.name().replace('_', " "))
        .statement_cache_capacity(256)
        .options([("timezone", "UTC")]);
    match role {
        // Migrations take as long as they take.
        Role::Owner => options.options([("search_path", "public"), ("statement_timeout", "0")]),
        Role::App => options.options([
            ("search_path", "pg_catalog,pg_temp"),
            ("statement_timeout", "60s"),
            ("idle_in_transaction_session_timeout", "60s"),
        ]),
        Role::Spine => options.options([
            ("search_path", "pg_catalog,pg_temp"),
            ("statement_timeout", "120s"),
            ("idle_in_transaction_session_timeout", "60s"),
        ]),
    }
}

/// A pool of the role with one connection made, so that a wrong password shows at the start.
pub(super) async fn open(
    options: PgConnectOptions,
    role: Role,
    connections: u32,
) -> Result<PgPool, DatabaseError> {
    limits(connections)
        .min_connections(1)
        .connect_with(options)
        .await
        .map_err(DatabaseError::unreachable(role.name()))
}

/// A few connections like those of `app` where each statement is planned once, and by index (`spine.enter`).
pub(crate) fn by_rote(app: &PgPool) -> PgPool {
    let connect = PgConnectOptions::clone(&app.connect_options()).options([
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
    ]);
    limits(BY_ROTE).connect_lazy_with(connect)
}

fn limits(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections.max(1))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(Duration::from_secs(600))
        // The question costs a round trip, which a busy pool saves.
        .test_before_acquire(false)
        .before_acquire(|conn, meta| {
            Box::pin(async move { Ok(meta.idle_for < TRUSTED_IDLE || conn.ping().await.is_ok()) })
        })
}
