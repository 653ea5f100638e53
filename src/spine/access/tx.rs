//! The scoped transaction: rows, events, audit entries and jobs of one account, in one commit.

use chrono::{DateTime, Utc};
use contracts::events::audit::AccessRecorded;
use contracts::{
    AccountId, Event, EventId, EventPayload, JobClass, JobId, JobPayload, Lane, NewEvent, Position,
};
use sqlx::{PgConnection, Postgres, Transaction};
use tokio::sync::OwnedSemaphorePermit;

use super::{Access, AccessError, Cause, DEPTH_MAX, Principal, Scope, claims};
use crate::log::outbox::{Moved, Outbox};
use crate::queue::{JobOptions, Seated};

/// A transaction bound to a [`Scope`]. Dropped without [`ScopedTx::commit`], it never was.
pub struct ScopedTx {
    tx: Transaction<'static, Postgres>,
    now: DateTime<Utc>,
    scope: Scope,
    cause: Cause,
    events: Outbox,
    classes_queued: Vec<JobClass>,
    /// A job that the runner has a slot for.
    seated: Option<Seated>,
    bodies_erased: bool,
    /// Position and time of the event that is being handled.
    at_hand: Option<(Position, DateTime<Utc>)>,
    /// The consumer that handles events in it, and where that stands; the commit proves it.
    reads: Option<(&'static str, Lane, Position)>,
    access: Access,
    /// Its right to one of the few connections by rote. Last, so that the connection goes back first.
    _of_rote: Option<OwnedSemaphorePermit>,
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
    pub(super) fn new(
        (tx, of_rote): (Transaction<'static, Postgres>, Option<OwnedSemaphorePermit>),
        access: Access,
        scope: Scope,
        cause: Cause,
    ) -> Self {
        Self {
            tx,
            now: access.now(),
            scope,
            cause,
            events: Outbox::default(),
            classes_queued: Vec::new(),
            seated: None,
            bodies_erased: false,
            at_hand: None,
            reads: None,
            access,
            _of_rote: of_rote,
        }
    }

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

    /// What follows is because of this: the next event of a consumer's batch, or what a provider's word belongs to.
    pub fn follow(&mut self, cause: Cause) {
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
        let actor = self.scope.principal.to_string();
        self.events.push(event, actor, &self.cause, self.now)?;
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
        let fresh = self.claim_all(source, &[key]).await?;
        Ok(fresh.first().is_some_and(|fresh| *fresh))
    }

    /// Claims many keys from `source` in one statement. Says of each, in the order given, what [`ScopedTx::claim`]
    /// would have said one after the other: a key that stands twice in `keys` is new the first time only.
    ///
    /// Who claims a key that another transaction has claimed and not yet committed waits for it: it is new if that
    /// one is rolled back. Two batches with keys in common never wait for each other in a circle, whatever their
    /// order; two calls within one transaction may, and then the database refuses one
    /// ([`AccessError::is_transient`]).
    ///
    /// # Errors
    /// [`AccessError::Database`].
    pub async fn claim_all(
        &mut self,
        source: &str,
        keys: &[impl AsRef<[u8]>],
    ) -> Result<Vec<bool>, AccessError> {
        let hashes: Vec<[u8; 32]> = keys
            .iter()
            .map(|key| self.pseudonym(source, key.as_ref()))
            .collect();
        let mut fresh = claims::insert(self, source, &hashes).await?;
        Ok(hashes.iter().map(|hash| fresh.remove(hash)).collect())
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
        if self.seated.is_none() {
            let how = (&options, self.access.wake().desks());
            self.seated = crate::queue::enqueue_seated(&mut self.tx, account, cause, payload, how).await?;
            if let Some(seated) = &self.seated {
                return Ok(Some(seated.id()));
            }
        }
        let job = crate::queue::enqueue(&mut self.tx, account, cause, payload, options).await?;
        if job.is_some() && !self.classes_queued.contains(&P::CLASS) {
            self.classes_queued.push(P::CLASS);
        }
        Ok(job)
    }

    /// An event of the account is handled: what follows is because of it.
    pub(crate) fn handle(&mut self, event: &Event) {
        self.follow(Cause::event(event));
        self.at_hand = Some((event.position, event.recorded_at));
    }

    /// It is this consumer's, whose position it moves from here with the commit, or fails.
    pub(crate) fn read_by(&mut self, consumer: &'static str, lane: Lane, position: Position) {
        self.reads = Some((consumer, lane, position));
    }

    /// For who handles an event, of whichever lane, and asks what another consumer makes of the events of one lane: makes
    /// sure that this one has read all that may matter up to a position. `matters` says of an event of these types
    /// whether it does.
    ///
    /// # Errors
    /// [`AccessError::Behind`] if it hasn't, as far as memory tells; to be handed on.
    pub fn wants_read(
        &self,
        consumer: &'static str,
        lane: Lane,
        types: &[String],
        up_to: Position,
        matters: impl Fn(&Event) -> bool,
    ) -> Result<(), AccessError> {
        if self.reads.is_none() {
            return Ok(());
        }
        let wake = self.access.wake();
        let passed = *wake.passed(consumer, lane).borrow();
        let idle = passed >= up_to
            || wake.nothing_until(lane, types, passed, up_to) == up_to
            || wake
                .events(lane, types, passed, up_to)
                .is_some_and(|events| !events.iter().any(|event| matters(event)));
        if idle {
            return Ok(());
        }
        Err(AccessError::Behind {
            consumer,
            lane,
            position: up_to,
        })
    }

    pub(super) fn outbox(&mut self) -> &mut Outbox {
        &mut self.events
    }

    pub(super) fn bodies_erased(&mut self) {
        self.bodies_erased = true;
    }

    fn refuse_depth(&self) -> Result<(), AccessError> {
        if self.cause.depth > DEPTH_MAX {
            Err(AccessError::TooDeep)
        } else {
            Ok(())
        }
    }

    /// Whether somebody waits for rows that this transaction holds.
    ///
    /// # Errors
    /// [`AccessError::Database`].
    pub async fn is_waited_for(&mut self) -> Result<bool, AccessError> {
        Ok(sqlx::query_scalar!(
            r#"
            SELECT EXISTS (
                SELECT FROM pg_locks
                WHERE NOT granted AND locktype IN ('transactionid', 'tuple')
                    AND pg_backend_pid() = ANY (pg_blocking_pids(pid))
            ) AS "is_waited_for!"
            "#
        )
        .fetch_one(self.conn())
        .await?)
    }

    /// Lets one transaction at a time take many records into the account, until its commit: two files, or a file and a
    /// stream, with the same people would wait for each other in a ring.
    ///
    /// # Errors
    /// [`AccessError::Database`].
    pub async fn lock_intake(&mut self) -> Result<(), AccessError> {
        let name = format!("intake/{}", self.account());
        sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", name)
            .execute(self.conn())
            .await?;
        Ok(())
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

    /// When the account's last event up to a position was written down; `None`: there is none.
    ///
    /// # Errors
    /// [`AccessError::Database`] when the database is away.
    pub async fn recorded_at_by(&mut self, position: Position) -> Result<Option<DateTime<Utc>>, AccessError> {
        if let Some((_, recorded_at)) = self.at_hand.filter(|(at, _)| *at == position) {
            return Ok(Some(recorded_at));
        }
        let account = self.account();
        let at = sqlx::query_scalar!(
            r#"
            SELECT recorded_at FROM spine.event_log WHERE account = $1 AND position <= $2
            ORDER BY position DESC LIMIT 1
            "#,
            account.0,
            position
        )
        .fetch_optional(self.conn())
        .await?;
        Ok(at)
    }

    /// Up to which position a consumer has come on a lane; 0 before it has begun.
    ///
    /// # Errors
    /// [`AccessError::Database`].
    pub async fn consumer_position(&mut self, consumer: &str, lane: Lane) -> Result<Position, AccessError> {
        if let Some((_, _, position)) = self
            .reads
            .filter(|(name, on, _)| (*name, *on) == (consumer, lane))
        {
            return Ok(position);
        }
        let found = sqlx::query_scalar!(
            "SELECT position FROM spine.consumer_position WHERE consumer = $1 AND lane = $2",
            consumer,
            lane.as_str()
        )
        .fetch_optional(self.conn())
        .await?;
        Ok(found.unwrap_or(0))
    }

    /// Commits rows, events and jobs, and wakes whoever waits for them.
    ///
    /// # Errors
    /// [`AccessError::Database`]; then nothing happened (or, when the connection broke during the commit, the
    /// outcome is unknown and the idempotency keys decide on the second try).
    pub async fn commit(mut self) -> Result<(), AccessError> {
        self.events
            .insert(&mut self.tx, self.scope.account, self.now, None)
            .await?;
        self.committed().await
    }

    /// As [`ScopedTx::commit`], with the consumer's position. False: that is not where it was any more, and nothing
    /// happened.
    pub(crate) async fn commit_at(mut self, position: Position) -> Result<bool, AccessError> {
        let moved = self.reads.map(|(consumer, lane, from)| Moved {
            consumer,
            lane,
            from,
            to: position,
        });
        let held = self
            .events
            .insert(&mut self.tx, self.scope.account, self.now, moved)
            .await?;
        if held {
            self.committed().await?;
        }
        Ok(held)
    }

    async fn committed(self) -> Result<(), AccessError> {
        let seated = self.seated.map(Seated::committing);
        self.tx.commit().await?;
        if let Some(seated) = seated {
            seated.done();
        }
        if self.bodies_erased {
            self.access.wake().bodies_erased();
        }
        if !self.events.is_empty() {
            self.access.wake().sealer(self.events.begins_a_chain());
        }
        for class in self.classes_queued {
            self.access.wake().queue(class);
        }
        Ok(())
    }
}
