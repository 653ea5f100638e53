//! Access: every touch of personal data happens in a [`ScopedTx`], a transaction bound to a [`Scope`].
//!
//! Invariant: a `Scope` can't be made outside the spine. It comes from a credential, a webhook's address, or the
//! envelope of an event or job, and the database itself (forced row-level security) shows its rows only.
//! Rows, events, audit entries and jobs of a `ScopedTx` commit together or not at all; the events come last.
//! Begin with [`Access::begin`], then [`ScopedTx::publish`].

use std::sync::Arc;

use chrono::{DateTime, Utc};
use contracts::events::audit::AccessRecorded;
use contracts::{
    AccountId, Clock, ConnectionId, CorrelationId, EventId, EventPayload, JobClass, JobId, JobPayload, Lane,
    NewEvent, Position, TokenId,
};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use crate::log::{outbox, wake::Wake};
use crate::queue::{JobOptions, QueueError};
use crate::refusals::Refusals;
use crate::vault::Vault;

/// Chains of causes longer than this are refused, so that two rules (or two hubs) can't feed each other for ever.
pub const DEPTH_MAX: i16 = 16;

/// Why data could not be touched.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The database is away or refused; the caller may try again.
    #[error("the database is not available")]
    Database(#[from] sqlx::Error),
    /// A payload could not be written as JSON.
    #[error("a payload can't be written as JSON")]
    Payload(#[from] serde_json::Error),
    /// The job could not be queued.
    #[error("the job could not be queued")]
    Queue(#[from] QueueError),
    /// The account was erased.
    #[error("the account was erased")]
    Erased,
    /// The chain of causes is too long.
    #[error("the chain of causes is longer than {DEPTH_MAX}: refused, since something feeds itself")]
    TooDeep,
}

impl AccessError {
    /// True when the database is away rather than the request wrong, so that waiting helps.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database(error) => database_is_away(error),
            Self::Queue(error) => error.is_transient(),
            Self::Payload(_) | Self::Erased | Self::TooDeep => false,
        }
    }
}

/// True when the error says that the database is away or overloaded, not that the statement was wrong.
pub fn database_is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        // Class 08 connection, 53 resources, 57 operator intervention (shutdown), 40 serialization and deadlock.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["08", "53", "57", "40"]
                .iter()
                .any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}

/// Who acts within an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A program that holds a token of the account.
    Token {
        /// The token's id.
        id: TokenId,
        /// What it is for.
        kind: TokenKind,
    },
    /// A connection through which a service speaks to us.
    Connection {
        /// The plugin.
        plugin: String,
        /// The connection.
        id: ConnectionId,
    },
    /// A rule of the owner.
    Rule(String),
    /// Whoever may use the control socket: the person who runs the hub.
    Operator,
    /// A part of the hub, named, acting because of an event or job of the account.
    System(String),
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token { id, kind } => write!(f, "token:{}/{id}", kind.as_str()),
            Self::Connection { plugin, id } => write!(f, "connector:{plugin}/{id}"),
            Self::Rule(id) => write!(f, "rule:{id}"),
            Self::Operator => f.write_str("operator"),
            Self::System(name) => write!(f, "system:{name}"),
        }
    }
}

/// What a token is for; it opens that door only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A device that reports readings (`/device-events`).
    Device,
    /// A program that uses the API.
    Api,
    /// A person who signed in.
    Session,
}

impl TokenKind {
    /// The name in the database and in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Api => "api",
            Self::Session => "session",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Device, Self::Api, Self::Session]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// An account and who acts in it. Only the spine makes one.
///
/// ```compile_fail
/// // A service can't forge a scope: the fields are private and there is no constructor.
/// let scope = spine::access::Scope {
///     account: contracts::AccountId::INSTANCE,
///     principal: spine::access::Principal::Operator,
/// };
/// ```
/// ```compile_fail
/// let scope = spine::access::Scope::new(contracts::AccountId::INSTANCE, spine::access::Principal::Operator);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    account: AccountId,
    principal: Principal,
}

impl Scope {
    pub(crate) fn new(account: AccountId, principal: Principal) -> Self {
        Self { account, principal }
    }

    /// Whose data.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// Who acts.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The operator turns to another account. `None` for everybody else.
    pub fn in_account(&self, account: AccountId) -> Option<Self> {
        (self.principal == Principal::Operator).then(|| Self::new(account, Principal::Operator))
    }

    /// The same principal in an account that is about to be made. Its id is fresh, so it can't be another's.
    pub fn in_new_account(&self) -> Self {
        Self::new(AccountId::new(), self.principal.clone())
    }
}

