//! Hears of new mail by IDLE (RFC 2177) and lets it be read at once.
//!
//! Invariant: whatever it misses is read by the schedule; a server that is away is asked less and less often, and the log
//! tells it once. Begin with [`Watch::run`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use contracts::ConnectionId;
use spine::Context;
use spine::access::{AccessError, Cause, Scope};
use spine::ports::SyncError;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use async_imap::extensions::idle::IdleResponse;

use super::line::{Line, PATIENCE, TALK_BYTES};
use super::lines::Lines;
use super::settings::Settings;
use super::{NAME, folders, mail};

const INBOX: &str = "INBOX";
/// How often it is looked which connections there are.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// Servers hang up after half an hour, and routers before.
const IDLE_FOR: Duration = Duration::from_secs(9 * 60);
/// Several mails come together.
const SETTLE: Duration = Duration::from_millis(300);
/// A reading that was under way may have looked before the news: it is asked for once more.
const SOON: Duration = Duration::from_secs(10);
const DELAY_FIRST: Duration = Duration::from_secs(15);
const DELAY_MAX: Duration = Duration::from_secs(30 * 60);

/// The task.
pub(super) struct Watch {
    context: Context,
    lines: Arc<Lines>,
}

/// Why a watch ended.
enum End {
    /// Paused, removed, or refused: it is begun anew when it works again.
    Idle,
    /// The server can't do it.
    Unable,
}

type Watched = (Scope, ConnectionId);

impl Watch {
    pub(super) fn new(context: Context, lines: Arc<Lines>) -> Self {
        Self { context, lines }
    }

    /// Until the hub stops.
    pub(super) async fn run(self, stop: CancellationToken) {
        let watch = Arc::new(self);
        let mut tasks: JoinSet<(ConnectionId, End)> = JoinSet::new();
        let mut watched: BTreeMap<ConnectionId, CancellationToken> = BTreeMap::new();
        loop {
            if let Ok(found) = watch.context.ports.connections().of_connector(NAME).await {
                watched.retain(|id, watching| {
                    let stays = found.iter().any(|(_, one)| one == id);
                    if !stays {
                        watching.cancel();
                    }
                    stays
                });
                for (scope, id) in found {
                    watched.entry(id).or_insert_with(|| {
                        let watching = stop.child_token();
                        tasks.spawn(Arc::clone(&watch).connection((scope, id), watching.clone()));
                        watching
                    });
                }
            }
            watch.lines.tidy();
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => break,
            }
            while let Some(ended) = tasks.try_join_next() {
                // Whoever can't stays in the list, and isn't asked again before the hub's next start.
                if let Ok((id, End::Idle)) = ended {
                    watched.remove(&id);
                }
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn connection(self: Arc<Self>, watched: Watched, stop: CancellationToken) -> (ConnectionId, End) {
        let id = watched.1;
        let mut delay = DELAY_FIRST;
        let mut is_away = false;
        loop {
            let worked = tokio::select! {
                worked = self.watch(&watched, &mut is_away, &mut delay) => worked,
                () = stop.cancelled() => return (id, End::Idle),
            };
            match worked {
                Ok(end) => return (id, end),
                Err(SyncError::Refused(_) | SyncError::Configuration(_)) => return (id, End::Idle),
                Err(error) => {
                    if !is_away {
                        tracing::info!(connection = %id, reason = %error, "new mail isn't heard of at once; it is read by the schedule meanwhile");
                        is_away = true;
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = stop.cancelled() => return (id, End::Idle),
            }
            delay = (delay * 2).min(DELAY_MAX);
        }
    }

    async fn watch(
        &self,
        watched: &Watched,
        is_away: &mut bool,
        delay: &mut Duration,
    ) -> Result<End, SyncError> {
        let Some(settings) = self.settings(watched).await? else {
            return Ok(End::Idle);
        };
        let (mut line, _) = self.lines.line(watched.1, &settings).await?;
        if !line.can("IDLE") {
            return Ok(End::Unable);
        }
        let folder = folders::list(&mut line, &settings).await?.watched();
        let Some(folder) = folder else {
            return Ok(End::Idle);
        };
        let mut known = line.examine(INBOX).await?;
        if std::mem::take(is_away) {
            tracing::info!(connection = %watched.1, "new mail is heard of at once again");
        }
        *delay = DELAY_FIRST;
        // What came before anybody listened.
        self.is_due(watched, &folder).await?;
        let mut again = false;
        loop {
            line = idle(line, if again { SOON } else { IDLE_FOR }).await?;
            if std::mem::take(&mut again) {
                self.is_due(watched, &folder).await?;
            }
            let Some(now) = self.settings(watched).await? else {
                return Ok(End::Idle);
            };
            if now.fingerprint() != settings.fingerprint() {
                return Ok(End::Idle);
            }
            let opened = line.examine(INBOX).await?;
            if opened != known {
                self.is_due(watched, &folder).await?;
                (known, again) = (opened, true);
            }
        }
    }

    /// Of a connection that works; none if it is paused or gone.
    async fn settings(&self, (scope, id): &Watched) -> Result<Option<Settings>, SyncError> {
        let mut tx = self.context.access.begin(scope, Cause::outside()).await?;
        let connected = self.context.ports.connections().connected(&mut tx, *id).await?;
        connected.as_ref().map(Settings::of).transpose()
    }

    async fn is_due(&self, (scope, id): &Watched, folder: &str) -> Result<(), AccessError> {
        let mut tx = self.context.access.begin(scope, Cause::outside()).await?;
        let connections = self.context.ports.connections();
        connections.is_due(&mut tx, *id, mail::STREAM, folder).await?;
        tx.commit().await
    }
}

/// Until something changes, or it is time to show that somebody is there.
async fn idle(mut line: Line, patience: Duration) -> Result<Line, SyncError> {
    let broken = |_| SyncError::transient("the connection to the mail server broke");
    let silent = |_| SyncError::transient("the mail server doesn't answer in time");
    line.session.get_mut().meter(TALK_BYTES);
    let Line { session, can } = line;
    let mut idle = session.idle();
    tokio::time::timeout(PATIENCE, idle.init())
        .await
        .map_err(silent)?
        .map_err(broken)?;
    let (changed, interrupt) = idle.wait_with_timeout(patience);
    let changed = tokio::time::timeout(patience + PATIENCE, changed)
        .await
        .map_err(silent)?;
    drop(interrupt);
    if let IdleResponse::NewData(_) = changed.map_err(broken)? {
        tokio::time::sleep(SETTLE).await;
    }
    let session = tokio::time::timeout(PATIENCE, idle.done())
        .await
        .map_err(silent)?
        .map_err(broken)?;
    Ok(Line { session, can })
}
