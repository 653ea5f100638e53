//! What a provider said while the hub was away is fetched from its history.
//!
//! Jobs in: `ReconcileConnection`. Events out: those of `intake.rs`, with the provider's own times, so that rules see how
//! late they are.
//! Invariant: what a webhook brought already is known by its record and not taken in twice, in either order; how far the
//! history was read is written down after it was taken in.
//! Begin with [`Reconcile::run`]; [`Timekeeper`] decides when.

use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use contracts::ConnectionId;
use contracts::jobs::ReconcileConnection;
use sandbox::Budget;
use serde::Deserialize;
use serde_json::{Value, json};
use spine::access::{AccessError, Cause, Scope};
use spine::queue::{JobContext, JobError, JobHandler, JobOptions};
use tokio_util::sync::CancellationToken;

use crate::intake::{Counts, Received};
use crate::manager::{Manager, Ready, health_of, shape_problem};
use crate::model::Health;
use crate::record::Record;
use crate::script::Failure;
use crate::{store, time};

/// So far back is asked again each time: providers' lists lag, and a call is listed by its beginning.
const MARGIN: TimeDelta = TimeDelta::hours(1);
const BUDGET: Budget = Budget {
    operations: 20_000_000,
    time: Duration::from_secs(20),
};
/// How often the timekeeper looks.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// While the database is away, and after a webhook was missed.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The handler of the job.
#[derive(Debug)]
pub(crate) struct Reconcile(pub(crate) Manager);

/// What a pack's `reconcile` returns.
#[derive(Debug, Deserialize)]
struct Told {
    records: Vec<Value>,
    /// False if there is more than one run could read.
    complete: bool,
}

#[async_trait]
impl JobHandler for Reconcile {
    type Payload = ReconcileConnection;

    async fn run(&self, job: &JobContext, order: ReconcileConnection) -> Result<Value, JobError> {
        let done = self.0.reconcile(job.scope(), job.cause(), order.connection).await;
        match done {
            Ok(Some(counts)) => {
                Ok(json!({ "taken": counts.taken, "known": counts.known, "parked": counts.parked }))
            }
            Ok(None) => {
                Ok(json!({ "nothing": "the connection is gone, paused or has no history to ask for" }))
            }
            Err(ReconcileError::Away(error)) => Err(JobError::retry(error)),
            Err(ReconcileError::Transient(reason)) => Err(JobError::retry(reason)),
            Err(ReconcileError::Wrong(reason)) => Err(JobError::fail(reason)),
        }
    }
}

/// Why the history could not be read.
#[derive(Debug)]
pub(crate) enum ReconcileError {
    /// The database is away.
    Away(AccessError),
    /// The provider can't be asked now.
    Transient(String),
    /// Asking again changes nothing until somebody mends it.
    Wrong(String),
}

impl From<AccessError> for ReconcileError {
    fn from(error: AccessError) -> Self {
        Self::Away(error)
    }
}

impl Manager {
    /// Asks the provider and takes in what the hub doesn't know. `None`: there is nothing to ask.
    pub(crate) async fn reconcile(
        &self,
        scope: &Scope,
        cause: Cause,
        id: ConnectionId,
    ) -> Result<Option<Counts>, ReconcileError> {
        let mut tx = self.context().access.begin(scope, cause).await?;
        let found = store::connection_by_id(&mut tx, id)
            .await?
            .filter(|connection| !connection.paused);
        let ready = found.and_then(|connection| self.ready(connection));
        let asked_at = tx.now();
        if ready.is_some() {
            store::connection_asked(&mut tx, id, asked_at).await?;
            tx.commit().await?;
        }
        let Some((ready, function)) = ready.and_then(|ready| {
            Some((ready.pack.manifest.functions.reconcile.clone()?, ready)).map(|(f, r)| (r, f))
        }) else {
            return Ok(None);
        };
        let since = (ready.connection.synced_to - MARGIN).max(ready.connection.created_at);
        let told = match self.history(&ready, &function, since).await {
            Ok(told) => told,
            Err(error) => return Err(self.failed(scope, &ready, error).await),
        };
        let wrong = |error| {
            let problem = shape_problem(&error);
            ReconcileError::Wrong(format!(
                "the pack's `{function}` made a record without the expected shape: {problem}"
            ))
        };
        let records: Vec<Record> = told
            .records
            .into_iter()
            .map(Record::deserialize)
            .collect::<Result<_, _>>()
            .map_err(wrong)?;
        let received = Received {
            media_type: "application/json",
            body: b"{}",
        };
        let counts = self
            .intake(&ready)
            .take_in(scope, cause, &records, &received)
            .await?;
        let mut tx = self.context().access.begin(scope, cause).await?;
        if told.complete {
            store::connection_synced(&mut tx, id, asked_at).await?;
        }
        if ready.connection.health != Health::Active {
            self.set_health(&mut tx, id, Health::Active, "").await?;
        }
        tx.commit().await?;
        Ok(Some(counts))
    }

