//! Work on the spine itself, for whoever runs the hub: proving, retrying, replaying, erasing, and how it does.
//!
//! Invariant: what is done on somebody's word and its entry in their audit are one commit.
//! Begin with [`Admin`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use contracts::{AccountId, EventId, Lane, Position};
use sqlx::PgPool;

use crate::access::{Access, AccessError, Scope};
use crate::erase::Eraser;
use crate::log::chain::ChainKey;
use crate::log::consumer::{self, Consumer, HandleError};
use crate::log::verify::{self, Report};
use crate::log::wake::Wake;
use crate::queue::QueueAdmin;

/// Work on the spine itself: proving, retrying, replaying, erasing. Given to the edge.
#[derive(Debug, Clone)]
pub struct Admin {
    pub(super) inner: Arc<AdminInner>,
}

pub(super) struct AdminInner {
    pub(super) pool: PgPool,
    pub(super) access: Access,
    pub(super) key: ChainKey,
    pub(super) anchor: PathBuf,
    pub(super) wake: Wake,
    pub(super) parts: OnceLock<AdminParts>,
}

/// What the services brought with them.
pub(super) struct AdminParts {
    pub(super) consumers: Vec<Arc<dyn Consumer>>,
    pub(super) tables: Vec<&'static str>,
}

impl std::fmt::Debug for AdminInner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminInner")
    }
}

/// How far a consumer is.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct ConsumerStatus {
    /// The consumer's name.
    pub consumer: String,
    /// The lane.
    pub lane: Lane,
    /// The last position that it has passed.
    pub position: Position,
    /// How many positions it is behind the end of the log.
    pub behind: i64,
    /// How many events of the lane it has parked.
    pub parked: i64,
    /// How old the next event is that it has not passed, in seconds; 0 when there is none.
    pub lag_seconds: i64,
    /// How many seconds ago it last went on or looked and found nothing to do.
    pub silent_seconds: u64,
}

/// How the spine is doing.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct SpineStatus {
    /// Where the log ends.
    pub head: Position,
    /// Events that wait to be sealed.
    pub unsealed: i64,
    /// Each consumer.
    pub consumers: Vec<ConsumerStatus>,
    /// Services of which a task panicked since the start; the rest of them works.
    pub ended: Vec<&'static str>,
}

impl Admin {
    /// Proves the whole log.
    ///
    /// # Errors
    /// [`AccessError::Database`].
    pub async fn verify(&self) -> Result<Report, AccessError> {
        Ok(verify::verify(&self.inner.pool, &self.inner.key, &self.inner.anchor).await?)
    }

    /// Handles a parked event of somebody's account again; their audit tells of it in the same commit. False: that
    /// consumer has not parked it.
    ///
    /// # Errors
    /// [`HandleError`]: it failed again and stays parked with the new reason.
    pub async fn parked_retry(
        &self,
        by: &Scope,
        consumer: &str,
        event: EventId,
    ) -> Result<bool, HandleError> {
        let found = self
            .parts()
            .and_then(|parts| parts.consumers.iter().find(|one| one.name() == consumer));
        match found {
            Some(found) => consumer::parked_retry(&self.inner.access, found.as_ref(), by, event).await,
            None => Ok(false),
        }
    }

    /// Lets a consumer read a lane again from after a position. Handlers are idempotent, so nothing doubles.
    /// One that hasn't come so far goes on from where it is: a replay skips nothing. The audit of who says so tells of
    /// it in the same commit. False: no such consumer.
    ///
    /// # Errors
    /// [`AccessError::Database`].
    pub async fn replay(
        &self,
        by: &Scope,
        consumer: &str,
        lane: Lane,
        after: Position,
    ) -> Result<bool, AccessError> {
        let mut tx = self.inner.pool.begin().await?;
        if !consumer::store::position_rewind(&mut *tx, consumer, lane, after).await? {
            return Ok(false);
        }
        let deed = format!("consumer/{consumer}/replay");
        self.inner.access.commit_deed(tx, by, deed).await?;
        self.inner.wake.rewound();
        Ok(true)
    }

