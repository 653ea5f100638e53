//! Waking the runners, within the process and at once. Polling is the floor for what other processes queue: a NOTIFY a
//! commit would make commits take turns, and a lost wake-up costs time and nothing else.

use std::sync::LazyLock;

use contracts::JobClass;
use tokio::sync::watch;

static BELLS: LazyLock<[watch::Sender<u64>; 3]> =
    LazyLock::new(|| std::array::from_fn(|_| watch::Sender::new(0)));

fn index(class: JobClass) -> usize {
    match class {
        JobClass::Realtime => 0,
        JobClass::Interactive => 1,
        JobClass::Background => 2,
    }
}

/// Jobs of any class were committed by other means than a [`crate::ScopedTx`], which rings by itself.
pub fn wake() {
    JobClass::ALL.into_iter().for_each(ring);
}

/// Jobs of this class were committed.
pub(crate) fn ring(class: JobClass) {
    BELLS[index(class)].send_modify(|rings| *rings = rings.wrapping_add(1));
}

pub(super) fn listen(class: JobClass) -> watch::Receiver<u64> {
    BELLS[index(class)].subscribe()
}
