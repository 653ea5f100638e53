//! Consumers: named readers of the log, whose effects commit together with their position.
//!
//! Events in: whatever a consumer asks for. Out: what its handler publishes and queues.
//! Invariant: what is in the database happens exactly once an event, whatever is killed when. A poison event is
//! parked with its reason, visible and retryable, and the consumer goes on; a database that is away parks nothing.
//! Begin with [`Consumer`], then [`run`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::{Event, Lane, Position};
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::reader;
use super::wake::Wake;
use crate::access::{Access, AccessError, Cause, Principal, Scope, ScopedTx};
use crate::backoff::Backoff;

/// Events a batch at the most.
const BATCH_EVENTS: i64 = 200;
/// The floor when no wake-up comes.
const POLL: Duration = Duration::from_secs(1);
/// A position that moved over events of no interest is written down this often: reading them again costs little.
const IDLE_SAVE: i64 = 10_000;

/// Why an event was not handled.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// The database is away, or refused for a passing reason: the whole consumer waits.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// This event can't be handled: parked with this reason, the consumer goes on.
    #[error("{0}")]
    Poison(String),
}

impl From<sqlx::Error> for HandleError {
    fn from(error: sqlx::Error) -> Self {
        Self::Access(AccessError::Database(error))
    }
}

impl From<serde_json::Error> for HandleError {
    fn from(error: serde_json::Error) -> Self {
        Self::Poison(format!("the body doesn't have the promised shape: {error}"))
    }
}

impl HandleError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Access(error) if error.is_transient())
    }
}

/// A named reader of the log.
#[async_trait]
pub trait Consumer: Send + Sync + 'static {
    /// Its name, for ever: the position is kept under it.
    fn name(&self) -> &'static str;

    /// The full type names that it wants; empty: all.
    fn types(&self) -> Vec<String>;

    /// The lanes that it reads.
    fn lanes(&self) -> &'static [Lane] {
        &Lane::ALL
    }

    /// A consumer that must have passed a position before this one may read it.
    fn after(&self) -> Option<&'static str> {
        None
    }

    /// Handles one event. Everything that it does goes through `tx`; it may run twice for the same event (a batch
    /// that failed is redone), and what the first run did was rolled back.
    async fn handle(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError>;
}

/// What a running consumer needs.
#[derive(Debug, Clone)]
pub(crate) struct Runtime {
    pub(crate) pool: PgPool,
    pub(crate) access: Access,
    pub(crate) wake: Wake,
    pub(crate) stop: CancellationToken,
}

/// Runs one consumer on one lane until it is stopped.
pub(crate) async fn run(runtime: Runtime, consumer: Arc<dyn Consumer>, lane: Lane) {
    let mut lane = LaneReader::new(runtime, consumer, lane);
    let mut backoff = Backoff::default();
    let stop = lane.runtime.stop.clone();
    while !stop.is_cancelled() {
        match lane.step().await {
            Ok(Step::More) => backoff.succeeded(lane.consumer.name()),
            Ok(Step::Idle) => {
                backoff.succeeded(lane.consumer.name());
                lane.wait().await;
            }
            Err(error) => {
                lane.position = None; // read again what the database holds
                backoff.failed(lane.consumer.name(), &error, &stop).await;
            }
        }
    }
}

enum Step {
    More,
    Idle,
}

struct LaneReader {
    runtime: Runtime,
    consumer: Arc<dyn Consumer>,
    lane: Lane,
    types: Vec<String>,
    /// How far it has come, and how far the database knows.
    position: Option<(Position, Position)>,
    head: watch::Receiver<Position>,
    gate: Option<watch::Receiver<Position>>,
    rewinds: watch::Receiver<u64>,
    passed: watch::Sender<Position>,
}

impl LaneReader {
    fn new(runtime: Runtime, consumer: Arc<dyn Consumer>, lane: Lane) -> Self {
        Self {
            types: consumer.types(),
            position: None,
            head: runtime.wake.head(),
            gate: consumer
                .after()
                .map(|other| runtime.wake.passed(other, lane).subscribe()),
            rewinds: runtime.wake.rewinds(),
            passed: runtime.wake.passed(consumer.name(), lane),
            runtime,
            consumer,
            lane,
        }
    }

    /// Up to where it may read now.
    fn limit(&self) -> Position {
        let head = *self.head.borrow();
        self.gate.as_ref().map_or(head, |gate| head.min(*gate.borrow()))
    }