/// Because of what something happens, and how urgently.
#[derive(Debug, Clone, Copy)]
pub struct Cause {
    /// Shared by everything that one occurrence set off.
    pub correlation: CorrelationId,
    /// The event that led here; `None` when it came from outside.
    pub causation: Option<EventId>,
    /// How long the chain of causes is.
    pub depth: i16,
    /// The lane of what is published.
    pub lane: Lane,
}

impl Cause {
    /// Something new from outside, live. Within a request it bears the request's correlation id (see
    /// [`crate::edge::with_correlation`]), so that log, events and the caller speak of the same thing.
    pub fn outside() -> Self {
        let correlation = crate::edge::request_correlation().unwrap_or_default();
        Self {
            correlation,
            causation: None,
            depth: 0,
            lane: Lane::Live,
        }
    }

    /// What follows from an event.
    pub fn event(event: &contracts::Event) -> Self {
        Self {
            correlation: event.correlation,
            causation: Some(event.id),
            depth: event.depth.saturating_add(1),
            lane: event.lane,
        }
    }
}

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

    async fn open(&self, scope: &Scope, cause: Cause) -> Result<(ScopedTx, bool), AccessError> {
        let mut tx = self.inner.app.begin().await?;
        let erased = sqlx::query!(
            r#"
            SELECT set_config('allod.account', $1, true),
                EXISTS (SELECT FROM spine.erasure WHERE account = $2) AS "erased!"
            "#,
            scope.account.to_string(),
            scope.account.0
        )
        .fetch_one(&mut *tx)
        .await?
        .erased;
        let tx = ScopedTx {
            tx,
            now: truncate_to_micros(self.inner.clock.now()),
            scope: scope.clone(),
            cause,
            events: Vec::new(),
            classes_queued: Vec::new(),
            access: self.clone(),
        };
        Ok((tx, erased))
    }

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

    /// The scope of a connection that a webhook's address names. The address proves nothing: the caller checks the
    /// signature before it writes.
    ///
    /// # Errors
    /// [`AccessError::Database`] when the database is away.
    pub async fn scope_by_connection(
        &self,
        plugin: &str,
        connection: ConnectionId,
    ) -> Result<Option<Scope>, AccessError> {
        let account = sqlx::query_scalar!("SELECT plugins.connection_lookup($1, $2)", plugin, connection.0)
            .fetch_one(&self.inner.app)
            .await?;
        Ok(account.map(|account| {
            Scope::new(
                AccountId(account),
                Principal::Connection {
                    plugin: plugin.to_owned(),
                    id: connection,
                },
            )
        }))
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
        let accounts =
            sqlx::query_scalar!(r#"SELECT account AS "account!" FROM intentions.accounts_due($1)"#, now)
                .fetch_all(&self.inner.app)
                .await?;
        let scope = |account| Scope::new(AccountId(account), Principal::System("intentions".to_owned()));
        Ok(accounts.into_iter().map(scope).collect())
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

/// What is stored of a token: the SHA-256 of its secret. Secrets have 256 random bits, so no slow hash is needed.
pub fn token_hash(secret: &str) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(secret.as_bytes()).into()
}

/// PostgreSQL keeps microseconds; what we hash and compare must be what it gives back.
pub(crate) fn truncate_to_micros(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}

/// A transaction bound to a [`Scope`]. Dropped without [`ScopedTx::commit`], it never was.
pub struct ScopedTx {
    tx: Transaction<'static, Postgres>,
    now: DateTime<Utc>,
    scope: Scope,
    cause: Cause,
    events: Vec<outbox::Row>,
    classes_queued: Vec<JobClass>,
    access: Access,
}

impl std::fmt::Debug for ScopedTx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScopedTx")
            .field("scope", &self.scope)
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}

impl ScopedTx {
    /// The connection, for the SQL of a `store.rs`.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// When the transaction began, in microseconds: "now" for everything in it.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Whose data, and who acts.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The account, for an `INSERT`.
    pub fn account(&self) -> AccountId {
        self.scope.account
    }

    /// Because of what this happens.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// What follows is because of this: the next event of a consumer's batch.
    pub(crate) fn follow(&mut self, cause: Cause) {
        self.cause = cause;
    }

    /// Publishes on another lane than the cause's, as an import does.
    pub fn set_lane(&mut self, lane: Lane) {
        self.cause.lane = lane;
    }

    /// A part of the hub goes on in the name of one of the owner's rules. Only narrows: a token or connection stays
    /// what it is.
    pub fn act_as_rule(&mut self, rule: &str) {
        if matches!(self.scope.principal, Principal::System(_) | Principal::Rule(_)) {
            self.scope.principal = Principal::Rule(rule.to_owned());
        }
    }

