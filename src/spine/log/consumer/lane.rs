//! One consumer on one lane: reads a stretch, handles it, moves the position with the effects.
//!
//! Invariant: the position moves from where it was read and from nowhere else. Whoever reads the same stretch in
//! another process, or sets the position back meanwhile, wins; this one then reads again what the database holds.

use std::sync::Arc;
use std::time::Duration;

use contracts::{Event, Lane, Position};
use sqlx::PgExecutor;
use tokio::sync::watch;

use super::{Consumer, HandleError, Runtime, handle, store};
use crate::access::{AccessError, Cause, Principal, Scope, ScopedTx};
use crate::backoff::Backoff;
use crate::log::reader;

/// Events a batch at the most.
const BATCH_EVENTS: usize = 200;
/// The floor when no wake-up comes.
const POLL: Duration = Duration::from_secs(1);
/// A position that moved over events of no interest is written down this often: reading them again costs little.
const IDLE_SAVE: i64 = 10_000;
/// So often an event is tried whose statement is cut off (by its time limit, say) before it is parked.
const CUT_OFF_TRIES: u32 = 3;
/// Between these tries.
const CUT_OFF_PAUSE: Duration = Duration::from_millis(200);

/// Runs one consumer on one lane until it is stopped.
pub(crate) async fn run(runtime: Runtime, consumer: Arc<dyn Consumer>, lane: Lane) {
    let mut lane = LaneReader::new(runtime, consumer, lane);
    let mut backoff = Backoff::default();
    let stop = lane.runtime.stop.clone();
    while !stop.is_cancelled() {
        let step = lane.step().await;
        if step.is_ok() {
            lane.runtime.wake.works(lane.consumer.name(), lane.lane);
        }
        match step {
            Ok(Step::More) => backoff.succeeded(lane.consumer.name()),
            Ok(Step::Idle) => {
                backoff.succeeded(lane.consumer.name());
                lane.wait().await;
            }
            Err(_) if stop.is_cancelled() => {}
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

/// Why a consumer can't go on where it is. It waits, and reads again what the database holds.
#[derive(Debug, thiserror::Error)]
enum Halt {
    #[error("this consumer's position was moved by somebody else")]
    Moved,
    #[error(transparent)]
    Away(#[from] AccessError),
}

/// Why a stretch was not handled.
enum Trouble {
    /// None could be now.
    Halt(Halt),
    /// These can't be.
    Event(HandleError),
}

impl From<Halt> for Trouble {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Away(error) => error.into(),
            Halt::Moved => Self::Halt(halt),
        }
    }
}

impl From<AccessError> for Trouble {
    fn from(error: AccessError) -> Self {
        HandleError::Access(error).into()
    }
}

impl From<HandleError> for Trouble {
    fn from(error: HandleError) -> Self {
        match error {
            HandleError::Access(error) if error.is_transient() => Self::Halt(Halt::Away(error)),
            error => Self::Event(error),
        }
    }
}

struct LaneReader {
    runtime: Runtime,
    consumer: Arc<dyn Consumer>,
    lane: Lane,
    types: Vec<String>,
    /// How far it has come, and how far the database knows.
    position: Option<(Position, Position)>,
    head: watch::Receiver<Position>,
    rewinds: watch::Receiver<u64>,
    passed: watch::Sender<Position>,
}

impl LaneReader {
    fn new(runtime: Runtime, consumer: Arc<dyn Consumer>, lane: Lane) -> Self {
        Self {
            types: consumer.types(),
            position: None,
            head: runtime.wake.head(),
            rewinds: runtime.wake.rewinds(),
            passed: runtime.wake.passed(consumer.name(), lane),
            runtime,
            consumer,
            lane,
        }
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.head.changed() => {}
            _ = self.rewinds.changed() => self.position = None,
            () = tokio::time::sleep(POLL) => {}
            () = self.runtime.stop.cancelled() => {}
        }
    }

    async fn step(&mut self) -> Result<Step, Halt> {
        let (position, saved) = match self.position {
            Some(position) => position,
            None => {
                let (pool, name) = (&self.runtime.pool, self.consumer.name());
                let saved = store::position_or_start(pool, name, self.lane)
                    .await
                    .map_err(AccessError::from)?;
                self.passed.send_replace(saved);
                (saved, saved)
            }
        };
        self.position = Some((position, saved));
        let limit = *self.head.borrow();
        if limit <= position {
            return Ok(Step::Idle);
        }
        let begin = self
            .runtime
            .wake
            .nothing_until(self.lane, &self.types, position, limit);
        if begin == limit {
            self.reached(limit, saved, saved).await?;
            return Ok(Step::Idle);
        }
        let mut events = self.read(begin, limit).await?;
        let full = events.len() == BATCH_EVENTS;
        let reached = if full {
            events.last().map_or(limit, |event| event.position)
        } else {
            limit
        };
        events.retain(|event| self.consumer.may_concern(event));
        let mut from = saved;
        for stretch in events.chunk_by(|a, b| a.account == b.account) {
            from = self.handle_stretch(stretch, from).await?;
        }
        self.reached(reached, saved, from).await?;
        Ok(if full { Step::More } else { Step::Idle })
    }

    /// The first events after a position: from memory if they were sealed here just now, else from the log.
    async fn read(&self, after: Position, up_to: Position) -> Result<Vec<Arc<Event>>, AccessError> {
        if let Some(mut told) = self.runtime.wake.events(self.lane, &self.types, after, up_to) {
            told.truncate(BATCH_EVENTS);
            return Ok(told);
        }
        let (pool, limit) = (&self.runtime.pool, BATCH_EVENTS as i64);
        let events = reader::events_for_consumer(pool, self.lane, after, up_to, &self.types, limit).await?;
        Ok(events.into_iter().map(Arc::new).collect())
    }

    /// It has come so far. What it did on the way moved the position that is written down from `before` to `saved`.
    async fn reached(&mut self, to: Position, before: Position, saved: Position) -> Result<(), Halt> {
        let idle = saved == before && to - saved >= IDLE_SAVE;
        if idle {
            self.move_position(&self.runtime.pool, to, saved).await?;
        }
        self.position = Some((to, if idle { to } else { saved }));
        self.passed.send_replace(to);
        metrics::gauge!("allod_consumer_position", "consumer" => self.consumer.name(), "lane" => self.lane.as_str())
            .set(to as f64);
        Ok(())
    }

    /// Handles consecutive events of one account in one transaction; if that fails, each in its own.
    async fn handle_stretch(&self, events: &[Arc<Event>], saved: Position) -> Result<Position, Halt> {
        if events.len() > 1 {
            match self.try_together(events, saved).await {
                Ok(position) => return Ok(position),
                Err(Trouble::Halt(halt)) => return Err(halt),
                Err(Trouble::Event(_)) => {}
            }
        }
        let mut saved = saved;
        for event in events {
            saved = self.handle_one(event, saved).await?;
        }
        Ok(saved)
    }

    /// Handles one event by itself, or parks it, or passes over it when its account was erased.
    async fn handle_one(&self, event: &Arc<Event>, saved: Position) -> Result<Position, Halt> {
        let mut tries = 1;
        let error = loop {
            match self.try_together(std::slice::from_ref(event), saved).await {
                Ok(position) => return Ok(position),
                Err(Trouble::Halt(halt)) => return Err(halt),
                Err(Trouble::Event(error)) if error.was_cut_off() && tries < CUT_OFF_TRIES => {
                    tracing::info!(consumer = self.consumer.name(), event = %event.id, tries, %error, "tried again");
                    tokio::time::sleep(CUT_OFF_PAUSE * tries).await;
                    tries += 1;
                }
                Err(Trouble::Event(error)) => break error,
            }
        };
        match self.park(event, saved, &error).await {
            Err(Halt::Away(AccessError::Erased)) => {
                self.move_position(&self.runtime.pool, event.position, saved)
                    .await?;
                Ok(event.position)
            }
            parked => parked,
        }
    }

    /// Handles events in one transaction, as soon as the consumers that its handler asks have read so far.
    async fn try_together(&self, events: &[Arc<Event>], saved: Position) -> Result<Position, Trouble> {
        loop {
            let tried = self.attempt(events, saved).await;
            match tried {
                Err(Trouble::Halt(Halt::Away(AccessError::Behind {
                    consumer,
                    lane,
                    position,
                }))) if self.has_passed(consumer, lane, position).await => {}
                tried => return tried,
            }
        }
    }

    /// Waits until another consumer has passed a position. False: the hub stops.
    async fn has_passed(&self, consumer: &'static str, lane: Lane, position: Position) -> bool {
        let mut passed = self.runtime.wake.passed(consumer, lane).subscribe();
        tokio::select! {
            passed = passed.wait_for(|passed| *passed >= position) => passed.is_ok(),
            () = self.runtime.stop.cancelled() => false,
        }
    }

    async fn attempt(&self, events: &[Arc<Event>], saved: Position) -> Result<Position, Trouble> {
        let Some((first, last)) = events.first().zip(events.last()) else {
            return Ok(saved);
        };
        let mut tx = self.begin(first).await?;
        tx.read_by(self.consumer.name(), self.lane, saved);
        let mut concerned = false;
        for event in events {
            tx.handle(event);
            concerned |= handle(self.consumer.as_ref(), &mut tx, event).await?;
        }
        if !concerned {
            return Ok(saved); // nothing to commit: the position is written down with the next effect
        }
        if !tx.commit_at(last.position).await? {
            return Err(Halt::Moved.into());
        }
        contracts::failpoint::hit(&format!("{} committed", self.consumer.name()));
        self.runtime.wake.works(self.consumer.name(), self.lane);
        Ok(last.position)
    }

    async fn begin(&self, event: &Event) -> Result<ScopedTx, AccessError> {
        let scope = Scope::new(event.account, Principal::System(self.consumer.name().to_owned())).by_rote();
        self.runtime.access.begin(&scope, Cause::event(event)).await
    }

    async fn move_position(&self, on: impl PgExecutor<'_>, to: Position, from: Position) -> Result<(), Halt> {
        let moved = store::position_move(on, self.consumer.name(), self.lane, to, from).await;
        if moved.map_err(AccessError::from)? {
            Ok(())
        } else {
            Err(Halt::Moved)
        }
    }

    async fn park(&self, event: &Event, saved: Position, error: &HandleError) -> Result<Position, Halt> {
        let scope = Scope::new(event.account, Principal::System(self.consumer.name().to_owned()));
        let mut tx = self.runtime.access.begin(&scope, Cause::outside()).await?;
        store::parked_upsert(&mut tx, self.consumer.name(), event, &error.to_string()).await?;
        self.move_position(tx.conn(), event.position, saved).await?;
        tx.commit().await?;
        tracing::warn!(consumer = self.consumer.name(), event = %event.id, %error, "event parked");
        metrics::counter!("allod_events_parked_total", "consumer" => self.consumer.name()).increment(1);
        Ok(event.position)
    }
}