    async fn wait(&mut self) {
        let gate = async {
            match &mut self.gate {
                Some(gate) => drop(gate.changed().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.head.changed() => {}
            _ = self.rewinds.changed() => self.position = None,
            () = gate => {}
            () = tokio::time::sleep(POLL) => {}
            () = self.runtime.stop.cancelled() => {}
        }
    }

    async fn step(&mut self) -> Result<Step, AccessError> {
        let (position, saved) = match self.position {
            Some(position) => position,
            None => {
                let saved = self.saved_position().await?;
                self.passed.send_replace(saved);
                (saved, saved)
            }
        };
        self.position = Some((position, saved));
        let limit = self.limit();
        if limit <= position {
            return Ok(Step::Idle);
        }
        let events = reader::events_for_consumer(
            &self.runtime.pool,
            self.lane,
            position,
            limit,
            &self.types,
            BATCH_EVENTS,
        )
        .await?;
        let full = events.len() as i64 == BATCH_EVENTS;
        let mut from = saved;
        for stretch in events.chunk_by(|a, b| a.account == b.account) {
            from = self.handle_stretch(stretch, from).await?;
        }
        let reached = if full {
            events.last().map_or(limit, |event| event.position)
        } else {
            limit
        };
        if events.is_empty() && reached - saved >= IDLE_SAVE {
            self.save(reached, saved).await?;
            from = reached;
        }
        self.position = Some((reached, from));
        self.passed.send_replace(reached);
        metrics::gauge!("allod_consumer_position", "consumer" => self.consumer.name(), "lane" => self.lane.as_str())
            .set(reached as f64);
        Ok(if full { Step::More } else { Step::Idle })
    }

    /// Handles consecutive events of one account in one transaction; if that fails, each in its own.
    async fn handle_stretch(&self, events: &[Event], saved: Position) -> Result<Position, AccessError> {
        let error = match self.try_together(events, saved).await {
            Ok(position) => return Ok(position),
            Err(HandleError::Access(error)) if error.is_transient() => return Err(error),
            Err(HandleError::Access(AccessError::Erased)) => return self.skip(events, saved).await,
            Err(error) => error,
        };
        if let [event] = events {
            return self.park(event, saved, &error).await;
        }
        let mut saved = saved;
        for event in events {
            saved = match self.try_together(std::slice::from_ref(event), saved).await {
                Ok(position) => position,
                Err(HandleError::Access(error)) if error.is_transient() => return Err(error),
                Err(error) => self.park(event, saved, &error).await?,
            };
        }
        Ok(saved)
    }

    /// Passes over events of an account that was erased.
    async fn skip(&self, events: &[Event], saved: Position) -> Result<Position, AccessError> {
        let to = events.last().map_or(saved, |event| event.position);
        self.save(to, saved).await?;
        Ok(to)
    }

    async fn try_together(&self, events: &[Event], saved: Position) -> Result<Position, HandleError> {
        let Some((first, last)) = events.first().zip(events.last()) else {
            return Ok(saved);
        };
        let mut tx = self.begin(first).await?;
        for event in events {
            tx.follow(Cause::event(event));
            self.consumer.handle(&mut tx, event).await?;
        }
        self.advance(&mut tx, last.position, saved).await?;
        tx.commit().await?;
        contracts::failpoint::hit(&format!("{} committed", self.consumer.name()));
        Ok(last.position)
    }

    async fn begin(&self, event: &Event) -> Result<ScopedTx, AccessError> {
        let scope = Scope::new(event.account, Principal::System(self.consumer.name().to_owned()));
        self.runtime.access.begin(&scope, Cause::event(event)).await
    }

    /// Moves the position with the effects. Another process that read the same stretch moves it first and wins.
    async fn advance(&self, tx: &mut ScopedTx, to: Position, from: Position) -> Result<(), AccessError> {
        let moved = sqlx::query!(
            "UPDATE spine.consumer_position SET position = $3 WHERE consumer = $1 AND lane = $2 AND position = $4",
            self.consumer.name(),
            self.lane.as_str(),
            to,
            from
        )
        .execute(tx.conn())
        .await?;
        if moved.rows_affected() == 1 {
            return Ok(());
        }
        Err(AccessError::Database(sqlx::Error::Protocol(
            "another process moved this consumer's position".into(),
        )))
    }

    async fn park(
        &self,
        event: &Event,
        saved: Position,
        error: &HandleError,
    ) -> Result<Position, AccessError> {
        tracing::warn!(consumer = self.consumer.name(), event = %event.id, %error, "event parked");
        metrics::counter!("allod_events_parked_total", "consumer" => self.consumer.name()).increment(1);
        let scope = Scope::new(event.account, Principal::System(self.consumer.name().to_owned()));
        let mut tx = self.runtime.access.begin(&scope, Cause::outside()).await?;
        parked_insert(&mut tx, self.consumer.name(), event, &error.to_string()).await?;
        self.advance(&mut tx, event.position, saved).await?;
        tx.commit().await?;
        Ok(event.position)
    }

    async fn saved_position(&self) -> Result<Position, AccessError> {
        let (name, lane) = (self.consumer.name(), self.lane.as_str());
        let found = sqlx::query_scalar!(
            r#"
            WITH fresh AS (
                INSERT INTO spine.consumer_position (consumer, lane, position) VALUES ($1, $2, 0)
                ON CONFLICT DO NOTHING RETURNING position
            )
            SELECT position AS "position!" FROM fresh
            UNION ALL SELECT position FROM spine.consumer_position WHERE consumer = $1 AND lane = $2
            "#,
            name,
            lane
        )
        .fetch_one(&self.runtime.pool)
        .await?;
        Ok(found)
    }

    async fn save(&self, to: Position, from: Position) -> Result<(), AccessError> {
        sqlx::query!(
            "UPDATE spine.consumer_position SET position = $3 WHERE consumer = $1 AND lane = $2 AND position = $4",
            self.consumer.name(),
            self.lane.as_str(),
            to,
            from
        )
        .execute(&self.runtime.pool)
        .await?;
        Ok(())
    }
}

/// An event that a consumer could not handle.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct Parked {
    /// The consumer.
    pub consumer: String,
    /// The event.
    pub event: contracts::EventId,
    /// Its place in the log.
    pub position: Position,
    /// Why it was parked.
    pub reason: String,
    /// How often it was tried.
    pub tries: i32,
    /// Since when it lies here.
    pub parked_at: chrono::DateTime<chrono::Utc>,
}

async fn parked_insert(
    tx: &mut ScopedTx,
    consumer: &str,
    event: &Event,
    reason: &str,
) -> Result<(), AccessError> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        INSERT INTO spine.parked_event (consumer, event, position, account, reason, tries, parked_at)
        VALUES ($1, $2, $3, $4, $5, 1, $6)
        ON CONFLICT (consumer, event) DO UPDATE SET reason = excluded.reason, tries = spine.parked_event.tries + 1
        "#,
        consumer,
        event.id.0,
        event.position,
        account.0,
        reason,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The account's parked events, oldest first, at most 500.
///
/// # Errors
/// [`AccessError::Database`].
pub async fn parked_list(tx: &mut ScopedTx) -> Result<Vec<Parked>, AccessError> {
    let account = tx.account();
    Ok(sqlx::query_as!(
        Parked,
        r#"
        SELECT consumer, event AS "event: uuid::Uuid", position, reason, tries, parked_at
        FROM spine.parked_event WHERE account = $1 ORDER BY position LIMIT 500
        "#,
        account.0
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Handles a parked event again. True: it is handled now; false: it was not parked.
///
/// # Errors
/// [`HandleError`]: it failed again; the new reason and the count of tries are kept.
pub(crate) async fn parked_retry(
    access: &Access,
    consumer: &dyn Consumer,
    account: contracts::AccountId,
    event: contracts::EventId,
) -> Result<bool, HandleError> {
    let scope = Scope::new(account, Principal::System(consumer.name().to_owned()));
    let mut tx = access.begin(&scope, Cause::outside()).await?;
    let taken = sqlx::query!(
        "DELETE FROM spine.parked_event WHERE consumer = $1 AND event = $2 RETURNING position",
        consumer.name(),
        event.0
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(event) = reader::event_by_id(&mut tx, event)
        .await?
        .filter(|_| taken.is_some())
    else {
        return Ok(false);
    };
    tx.follow(Cause::event(&event));
    match consumer.handle(&mut tx, &event).await {
        Ok(()) => {
            tx.commit().await?;
            Ok(true)
        }
        Err(error) => {
            drop(tx);
            if !error.is_transient() {
                let mut tx = access.begin(&scope, Cause::outside()).await?;
                parked_insert(&mut tx, consumer.name(), &event, &error.to_string()).await?;
                tx.commit().await?;
            }
            Err(error)
        }
    }
}
