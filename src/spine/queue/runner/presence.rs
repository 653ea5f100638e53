//! Tells the database that this hub lives, by a lock that ends with the session that holds it, and hears on the same
//! session of new work and of cancelled jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use contracts::JobClass;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::queue::{store, wake};

const RETRY: Duration = Duration::from_millis(200);

/// This hub's number in the list, which its active jobs bear.
#[derive(Debug, Clone)]
pub(in crate::queue) struct Hub {
    number: Arc<AtomicI32>,
    look: Arc<Notify>,
}

impl Hub {
    pub(in crate::queue) fn number(&self) -> i32 {
        self.number.load(Ordering::Acquire)
    }

    /// Waits until somebody says that jobs were cancelled.
    pub(super) async fn look(&self) {
        self.look.notified().await;
    }
}

pub(super) async fn enter(pool: &PgPool) -> Result<(Hub, PgListener), sqlx::Error> {
    let mut session = session(pool).await?;
    let number = Arc::new(AtomicI32::new(take_number(&mut session).await?));
    Ok((
        Hub {
            number,
            look: Arc::default(),
        },
        session,
    ))
}

/// A session that hears. It must not mend itself: it would come back without the lock.
async fn session(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut session = PgListener::connect_with(pool).await?;
    session.eager_reconnect(false);
    let pgboss = store::pgboss_channel(&mut session).await?;
    session.listen_all([store::CHANNEL, pgboss.as_str()]).await?;
    Ok(session)
}

async fn take_number(session: &mut PgListener) -> Result<i32, sqlx::Error> {
    loop {
        let number = store::hub_enter(&mut *session).await?;
        // Only a hub that thought this one dead in the same instant could have taken the row away.
        if store::hub_lock(&mut *session, number).await? == (true, true) {
            return Ok(number);
        }
    }
}

/// Keeps the session, makes a new one with the lock when it was lost, passes on what is heard.
pub(super) async fn keep(shared: Shared, mut session: PgListener, end: CancellationToken) {
    loop {
        let heard = tokio::select! {
            () = end.cancelled() => return,
            heard = session.try_recv() => heard,
        };
        if let Ok(Some(said)) = heard {
            hear(&shared.hub, said.payload());
            continue;
        }
        let Some(again) = come_back(&shared, &end).await else {
            return;
        };
        session = again;
        JobClass::ALL.into_iter().for_each(wake::ring);
        shared.hub.look.notify_one();
    }
}

/// Tries without growing pauses: whoever is back last is held for dead by the others.
async fn come_back(shared: &Shared, end: &CancellationToken) -> Option<PgListener> {
    tracing::debug!("the queue's session was lost");
    loop {
        if let Ok(Some(session)) = renew(shared).await {
            return Some(session);
        }
        tokio::select! {
            () = end.cancelled() => return None,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

/// `None`: the server has not yet noticed that the old session is gone.
async fn renew(shared: &Shared) -> Result<Option<PgListener>, sqlx::Error> {
    let (hub, mut session) = (&shared.hub, session(&shared.pool).await?);
    match store::hub_lock(&mut session, hub.number()).await? {
        (true, true) => {}
        (false, true) => return Ok(None),
        // Another hub held this one for dead and has our jobs run again; what we say of them is dropped.
        (_, false) => hub
            .number
            .store(take_number(&mut session).await?, Ordering::Release),
    }
    Ok(Some(session))
}

fn hear(hub: &Hub, said: &str) {
    if said == store::CANCELLED {
        hub.look.notify_one();
        return;
    }
    match JobClass::ALL.into_iter().find(|class| class.as_str() == said) {
        Some(class) => wake::ring(class),
        // A Node program names the queue.
        None => JobClass::ALL.into_iter().for_each(wake::ring),
    }
}
