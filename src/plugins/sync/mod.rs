//! Reads a stream page by page, from its checkpoint on.
//!
//! Jobs in: `sync-stream`. Events out: those of `intake.rs` and the graph; `connector.ConnectionHealthChanged`.
//! Invariant: the cursor moves in the commit that holds the page's last records, so that whoever goes on after a stop
//! neither doubles nor misses one; of two that read the same page one commits. Trouble is told when it begins and when
//! it ends. Begin with [`Sync::run`]; [`timekeeper`] decides when, [`page`] asks, [`take`] takes in.

mod page;
mod take;
pub(crate) mod timekeeper;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::TimeDelta;
use contracts::jobs::SyncStream;
use serde_json::{Map, Value, json};
use spine::ScopedTx;
use spine::access::{AccessError, Cause, Scope};
use spine::pace::{Pace, STRIDE};
use spine::ports::{Ask, SyncError};
use spine::queue::{JobContext, JobError, JobHandler, JobOptions};
use tokio_util::sync::CancellationToken;

use crate::intake::Counts;
use crate::manager::{Manager, Ready};
use crate::manifest::StreamSpec;
use crate::model::Health;
use crate::store;
use crate::stream::{Class, Did, Stream};
use page::{Piece, Read};
use take::{Spoilt, claim, park_piece, take_in};

/// A job reads pages for so long, then queues the next one.
const RUN_TIME: Duration = Duration::from_secs(20);

/// The handler of the job.
#[derive(Debug)]
pub(crate) struct Sync(pub(crate) Manager);

/// A page that is about to be asked for.
struct Turn {
    ready: Ready,
    spec: StreamSpec,
    stream: Stream,
    kept: Map<String, Value>,
}

/// Pieces that were taken in, and their transaction, which is open still.
struct Part {
    tx: ScopedTx,
    counts: Counts,
    /// From the first on.
    pieces: usize,
    /// Somebody waits for what it holds; so it ended early.
    is_waited_for: bool,
}

/// What became of a turn.
enum Turned {
    /// The reading goes on.
    More,
    /// There is nothing to do now: it is at its end, waits, or goes on elsewhere.
    Ended(&'static str),
}

#[async_trait]
impl JobHandler for Sync {
    type Payload = SyncStream;

    async fn run(&self, job: &JobContext, order: SyncStream) -> Result<Value, JobError> {
        let (begun, mut pace) = (Instant::now(), Pace::default());
        let mut pages = 0;
        loop {
            let is_last = || begun.elapsed() > RUN_TIME || job.cancelled().is_cancelled();
            let turned = self
                .turn(
                    (job.scope(), job.cause()),
                    &order,
                    (&job.cancelled(), &mut pace),
                    is_last,
                )
                .await
                .map_err(JobError::retry)?;
            pages += 1;
            if let Turned::Ended(how) = turned {
                return Ok(json!({ "pages": pages, "ended": how }));
            }
        }
    }
}

impl Sync {
    /// Reads one page, or writes down why there is none.
    async fn turn(
        &self,
        who: (&Scope, Cause),
        order: &SyncStream,
        (stop, pace): (&CancellationToken, &mut Pace),
        is_last: impl Fn() -> bool + Send,
    ) -> Result<Turned, AccessError> {
        let Some(turn) = self.begin(who, order).await? else {
            return Ok(Turned::Ended("the stream is gone, or its connection paused"));
        };
        let ask = Ask {
            scope: who.0.clone(),
            stream: turn.spec.name.clone(),
            part: turn.stream.name.part.clone(),
            mode: turn.stream.mode,
            cursor: turn.stream.cursor.clone(),
            now: self.0.context().clock.now(),
            stop: stop.clone(),
        };
        let begun = Instant::now();
        match self
            .0
            .page(&turn.ready, &turn.spec, turn.kept.clone(), &ask)
            .await
        {
            Ok(read) => self.commit(who, &turn, read, (begun, pace), is_last).await,
            Err(SyncError::Access(error)) => Err(error),
            Err(_) if stop.is_cancelled() => Ok(Turned::Ended("the hub stops")),
            Err(SyncError::CursorLost(reason)) if turn.stream.cursor.is_some() => {
                tracing::info!(connection = %order.connection, stream = turn.spec.name, reason, "a stream is read from its beginning");
                self.write(who, &turn, &turn.stream.anew()).await?;
                Ok(Turned::More)
            }
            Err(error) => self.failed(who, &turn, error).await,
        }
    }