    /// How far sealer and consumers are.
    ///
    /// # Errors
    /// [`AccessError::Database`].
    pub async fn status(&self) -> Result<SpineStatus, AccessError> {
        let log = sqlx::query!(
            r#"
            SELECT position AS head, (SELECT count(*) FROM spine.outbox) AS "unsealed!" FROM spine.log_head
            "#
        )
        .fetch_one(&self.inner.pool)
        .await?;
        let parked = sqlx::query!(
            r#"
            SELECT parked.consumer, log.lane, count(*) AS "count!" FROM spine.parked_event AS parked
            JOIN spine.event_log AS log ON log.position = parked.position GROUP BY parked.consumer, log.lane
            "#
        )
        .fetch_all(&self.inner.pool)
        .await?;
        let mut consumers = Vec::new();
        for consumer in self
            .parts()
            .map(|parts| parts.consumers.as_slice())
            .unwrap_or_default()
        {
            for lane in consumer.lanes() {
                let position = *self.inner.wake.passed(consumer.name(), *lane).borrow();
                let parked = parked
                    .iter()
                    .find(|row| row.consumer == consumer.name() && row.lane == lane.as_str())
                    .map_or(0, |row| row.count);
                let silent = self.inner.wake.worked_ago(consumer.name(), *lane);
                consumers.push(ConsumerStatus {
                    consumer: consumer.name().to_owned(),
                    lane: *lane,
                    position,
                    behind: (log.head - position).max(0),
                    parked,
                    silent_seconds: silent.map_or(0, |silent| silent.as_secs()),
                    lag_seconds: 0,
                });
            }
        }
        self.lags(&mut consumers).await?;
        Ok(SpineStatus {
            head: log.head,
            unsealed: log.unsealed,
            consumers,
            ended: self.inner.wake.parts_ended(),
        })
    }

    async fn lags(&self, consumers: &mut [ConsumerStatus]) -> Result<(), AccessError> {
        let behind = consumers.iter().filter(|consumer| consumer.behind > 0);
        let next: Vec<Position> = behind.map(|consumer| consumer.position + 1).collect();
        if next.is_empty() {
            return Ok(());
        }
        let found = sqlx::query!(
            "SELECT position, recorded_at FROM spine.event_log WHERE position = ANY($1)",
            &next
        )
        .fetch_all(&self.inner.pool)
        .await?;
        let now = self.inner.access.now();
        for consumer in consumers.iter_mut().filter(|consumer| consumer.behind > 0) {
            let next = found.iter().find(|row| row.position == consumer.position + 1);
            consumer.lag_seconds = next.map_or(0, |row| (now - row.recorded_at).num_seconds().max(0));
        }
        Ok(())
    }

    /// Erases an account: rows, bodies, jobs, secrets. How many rows went, by table. `by`: who asked for it; the event
    /// that tells of it, some seconds later when nothing can be left, bears that name.
    ///
    /// # Errors
    /// [`AccessError::Database`]; what is left is removed later or by a second call.
    pub async fn erase_account(
        &self,
        by: &Scope,
        account: AccountId,
    ) -> Result<BTreeMap<String, u64>, AccessError> {
        let eraser = Eraser {
            spine: self.inner.pool.clone(),
            access: self.inner.access.clone(),
            tables: self.parts().map(|parts| parts.tables.clone()).unwrap_or_default(),
        };
        eraser.erase(by, account).await
    }

    /// The jobs.
    pub fn queue(&self) -> QueueAdmin {
        QueueAdmin::new(self.inner.pool.clone(), self.inner.access.clone())
    }

    /// Where the log ends, to wait for its moving.
    pub fn head(&self) -> tokio::sync::watch::Receiver<Position> {
        self.inner.wake.head()
    }

    fn parts(&self) -> Option<&AdminParts> {
        self.inner.parts.get()
    }
}
