//! Tells the database that this hub lives, by a lock that ends with the session that holds it, and hears on the same
//! session of new work and of cancelled jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use contracts::JobClass;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::backoff::Backoff;
use crate::queue::{store, wake};

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
    let mut session = PgListener::connect_with(pool).await?;
    let number = take_number(&mut session).await?;
    let pgboss = store::pgboss_channel(pool).await?;
    session.listen_all([store::CHANNEL, pgboss.as_str()]).await?;
    Ok((
        Hub {
            number: Arc::new(AtomicI32::new(number)),
            look: Arc::default(),
        },
        session,
    ))
}

async fn take_number(session: &mut PgListener) -> Result<i32, sqlx::Error> {
    loop {
        let number = store::hub_enter(&mut *session).await?;
        // Only a hub that thought this one dead in the same instant could have taken the row away.
        if store::hub_lock(&mut *session, number).await? {
            return Ok(number);
        }
    }
}

/// Keeps the session, takes the lock again when it was lost, passes on what is heard.
pub(super) async fn keep(shared: Shared, mut session: PgListener, end: CancellationToken) {
    let mut backoff = Backoff::default();
    loop {
        let heard = tokio::select! {
            () = end.cancelled() => return,
            heard = session.try_recv() => heard,
        };
        let done = match heard {
            Ok(Some(said)) => {
                hear(&shared.hub, said.payload());
                continue;
            }
            // The session was lost and is there again.
            Ok(None) => lock_again(&shared.hub, &mut session).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => {
                backoff.succeeded("queue presence");
                JobClass::ALL.into_iter().for_each(wake::ring);
                shared.hub.look.notify_one();
            }
            Err(error) => backoff.failed("queue presence", &error, &end).await,
        }
    }
}

async fn lock_again(hub: &Hub, session: &mut PgListener) -> Result<(), sqlx::Error> {
    if !store::hub_lock(&mut *session, hub.number()).await? {
        // Another hub held this one for dead and has our jobs run again; what we say of them is dropped.
        hub.number.store(take_number(session).await?, Ordering::Release);
    }
    Ok(())
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