    async fn history(
        &self,
        ready: &Ready,
        function: &str,
        since: chrono::DateTime<chrono::Utc>,
    ) -> Result<Told, Unread> {
        let mut outbound = self.outbound(ready).map_err(Unread::Failure)?;
        let args = [self.script_context(ready), Value::from(time::to_script(since))];
        let told = self
            .call(&ready.pack, function, &args, BUDGET, Some(&mut outbound))
            .await;
        if let Some(status) = outbound.last_status.filter(|status| !status.is_success()) {
            return Err(Unread::Status(status));
        }
        let told = told.map_err(Unread::Failure)?;
        Told::deserialize(told).map_err(|error| {
            let problem = shape_problem(&error);
            Unread::Failure(Failure::Forbidden(format!(
                "the pack's `{function}` returned something else: {problem}"
            )))
        })
    }

    async fn failed(&self, scope: &Scope, ready: &Ready, error: Unread) -> ReconcileError {
        let (health, reason) = match &error {
            Unread::Failure(failure) => health_of(failure),
            Unread::Status(status) => health_of_status(&ready.connection.plugin, *status),
        };
        self.note_health(scope, &ready.connection, health, &reason).await;
        match health {
            Health::Retrying => ReconcileError::Transient(reason),
            _ => ReconcileError::Wrong(reason),
        }
    }
}

/// Why a history was not read.
enum Unread {
    Failure(Failure),
    Status(fetch::StatusCode),
}

/// What a refusal of a question says about the connection.
pub(crate) fn health_of_status(plugin: &str, status: fetch::StatusCode) -> (Health, String) {
    let number = status.as_u16();
    match number {
        401 | 403 => (
            Health::NeedsReauthorisation,
            format!("{plugin} refused the secret (HTTP {number})"),
        ),
        408 | 425 | 429 | 500.. => (Health::Retrying, format!("{plugin} answered HTTP {number}")),
        _ => (
            Health::Failed,
            format!("{plugin} refused the question (HTTP {number})"),
        ),
    }
}

/// Queues the job for each connection: when the hub starts, after the database was away, after a webhook could not be
/// taken in, and by the pack's schedule.
#[derive(Debug)]
pub(crate) struct Timekeeper(pub(crate) Manager);

impl Timekeeper {
    /// Until the hub stops.
    pub(crate) async fn run(self, stop: CancellationToken) {
        // Whatever was away, providers may have spoken meanwhile: then all are asked.
        let mut all = true;
        while !stop.is_cancelled() {
            let looked = self.look(all).await;
            all = looked.is_err();
            if let Err(error) = looked {
                tracing::debug!(%error, "connections will be looked after when the database is back");
            }
            tokio::select! {
                () = tokio::time::sleep(if all { LOOK_AGAIN } else { LOOK_EVERY }) => {}
                () = self.0.a_webhook_is_missed() => {
                    all = true;
                    // Where one is missed, more are: one question for all of them.
                    let _ = tokio::time::timeout(LOOK_AGAIN, stop.cancelled()).await;
                }
                () = stop.cancelled() => {}
            }
        }
    }

    async fn look(&self, all: bool) -> Result<(), AccessError> {
        let now = self.0.context().clock.now();
        for pack in self.0.registry().packs() {
            let Some(every) = pack.manifest.reconcile_every else {
                continue;
            };
            let every = TimeDelta::from_std(every).unwrap_or(TimeDelta::days(1));
            let before = if all { now } else { now - every };
            let plugin = &pack.manifest.id;
            for (scope, connection) in self
                .0
                .context()
                .access
                .scopes_of_due_connections(plugin, before)
                .await?
            {
                let mut tx = self.0.context().access.begin(&scope, Cause::outside()).await?;
                enqueue(&mut tx, connection).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }
}

/// Queues the question, unless it waits or runs already.
pub(crate) async fn enqueue(
    tx: &mut spine::ScopedTx,
    connection: ConnectionId,
) -> Result<Option<contracts::JobId>, AccessError> {
    let options = JobOptions {
        singleton_key: Some(connection.to_string()),
        ..JobOptions::default()
    };
    tx.enqueue(&ReconcileConnection { connection }, options).await
}
