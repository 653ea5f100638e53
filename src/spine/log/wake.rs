//! Wake-ups within the process: who committed tells who waits. Across processes a NOTIFY does it, and polling is
//! the floor, so a lost wake-up costs time and nothing else.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use contracts::{Event, JobClass, Lane, Position};
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::queue::Desks;

/// The channel on which processes tell each other how far the log is sealed.
pub(super) const CHANNEL: &str = "allod_sealed";
/// So many of the newest batches are known in memory; who is further behind asks the database.
const RECENT_BATCHES: usize = 64;
/// What this process seals it tells itself sooner, and with more to say, than a notification does.
const OWN_WORD_FIRST: Duration = Duration::from_millis(3);

/// So long what a batch tells is handed out from memory. Longer would be longer than an erasure may take to be seen:
/// who reads the log holds what it read for about as long.
const TOLD_FOR: Duration = Duration::from_secs(1);

/// What lies in a batch that this process sealed. Told after its commit, so that it is never about another's events.
#[derive(Debug)]
pub(crate) struct SealedBatch {
    /// The position before its first.
    after: Position,
    /// Its last position.
    last: Position,
    /// Which types it holds on which lane; each once.
    holds: Vec<(Lane, String)>,
    /// All of its events with their bodies, if they are few.
    events: Option<Vec<Arc<Event>>>,
    sealed: Instant,
}

impl SealedBatch {
    pub(crate) fn new(
        after: Position,
        last: Position,
        holds: Vec<(Lane, String)>,
        events: Option<Vec<Arc<Event>>>,
    ) -> Self {
        Self {
            after,
            last,
            holds,
            events,
            sealed: Instant::now(),
        }
    }

    fn concerns(&self, lane: Lane, types: &[String]) -> bool {
        let on_lane = |(of, kind): &(Lane, String)| *of == lane && (types.is_empty() || types.contains(kind));
        self.holds.iter().any(on_lane)
    }
}