    async fn begin(&self, who: (&Scope, Cause), order: &SyncStream) -> Result<Option<Turn>, AccessError> {
        let mut tx = self.0.context().access.begin(who.0, who.1).await?;
        let Some(connection) = store::connection_by_id(&mut tx, order.connection)
            .await?
            .filter(|connection| !connection.paused)
        else {
            return Ok(None);
        };
        let Some(stream) = store::stream_by_id_locked(&mut tx, order.stream).await? else {
            return Ok(None);
        };
        let kept = store::kept_by_connection(&mut tx, order.connection).await?;
        let Some(ready) = self.0.ready(connection) else {
            return Ok(None);
        };
        let Some(spec) = ready.pack.manifest.stream(&stream.name.stream).cloned() else {
            return Ok(None);
        };
        let stream = stream.begun(&spec, &ready.pack.read_by(&ready.settings), tx.now());
        Ok(Some(Turn {
            ready,
            spec,
            stream,
            kept,
        }))
    }

    /// Writes the stream down if nobody came between.
    async fn write(&self, who: (&Scope, Cause), turn: &Turn, after: &Stream) -> Result<bool, AccessError> {
        let mut tx = self.0.context().access.begin(who.0, who.1).await?;
        if !is_still(&mut tx, turn).await? {
            return Ok(false);
        }
        store::stream_put(&mut tx, after).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn failed(
        &self,
        who: (&Scope, Cause),
        turn: &Turn,
        error: SyncError,
    ) -> Result<Turned, AccessError> {
        let Some((class, health)) = Class::of(&error) else {
            return Ok(Turned::Ended("the database is away"));
        };
        let mut tx = self.0.context().access.begin(who.0, who.1).await?;
        if !is_still(&mut tx, turn).await? {
            return Ok(Turned::Ended("another job has gone on"));
        }
        let after = turn.stream.failed(&error, class, tx.now(), chance(&tx, turn));
        store::stream_put(&mut tx, &after).await?;
        // Streams of one connection fail together: what one of them told meanwhile counts for all.
        let Some(connection) = store::connection_by_id_locked(&mut tx, turn.ready.connection.id).await?
        else {
            return Ok(Turned::Ended("the connection is gone"));
        };
        // While it is retried, only the first reason is told: others are of the same trouble.
        if connection.health != health || (health != Health::Retrying && connection.reason != after.reason) {
            self.0
                .set_health(&mut tx, connection.id, health, &after.reason)
                .await?;
            let (stream, class) = (turn.spec.name.as_str(), class.as_str());
            tracing::warn!(connection = %connection.id, stream, class, reason = after.reason, "a stream can't be read");
        }
        tx.commit().await?;
        Ok(Turned::Ended("it is tried again later"))
    }

    /// Takes a page in, some hundred pieces a commit, few while somebody waits; the last of these holds the checkpoint.
    /// What can't be taken in is found by halves.
    async fn commit(
        &self,
        who: (&Scope, Cause),
        turn: &Turn,
        read: Read,
        (begun, pace): (Instant, &mut Pace),
        is_last: impl Fn() -> bool + Send,
    ) -> Result<Turned, AccessError> {
        let mut did = Did {
            records: count(read.pieces.len()),
            cursor: read.cursor.clone(),
            more: read.more,
            estimate: read.estimate.and_then(|all| i64::try_from(all).ok()),
            wait: read.wait,
            ..Did::default()
        };
        // What comes first is last. The last part is there even when the page is empty.
        let mut parts: Vec<&[Piece]> = vec![&read.pieces];
        while let Some(mut part) = parts.pop() {
            if let Some((now, later)) = part
                .split_at_checked(pace.records())
                .filter(|(_, later)| !later.is_empty())
            {
                parts.push(later);
                part = now;
            }
            match self.part(who, turn, part).await {
                Ok(None) => return Ok(Turned::Ended("another job has gone on")),
                Ok(Some(done)) => {
                    let (mut tx, counts) = (done.tx, done.counts);
                    pace.ended(done.is_waited_for);
                    parts.extend(part.get(done.pieces..).filter(|rest| !rest.is_empty()));
                    let ends = parts.is_empty();
                    did.taken += count(counts.taken);
                    did.known += count(counts.known);
                    did.parked += count(counts.parked);
                    if !ends {
                        tx.commit().await?;
                        continue;
                    }
                    did.busy_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
                    let goes_on = did.more && (is_last() || did.wait.is_some());
                    self.checkpoint(&mut tx, turn, &read, &did, goes_on).await?;
                    contracts::failpoint::hit("page taken in");
                    tx.commit().await?;
                    contracts::failpoint::hit("page committed");
                    return Ok(match (did.more, goes_on) {
                        (false, _) => Turned::Ended("the reading is at its end"),
                        (true, true) => Turned::Ended("the next job goes on"),
                        (true, false) => Turned::More,
                    });
                }
                Err(Spoilt::Away(error)) => return Err(error),
                Err(Spoilt::By(reason)) if part.len() <= 1 => {
                    // Nothing but its being there can be written down.
                    let mut tx = self.0.context().access.begin(who.0, who.1).await?;
                    tx.set_lane(turn.stream.lane(&turn.spec));
                    let intake = self.0.intake(&turn.ready);
                    if let Some(piece) = part.first() {
                        did.parked += count(park_piece(&intake, &mut tx, piece, &reason).await?.parked);
                    }
                    tx.commit().await?;
                    if parts.is_empty() {
                        parts.push(&[]);
                    }
                }
                Err(Spoilt::By(_)) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.push(second);
                    parts.push(first);
                }
            }
        }
        Ok(Turned::Ended("the page was empty"))
    }

