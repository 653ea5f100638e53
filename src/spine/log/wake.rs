//! Wake-ups within the process: who committed tells who waits. Across processes a NOTIFY does it, and polling is
//! the floor, so a lost wake-up costs time and nothing else.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use contracts::{JobClass, Lane, Position};
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;

/// Wakes the sealer, the queue and the consumers.
#[derive(Debug, Clone)]
pub(crate) struct Wake {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    sealer: Notify,
    head: watch::Sender<Position>,
    rewinds: watch::Sender<u64>,
    passed: Mutex<HashMap<(&'static str, Lane), watch::Sender<Position>>>,
    works: Mutex<HashMap<(&'static str, Lane), Instant>>,
    ended: Mutex<BTreeSet<&'static str>>,
}

impl Wake {
    pub(crate) fn new() -> Self {
        let inner = Inner {
            sealer: Notify::new(),
            head: watch::Sender::new(0),
            rewinds: watch::Sender::new(0),
            passed: Mutex::new(HashMap::new()),
            works: Mutex::new(HashMap::new()),
            ended: Mutex::new(BTreeSet::new()),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Something lies in the outbox.
    pub(crate) fn sealer(&self) {
        self.inner.sealer.notify_one();
    }

    pub(crate) async fn sealer_called(&self) {
        self.inner.sealer.notified().await;
    }

    /// Jobs of this class were queued.
    pub(crate) fn queue(&self, class: JobClass) {
        crate::queue::wake_class(class);
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
        listener.listen("allod_sealed").await?;
        while let Some(told) = listener.try_recv().await? {
            if let Ok(head) = told.payload().parse() {
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
