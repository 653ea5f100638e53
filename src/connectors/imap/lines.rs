//! Lines that are open: those of a connection are used again for its next page.
//!
//! Invariant: a password that was refused isn't tried again by whoever was on the way to do so: servers lock a mailbox
//! after some tries. Begin with [`Lines::line`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contracts::ConnectionId;
use fetch::{Fetch, FetchConfig};
use spine::ports::SyncError;

use super::line::{Line, REFUSED};
use super::settings::Settings;

/// Lines that a connection keeps.
const KEPT_MAX: usize = 2;
/// For so long.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// Each folder comes by once by its schedule, and is refused without a question.
const REFUSED_FOR: Duration = Duration::from_secs(65 * 60);

struct Kept {
    line: Line,
    of: [u8; 32],
    since: Instant,
}

/// The open lines of all connections.
#[derive(Default)]
pub(super) struct Lines {
    fetch: Option<Fetch>,
    kept: Mutex<HashMap<ConnectionId, Vec<Kept>>>,
    refused: Mutex<HashMap<[u8; 32], Instant>>,
    /// Who signs in now with the same words waits for each other.
    signing_in: Mutex<HashMap<[u8; 32], Arc<tokio::sync::Mutex<()>>>>,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lines {
    /// With these certificate authorities beside the public ones, in PEM.
    pub(super) fn new(extra_ca_pem: Vec<Vec<u8>>) -> Self {
        let fetch = Fetch::new(FetchConfig {
            extra_ca_pem,
            ..FetchConfig::default()
        });
        if let Err(error) = &fetch {
            tracing::error!(%error, "no mail server can be asked");
        }
        Self {
            fetch: fetch.ok(),
            ..Self::default()
        }
    }

    /// A line of the connection: one that is open, or a new one. True: it was used before, and may have broken since.
    pub(super) async fn line(
        &self,
        id: ConnectionId,
        settings: &Settings,
    ) -> Result<(Line, bool), SyncError> {
        let of = settings.fingerprint();
        if let Some(line) = self.take(id, of) {
            return Ok((line, true));
        }
        let turn = Arc::clone(held(&self.signing_in).entry(of).or_default());
        let _turn = turn.lock().await;
        if held(&self.refused)
            .get(&of)
            .is_some_and(|at| at.elapsed() < REFUSED_FOR)
        {
            return Err(SyncError::Refused(REFUSED.to_owned()));
        }
        Ok((self.open(settings).await?, false))
    }

    /// A new line, whatever was said before.
    pub(super) async fn open(&self, settings: &Settings) -> Result<Line, SyncError> {
        let fetch = self.fetch.as_ref().ok_or_else(|| {
            SyncError::Configuration(
                "the hub's certificate authorities can't be read: see its log".to_owned(),
            )
        })?;
        let opened = Line::open(fetch, settings).await;
        let mut refused = held(&self.refused);
        refused.retain(|_, at| at.elapsed() < REFUSED_FOR);
        match &opened {
            Err(SyncError::Refused(_)) => {
                refused.insert(settings.fingerprint(), Instant::now());
            }
            _ => {
                refused.remove(&settings.fingerprint());
            }
        }
        opened
    }

    /// Keeps a line that works for the next page.
    pub(super) fn keep(&self, id: ConnectionId, settings: &Settings, line: Line) {
        let mut kept = held(&self.kept);
        let lines = kept.entry(id).or_default();
        if lines.len() < KEPT_MAX {
            lines.push(Kept {
                line,
                of: settings.fingerprint(),
                since: Instant::now(),
            });
        }
    }

    fn take(&self, id: ConnectionId, of: [u8; 32]) -> Option<Line> {
        let mut kept = held(&self.kept);
        let lines = kept.get_mut(&id)?;
        lines.retain(|one| one.of == of && one.since.elapsed() < KEPT_FOR);
        lines.pop().map(|one| one.line)
    }

    /// Closes what nobody needed for a while.
    pub(super) fn tidy(&self) {
        let mut kept = held(&self.kept);
        for lines in kept.values_mut() {
            lines.retain(|one| one.since.elapsed() < KEPT_FOR);
        }
        kept.retain(|_, lines| !lines.is_empty());
        held(&self.signing_in).retain(|_, turn| Arc::strong_count(turn) > 1);
    }
}