    /// Takes pieces in, until somebody waits. `None`: another job has gone on.
    async fn part(
        &self,
        who: (&Scope, Cause),
        turn: &Turn,
        pieces: &[Piece],
    ) -> Result<Option<Part>, Spoilt> {
        let mut tx = self.0.context().access.begin(who.0, who.1).await?;
        tx.set_lane(turn.stream.lane(&turn.spec));
        if !pieces.is_empty() {
            tx.lock_intake().await?; // before the stream: whoever reads on holds both in this order
        }
        if !is_still(&mut tx, turn).await? {
            return Ok(None);
        }
        let intake = self.0.intake(&turn.ready);
        let outdated = claim(&intake, &mut tx, pieces).await?;
        let (mut counts, mut taken, mut is_waited_for) = (Counts::default(), 0, false);
        for stride in pieces.chunks(STRIDE) {
            let current = stride
                .iter()
                .zip(taken..)
                .filter(|(_, at)| !outdated.contains(at));
            let current: Vec<&Piece> = current.map(|(piece, _)| piece).collect();
            counts.add(take_in(&intake, &mut tx, &current).await?);
            counts.known += stride.len() - current.len();
            taken += stride.len();
            is_waited_for = tx.is_waited_for().await?;
            if is_waited_for {
                break;
            }
        }
        Ok(Some(Part {
            tx,
            counts,
            pieces: taken,
            is_waited_for,
        }))
    }

    async fn checkpoint(
        &self,
        tx: &mut ScopedTx,
        turn: &Turn,
        read: &Read,
        did: &Did,
        goes_on: bool,
    ) -> Result<(), AccessError> {
        let after = turn.stream.after(&turn.spec, did, tx.now());
        store::stream_put(tx, &after).await?;
        let connection = &turn.ready.connection;
        store::keep(tx, connection.id, &read.keep).await?;
        for (name, parts) in &read.parts {
            self.0
                .set_parts(tx, &turn.ready, (&turn.spec.name, name), parts)
                .await?;
        }
        if goes_on {
            let wait = did.wait.and_then(|wait| TimeDelta::from_std(wait).ok());
            enqueue(tx, &after, wait).await?;
        }
        if turn.stream.failures > 0 || connection.health != Health::Active {
            self.0.recovered(tx, connection, &turn.spec.name).await?;
        }
        Ok(())
    }
}

/// True if the stream is as it was when the page was asked for, and its connection wasn't paused. Holds it.
async fn is_still(tx: &mut ScopedTx, turn: &Turn) -> Result<bool, AccessError> {
    let now = store::stream_by_id_locked(tx, turn.stream.id).await?;
    let connection = store::connection_by_id(tx, turn.ready.connection.id).await?;
    Ok(now.is_some_and(|now| now.page == turn.stream.page)
        && connection.is_some_and(|connection| !connection.paused))
}

/// Of 0..1, by the stream and its failures: many streams of one provider don't come back at once.
fn chance(tx: &ScopedTx, turn: &Turn) -> f64 {
    let what = format!("{}/{}", turn.stream.id, turn.stream.failures);
    let hash = tx.pseudonym("plugins.retry", what.as_bytes());
    f64::from(hash[0]) / 255.0
}

fn count(records: usize) -> i64 {
    i64::try_from(records).unwrap_or(i64::MAX)
}

/// Queues the next page of a stream, unless it waits or runs already.
pub(crate) async fn enqueue(
    tx: &mut ScopedTx,
    stream: &Stream,
    after: Option<TimeDelta>,
) -> Result<Option<contracts::JobId>, AccessError> {
    let options = JobOptions {
        // A job that reads on, or tries again, while this one ends has another page or more failures.
        singleton_key: Some(format!("{}/{}/{}", stream.id, stream.page, stream.failures)),
        start_after: after.map(|after| tx.now() + after),
        ..JobOptions::default()
    };
    let order = SyncStream {
        connection: stream.name.connection,
        stream: stream.id,
    };
    tx.enqueue(&order, options).await
}