    /// A keyed hash of personal data, for idempotency and limit keys. Can't be guessed from without the key.
    pub fn pseudonym(&self, purpose: &str, data: &[u8]) -> [u8; 32] {
        self.access.inner.vault.pseudonym(purpose, data)
    }

    /// Publishes an event with the commit. Returns its id, for rows that name it.
    ///
    /// # Errors
    /// [`AccessError::Payload`] when the payload can't be written as JSON; [`AccessError::TooDeep`] when the chain of
    /// causes is longer than [`DEPTH_MAX`].
    pub fn publish(&mut self, event: NewEvent) -> Result<EventId, AccessError> {
        self.refuse_depth()?;
        let id = event.id;
        self.events
            .push(outbox::Row::new(event, &self.scope, &self.cause, self.now)?);
        Ok(id)
    }

    /// Publishes a payload that is about `subject`, now.
    ///
    /// # Errors
    /// As [`ScopedTx::publish`].
    pub fn publish_about<P: EventPayload>(
        &mut self,
        subject: impl ToString,
        payload: &P,
    ) -> Result<EventId, AccessError> {
        self.publish(NewEvent::of(payload)?.about(subject))
    }

    /// Records a write or action in the audit: `action` is `read`, `write` or `act`; `on` a noun and an id.
    ///
    /// # Errors
    /// As [`ScopedTx::publish`].
    pub fn audit(
        &mut self,
        action: &str,
        on: impl Into<String>,
        count: Option<u64>,
    ) -> Result<(), AccessError> {
        self.publish(NewEvent::of(&AccessRecorded {
            action: action.to_owned(),
            on: on.into(),
            count,
        })?)?;
        Ok(())
    }

    /// True the first time that this account meets `key` from `source`; the second time false.
    ///
    /// # Errors
    /// [`AccessError::Database`].
    pub async fn claim(&mut self, source: &str, key: &[u8]) -> Result<bool, AccessError> {
        let hash = self.pseudonym(source, key);
        let (account, now) = (self.account(), self.now);
        let done = sqlx::query!(
            "INSERT INTO spine.idempotency (account, source, key, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            account.0,
            source,
            &hash[..],
            now
        )
        .execute(self.conn())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Queues a job with the commit. `None`: a job with the same singleton or debounce key is there already.
    ///
    /// # Errors
    /// [`AccessError::Queue`].
    pub async fn enqueue<P: JobPayload>(
        &mut self,
        payload: &P,
        options: JobOptions,
    ) -> Result<Option<JobId>, AccessError> {
        self.refuse_depth()?;
        let (account, cause) = (self.account(), self.cause);
        let job = crate::queue::enqueue(&mut self.tx, account, cause, payload, options).await?;
        if job.is_some() && !self.classes_queued.contains(&P::CLASS) {
            self.classes_queued.push(P::CLASS);
        }
        Ok(job)
    }

    fn refuse_depth(&self) -> Result<(), AccessError> {
        if self.cause.depth > DEPTH_MAX {
            Err(AccessError::TooDeep)
        } else {
            Ok(())
        }
    }

    /// Where the log stood when asked: everything up to here is sealed.
    ///
    /// # Errors
    /// [`AccessError::Database`].
    pub async fn log_head(&mut self) -> Result<Position, AccessError> {
        Ok(sqlx::query_scalar!("SELECT position FROM spine.log_head")
            .fetch_one(self.conn())
            .await?)
    }

    /// Commits rows, events and jobs, and wakes whoever waits for them.
    ///
    /// # Errors
    /// [`AccessError::Database`]; then nothing happened (or, when the connection broke during the commit, the
    /// outcome is unknown and the idempotency keys decide on the second try).
    pub async fn commit(mut self) -> Result<(), AccessError> {
        outbox::insert(&mut self.tx, &self.events).await?;
        self.tx.commit().await?;
        if !self.events.is_empty() {
            self.access.wake().sealer();
        }
        for class in self.classes_queued {
            self.access.wake().queue(class);
        }
        Ok(())
    }
}

/// Makes scopes for whom the edge has identified by other means than a token. The hub alone holds one.
#[derive(Debug)]
pub struct Gate(());

impl Gate {
    pub(crate) fn new() -> Self {
        Self(())
    }

    /// The person at the control socket, acting in an account (or on the instance).
    pub fn operator(&self, account: AccountId) -> Scope {
        Scope::new(account, Principal::Operator)
    }
}
