//! Which connections are open, whose they are, and which of them are silent.
//!
//! Invariant: no source holds more than its share, all together not many more than the door takes; a connection in the
//! middle of a request or an answer is never ended for another's sake, and one that is to end takes no request any more.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use spine::edge::Peer;
use tokio_util::sync::CancellationToken;

use super::Limits;

/// So many more than the door takes may be open while silent ones are on their way out.
const LEAVING_MAX: usize = 32;

/// The connections that are open.
#[derive(Debug, Clone, Default)]
pub(super) struct Open(Arc<Mutex<Connections>>);

#[derive(Debug, Default)]
struct Connections {
    next: u64,
    open: HashMap<u64, Connection>,
    by_source: HashMap<String, usize>,
}

#[derive(Debug)]
struct Connection {
    /// `None`: a trusted proxy.
    source: Option<String>,
    /// Since when nothing was asked and nothing answered. `None`: something is.
    silent_since: Option<Instant>,
    wanted: CancellationToken,
}

/// One connection's place; dropping it frees it.
#[derive(Debug)]
pub(super) struct Place {
    open: Open,
    number: u64,
    wanted: CancellationToken,
}

/// Something is asked, or answered, until it is dropped.
#[derive(Debug)]
pub(super) struct Speaking(Arc<Place>);

impl Open {
    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from an address, if need be that of a silent one.
    pub(super) fn take(&self, limits: &Limits, address: IpAddr) -> Option<Arc<Place>> {
        let mut connections = self.lock();
        let source = (!limits.proxies.holds(address)).then(|| Peer(Some(address)).limit_key());
        let own = source
            .as_ref()
            .and_then(|source| connections.by_source.get(source));
        if own.is_some_and(|own| *own >= limits.per_source_max) {
            return None;
        }
        let over = connections.open.len().checked_sub(limits.connections_max);
        if over.is_some_and(|over| over >= LEAVING_MAX || !connections.end_a_silent_one()) {
            return None;
        }
        if let Some(source) = &source {
            *connections.by_source.entry(source.clone()).or_default() += 1;
        }
        let (number, wanted) = (connections.next, CancellationToken::new());
        connections.next += 1;
        let connection = Connection {
            source,
            silent_since: Some(Instant::now()),
            wanted: wanted.clone(),
        };
        connections.open.insert(number, connection);
        Some(Arc::new(Place {
            open: self.clone(),
            number,
            wanted,
        }))
    }
}

impl Connections {
    /// Of whoever holds most, the one that is silent for the longest. A proxy's are spared: behind them are many. False:
    /// none is silent.
    fn end_a_silent_one(&mut self) -> bool {
        let by_source = &self.by_source;
        let silent = self.open.values_mut().filter_map(|connection| {
            let (source, since) = (connection.source.as_ref()?, connection.silent_since?);
            Some(((by_source.get(source).copied(), Reverse(since)), connection))
        });
        let Some((_, ended)) = silent.max_by_key(|(rank, _)| *rank) else {
            return false;
        };
        ended.silent_since = None; // it is ended once, and hears nothing from now on
        ended.wanted.cancel();
        true
    }
}

impl Place {
    /// Waits until somebody else is to have it.
    pub(super) async fn wanted(&self) {
        self.wanted.cancelled().await;
    }

    /// A request came. `None`: too late, somebody else is to have the place, and the request is not begun.
    pub(super) fn speak(self: &Arc<Self>) -> Option<Speaking> {
        self.set_silent(None).then(|| Speaking(self.clone()))
    }

    /// False: it is to end.
    fn set_silent(&self, since: Option<Instant>) -> bool {
        let mut connections = self.open.lock();
        // Under the lock, since it is under the lock that it is chosen.
        let connection = connections.open.get_mut(&self.number);
        let Some(connection) = connection.filter(|connection| !connection.wanted.is_cancelled()) else {
            return false;
        };
        connection.silent_since = since;
        true
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        self.0.set_silent(Some(Instant::now()));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut connections = self.open.lock();
        let Some(Connection {
            source: Some(source), ..
        }) = connections.open.remove(&self.number)
        else {
            return;
        };
        if let Some(own) = connections.by_source.get_mut(&source) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                connections.by_source.remove(&source);
            }
        }
    }
}
