//! Waking the runners. Within the process at once; across processes by one NOTIFY, coalesced, since each NOTIFY
//! makes commits take turns. Polling is the floor: a lost wake-up costs time and nothing else.

use std::sync::LazyLock;
use std::time::Duration;

use contracts::JobClass;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::store;
use crate::backoff::Backoff;

/// No two announcements closer than this; the first goes out at once.
const APART: Duration = Duration::from_millis(15);

struct Bells {
    classes: [watch::Sender<u64>; 3],
    announce: watch::Sender<[bool; 3]>,
}

static BELLS: LazyLock<Bells> = LazyLock::new(|| Bells {
    classes: std::array::from_fn(|_| watch::Sender::new(0)),
    announce: watch::Sender::new([false; 3]),
});

fn index(class: JobClass) -> usize {
    match class {
        JobClass::Realtime => 0,
        JobClass::Interactive => 1,
        JobClass::Background => 2,
    }
}

/// Jobs of any class were committed.
pub fn wake() {
    JobClass::ALL.into_iter().for_each(wake_class);
}

/// Jobs of this class were committed.
pub fn wake_class(class: JobClass) {
    ring(class);
    if BELLS.announce.receiver_count() > 0 {
        BELLS.announce.send_modify(|classes| classes[index(class)] = true);
    }
}

/// Wakes within this process only.
pub(super) fn ring(class: JobClass) {
    BELLS.classes[index(class)].send_modify(|rings| *rings = rings.wrapping_add(1));
}

pub(super) fn listen(class: JobClass) -> watch::Receiver<u64> {
    BELLS.classes[index(class)].subscribe()
}

/// Tells other processes on the same database of what this one queues, until `stop`. A hub that is a single process
/// needs none of it.
pub async fn announce(pool: PgPool, stop: CancellationToken) {
    let mut wanted = BELLS.announce.subscribe();
    let mut backoff = Backoff::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = wanted.changed() => {}
        }
        let mut due = [false; 3];
        BELLS.announce.send_if_modified(|classes| {
            due = std::mem::take(classes);
            false
        });
        for class in JobClass::ALL.into_iter().filter(|class| due[index(*class)]) {
            match store::notify(&pool, class.as_str()).await {
                Ok(()) => backoff.succeeded("queue announcements"),
                Err(error) => backoff.failed("queue announcements", &error, &stop).await,
            }
        }
        tokio::time::sleep(APART).await;
    }
}