/// Wakes the sealer, the queue and the consumers.
#[derive(Debug, Clone)]
pub(crate) struct Wake {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    sealer: Notify,
    sealer_at_once: Notify,
    head: watch::Sender<Position>,
    recent: Mutex<VecDeque<SealedBatch>>,
    rewinds: watch::Sender<u64>,
    passed: Mutex<HashMap<(&'static str, Lane), watch::Sender<Position>>>,
    works: Mutex<HashMap<(&'static str, Lane), Instant>>,
    ended: Mutex<BTreeSet<&'static str>>,
    desks: Desks,
}

impl Wake {
    pub(crate) fn new() -> Self {
        let inner = Inner {
            sealer: Notify::new(),
            sealer_at_once: Notify::new(),
            head: watch::Sender::new(0),
            recent: Mutex::new(VecDeque::with_capacity(RECENT_BATCHES)),
            rewinds: watch::Sender::new(0),
            passed: Mutex::new(HashMap::new()),
            works: Mutex::new(HashMap::new()),
            ended: Mutex::new(BTreeSet::new()),
            desks: Desks::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Something lies in the outbox. `at_once`: something that just happened, and not only what followed from it.
    pub(crate) fn sealer(&self, at_once: bool) {
        let inner = &self.inner;
        let bell = if at_once {
            &inner.sealer_at_once
        } else {
            &inner.sealer
        };
        bell.notify_one();
    }

    /// Until something lies in the outbox; for what is not to be sealed at once, until then at least.
    pub(crate) async fn sealer_called(&self, gather: Option<tokio::time::Instant>) {
        let later = async {
            self.inner.sealer.notified().await;
            if let Some(gather) = gather {
                tokio::time::sleep_until(gather).await;
            }
        };
        tokio::select! {
            () = self.inner.sealer_at_once.notified() => {}
            () = later => {}
        }
    }

    /// Jobs of this class were queued.
    pub(crate) fn queue(&self, class: JobClass) {
        crate::queue::ring(class);
    }

    /// Where jobs are handed on to the runner of this process.
    pub(crate) fn desks(&self) -> &Desks {
        &self.inner.desks
    }

    /// This process sealed a batch. [`Wake::head_moved`] comes after it.
    pub(crate) fn batch_sealed(&self, batch: SealedBatch) {
        let mut recent = self.inner.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == RECENT_BATCHES {
            recent.pop_front();
        }
        for old in recent.iter_mut().filter(|old| old.sealed.elapsed() >= TOLD_FOR) {
            old.events = None;
        }
        recent.push_back(batch);
    }

    /// How far one may go on from `from`, up to `to`, without meeting an event of these types (empty: any) on the
    /// lane, as far as memory tells: batches that another process sealed are not in it.
    pub(crate) fn nothing_until(
        &self,
        lane: Lane,
        types: &[String],
        from: Position,
        to: Position,
    ) -> Position {
        let recent = self.inner.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reached = from;
        for batch in recent.iter().filter(|batch| batch.last > from) {
            if batch.after > reached || reached >= to || batch.concerns(lane, types) {
                break;
            }
            reached = batch.last;
        }
        reached.min(to)
    }

    /// The events of these types (empty: any) on the lane after `from`, up to `to`, if memory holds all that the log
    /// has there and it is fresh.
    pub(crate) fn events(
        &self,
        lane: Lane,
        types: &[String],
        from: Position,
        to: Position,
    ) -> Option<Vec<Arc<Event>>> {
        let recent = self.inner.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut reached, mut found) = (from, Vec::new());
        for batch in recent.iter().filter(|batch| batch.last > from) {
            if batch.after > reached || reached >= to {
                break;
            }
            if batch.concerns(lane, types) {
                let events = batch
                    .events
                    .as_ref()
                    .filter(|_| batch.sealed.elapsed() < TOLD_FOR)?;
                let wanted = |event: &&Arc<Event>| {
                    event.lane == lane
                        && (types.is_empty() || types.contains(&event.kind))
                        && (from + 1..=to).contains(&event.position)
                };
                found.extend(events.iter().filter(wanted).cloned());
            }
            reached = batch.last;
        }
        (reached >= to).then_some(found)
    }

    /// Bodies were erased: what memory tells is read again from the log.
    pub(crate) fn bodies_erased(&self) {
        let mut recent = self.inner.recent.lock().unwrap_or_else(PoisonError::into_inner);
        for batch in recent.iter_mut() {
            batch.events = None;
        }
    }

    /// The log ends here now.
    pub(crate) fn head_moved(&self, head: Position) {
        self.inner.head.send_if_modified(|old| {
            let moved = head > *old;
            *old = (*old).max(head);
            moved
        });
    }

    pub(crate) fn head(&self) -> watch::Receiver<Position> {
        self.inner.head.subscribe()
    }

    /// A consumer's position was set back: all read theirs again.
    pub(crate) fn rewound(&self) {
        self.inner.rewinds.send_modify(|count| *count += 1);
    }

    pub(crate) fn rewinds(&self) -> watch::Receiver<u64> {
        self.inner.rewinds.subscribe()
    }

    /// Hears what other processes seal. Polling covers the time in which it can't.
    pub(crate) async fn listen(self, pool: PgPool, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            let heard = tokio::select! {
                heard = self.hear(&pool) => heard,
                () = stop.cancelled() => return,
            };
            if let Err(error) = heard {
                backoff.failed("listener", &error, &stop).await;
            }
        }
    }

    async fn hear(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        while let Some(told) = listener.try_recv().await? {
            if let Ok(head) = told.payload().parse() {
                if *self.inner.head.borrow() < head {
                    tokio::time::sleep(OWN_WORD_FIRST).await;
                }
                self.head_moved(head);
            }
        }
        Ok(())
    }

    /// The position that a consumer has passed, as a thing to set and to wait for.
    pub(crate) fn passed(&self, consumer: &'static str, lane: Lane) -> watch::Sender<Position> {
        let mut passed = self.inner.passed.lock().unwrap_or_else(PoisonError::into_inner);
        passed
            .entry((consumer, lane))
            .or_insert_with(|| watch::Sender::new(0))
            .clone()
    }

    /// A consumer has just gone on, or has nothing to do.
    pub(crate) fn works(&self, consumer: &'static str, lane: Lane) {
        let mut works = self.inner.works.lock().unwrap_or_else(PoisonError::into_inner);
        works.insert((consumer, lane), Instant::now());
    }

    /// How long ago that was; nothing before the first time.
    pub(crate) fn worked_ago(&self, consumer: &'static str, lane: Lane) -> Option<Duration> {
        let works = self.inner.works.lock().unwrap_or_else(PoisonError::into_inner);
        works.get(&(consumer, lane)).map(Instant::elapsed)
    }

    /// A task that nobody can start again is over before its time.
    pub(crate) fn part_ended(&self, service: &'static str) {
        let mut ended = self.inner.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.insert(service);
    }

    pub(crate) fn parts_ended(&self) -> Vec<&'static str> {
        let ended = self.inner.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(wake: &Wake, after: Position, last: Position, holds: &[(Lane, &str)]) {
        let holds = holds.iter().map(|(lane, kind)| (*lane, (*kind).to_owned()));
        wake.batch_sealed(SealedBatch::new(after, last, holds.collect(), None));
    }

    #[test]
    fn a_reader_goes_on_over_batches_that_hold_nothing_for_it_and_no_further() {
        let wake = Wake::new();
        let types = ["call".to_owned()];
        let until = |types: &[String], from, to| wake.nothing_until(Lane::Live, types, from, to);
        assert_eq!(until(&types, 0, 9), 0, "nothing is known yet");
        sealed(&wake, 10, 12, &[(Lane::Live, "audit")]);
        sealed(&wake, 12, 15, &[(Lane::Live, "audit"), (Lane::Backfill, "call")]);
        sealed(&wake, 15, 16, &[(Lane::Live, "call"), (Lane::Live, "audit")]);
        sealed(&wake, 16, 20, &[(Lane::Live, "audit")]);
        assert_eq!(until(&types, 9, 20), 9, "what lies before 10 is not known");
        assert_eq!(until(&types, 10, 20), 15);
        assert_eq!(until(&types, 11, 20), 15, "from within a batch too");
        assert_eq!(until(&types, 10, 14), 14, "but not over the limit");
        assert_eq!(until(&types, 15, 20), 15);
        assert_eq!(until(&types, 16, 20), 20);
        assert_eq!(until(&types, 20, 25), 20, "another process sealed 21 to 25");
        assert_eq!(until(&[], 10, 20), 10, "who wants all types skips none");
        assert_eq!(wake.nothing_until(Lane::Backfill, &[], 10, 20), 12);
        assert_eq!(wake.nothing_until(Lane::Backfill, &[], 15, 20), 20);
        for n in 0..70 {
            sealed(&wake, 20 + n, 21 + n, &[(Lane::Live, "audit")]);
        }
        assert_eq!(until(&types, 16, 90), 16, "forgotten by now");
        assert_eq!(until(&types, 30, 90), 90);
    }

    fn event(position: Position, lane: Lane, kind: &str) -> Arc<Event> {
        let body = serde_json::json!({
            "position": position, "id": uuid::Uuid::now_v7(), "type": kind, "version": 1,
            "account": uuid::Uuid::nil(), "lane": lane, "subject": null, "subject_version": null, "actor": "operator",
            "occurred_at": "2026-11-21T10:00:00Z", "recorded_at": "2026-11-21T10:00:00Z",
            "correlation": uuid::Uuid::nil(), "causation": null, "depth": 0, "body": { "n": position },
        });
        Arc::new(serde_json::from_value(body).unwrap())
    }

    #[test]
    fn what_was_sealed_here_just_now_is_handed_on_and_nothing_after_an_erasure_or_a_gap() {
        let wake = Wake::new();
        let (live, old) = (Lane::Live, Lane::Backfill);
        let batch = |after: Position, events: Vec<Arc<Event>>| {
            let last = after + events.len() as i64;
            let holds = events.iter().map(|one| (one.lane, one.kind.clone())).collect();
            SealedBatch::new(after, last, holds, Some(events))
        };
        wake.batch_sealed(batch(
            10,
            vec![
                event(11, live, "call"),
                event(12, old, "call"),
                event(13, live, "audit"),
            ],
        ));
        wake.batch_sealed(batch(13, vec![event(14, live, "call")]));
        let types = ["call".to_owned()];
        let told = |from, to| -> Option<Vec<Position>> {
            let events = wake.events(live, &types, from, to)?;
            Some(events.iter().map(|one| one.position).collect())
        };
        assert_eq!(told(10, 14), Some(vec![11, 14]), "its type, its lane, in order");
        assert_eq!(told(11, 14), Some(vec![14]));
        assert_eq!(told(10, 13), Some(vec![11]));
        assert_eq!(told(9, 14), None, "10 was sealed by another");
        assert_eq!(told(10, 15), None, "and 15 will be");
        wake.bodies_erased();
        assert_eq!(told(10, 14), None, "the log tells what is left");
        assert_eq!(wake.nothing_until(live, &["other".to_owned()], 10, 14), 14);
    }
}
