//! The upkeep that pg-boss's supervisor would do if a Node program ran: expiry, heartbeats, retention, schedules; and
//! what is ours: the jobs of dead hubs, and the gauge of what waits.
//!
//! Invariant: every step may be done by several processes at once, and twice, without harm.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use contracts::{Clock, JobClass};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::cron::Timekeeper;
use super::registry::JobRegistry;
use super::runner::Hub;
use super::{store, wake::wake};
use crate::backoff::Backoff;

const TICK: Duration = Duration::from_secs(1);
/// A runner that lives ends what takes too long by itself; this is for those that don't.
const EXPIRY_GRACE_SECONDS: f64 = 2.0;

struct Supervisor {
    pool: PgPool,
    registry: Arc<JobRegistry>,
    hub: Hub,
    timekeeper: Timekeeper,
    /// Hubs whose lock nobody held a moment ago.
    silent: HashSet<i32>,
}

pub(super) async fn run(
    pool: PgPool,
    registry: Arc<JobRegistry>,
    hub: Hub,
    clock: Arc<dyn Clock>,
    end: CancellationToken,
) {
    let mut supervisor = Supervisor {
        pool,
        registry,
        hub,
        timekeeper: Timekeeper::new(clock),
        silent: HashSet::new(),
    };
    let (mut backoff, mut tick) = (Backoff::default(), 0_u64);
    while !end.is_cancelled() {
        match supervisor.round(tick).await {
            Ok(()) => backoff.succeeded("queue supervisor"),
            Err(error) => {
                // After an outage everybody needs a moment: nobody is dead for what was seen before it.
                supervisor.silent.clear();
                backoff.failed("queue supervisor", &error, &end).await;
            }
        }
        tick = tick.wrapping_add(1);
        tokio::select! {
            () = end.cancelled() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

impl Supervisor {
    async fn round(&mut self, tick: u64) -> Result<(), sqlx::Error> {
        // At the start, and one second later, then now and then: a hub that was killed is back within two seconds.
        if tick < 3 || tick.is_multiple_of(3) || !self.silent.is_empty() {
            self.bury_dead_hubs().await?;
        }
        if tick.is_multiple_of(2) && store::expire(&self.pool, EXPIRY_GRACE_SECONDS).await? > 0 {
            wake();
        }
        let fired = self.timekeeper.look(&self.pool, tick.is_multiple_of(10)).await?;
        if fired > 0 {
            wake();
        }
        if tick.is_multiple_of(5) {
            self.gauge().await?;
        }
        if tick % 60 == 30 {
            store::prune(&self.pool).await?;
        }
        Ok(())
    }

    /// A hub is dead when nobody held its lock twice in a row: after a restart of the database, a hub that lives
    /// needs a moment to take its lock again.
    async fn bury_dead_hubs(&mut self) -> Result<(), sqlx::Error> {
        let silent: HashSet<i32> = store::hub_silent(&self.pool, self.hub.number())
            .await?
            .into_iter()
            .collect();
        let dead: Vec<i32> = silent.intersection(&self.silent).copied().collect();
        self.silent = silent;
        if dead.is_empty() {
            return Ok(());
        }
        let jobs = store::hub_bury(&self.pool, &dead).await?;
        self.silent.retain(|hub| !dead.contains(hub));
        tracing::info!(
            hubs = dead.len(),
            jobs,
            "a hub had ended without a word: its jobs are tried again"
        );
        wake();
        Ok(())
    }

    async fn gauge(&self) -> Result<(), sqlx::Error> {
        for class in JobClass::ALL {
            let waiting = store::waiting(&self.pool, &self.registry.queues(class)).await?;
            #[expect(clippy::cast_precision_loss, reason = "a gauge; counts stay far below 2^52")]
            metrics::gauge!("allod_jobs_waiting", "class" => class.as_str()).set(waiting as f64);
        }
        Ok(())
    }
}
