//! What a provider said while the hub was away is fetched from its history.
//!
//! Jobs in: `ReconcileConnection`. Events out: those of `intake.rs`, with the provider's own times, so that rules see how
//! late they are.
//! A history that is too long for one call is read on where the last call came to, also after a restart.
//! Invariant: what a webhook brought already is known by its record and not taken in twice, in either order; how far the
//! history was read is written down after it was taken in.
//! Begin with [`Reconcile::run`]; [`Timekeeper`] decides when.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::TimeDelta;
use contracts::ConnectionId;
use contracts::jobs::ReconcileConnection;
use sandbox::Budget;
use serde::Deserialize;
use serde_json::{Value, json};
use spine::ScopedTx;
use spine::access::{AccessError, Cause, Scope};
use spine::ports::RawRecord;
use spine::queue::{JobContext, JobError, JobHandler, JobOptions};
use tokio_util::sync::CancellationToken;

use crate::intake::{Counts, Received};
use crate::manager::{Manager, Ready, health_of, shape_problem};
use crate::model::Health;
use crate::record::Record;
use crate::script::Failure;
use crate::store::Reading;
use crate::{store, time};

/// So far back is asked again each time: providers' lists lag, and a call is listed by its beginning.
const MARGIN: TimeDelta = TimeDelta::hours(1);
const BUDGET: Budget = Budget {
    operations: 20_000_000,
    time: Duration::from_secs(20),
};
/// A run calls the pack again and again until this has passed; within the time of a job.
const RUN_TIME: Duration = Duration::from_secs(120);
const GO_ON_AFTER: Duration = Duration::from_secs(1);
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
    /// False if there is more than one call could read.
    complete: bool,
    /// Where the next call goes on, in the pack's own words.
    #[serde(default)]
    next: Value,
}

/// What a run brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) counts: Counts,
    /// There is more, and the next run goes on there.
    pub(crate) more: bool,
}

#[async_trait]
impl JobHandler for Reconcile {
    type Payload = ReconcileConnection;

    async fn run(&self, job: &JobContext, order: ReconcileConnection) -> Result<Value, JobError> {
        let done = self.0.reconcile(job.scope(), job.cause(), order.connection).await;
        match done {
            Ok(Some(Read { more: true, .. })) => Err(JobError::retry_after(
                GO_ON_AFTER,
                "the history is longer than one run can read: the next one goes on",
            )),
            Ok(Some(Read { counts, .. })) => {
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
    ) -> Result<Option<Read>, ReconcileError> {
        let begun = Instant::now();
        let mut read = Read::default();
        loop {
            let Some(part) = self.reconcile_part(scope, cause, id).await? else {
                return Ok(None);
            };
            read.counts.taken += part.counts.taken;
            read.counts.known += part.counts.known;
            read.counts.parked += part.counts.parked;
            read.more = part.more;
            if !part.more || begun.elapsed() > RUN_TIME {
                return Ok(Some(read));
            }
        }
    }

    /// One call of the pack, from where the last one came to.
    async fn reconcile_part(
        &self,
        scope: &Scope,
        cause: Cause,
        id: ConnectionId,
    ) -> Result<Option<Read>, ReconcileError> {
        let mut tx = self.context().access.begin(scope, cause).await?;
        let found = store::connection_by_id(&mut tx, id)
            .await?
            .filter(|connection| !connection.paused);
        let earlier = store::reading_by_connection(&mut tx, id).await?;
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
        let goes_on = earlier.is_some();
        let reading = earlier.unwrap_or_else(|| Reading {
            since: (ready.connection.synced_to - MARGIN).max(ready.connection.created_at),
            until: asked_at,
            next: Value::Null,
        });
        let told = match self.history(&ready, &function, &reading).await {
            Ok(told) => told,
            Err(error) => {
                if goes_on && error.is_refused() {
                    self.begin_anew(scope, cause, id).await?; // the provider doesn't know the place any more
                }
                return Err(self.failed(scope, &ready, error).await);
            }
        };
        let (records, misshapen) = by_shape(told.records);
        let received = Received {
            media_type: "application/json",
            body: b"{}",
        };
        let intake = self.intake(&ready);
        let mut counts = intake.take_in(scope, cause, &records, &received).await?;
        counts.parked += misshapen.len();
        let mut tx = self.context().access.begin(scope, cause).await?;
        for (record, problem) in misshapen {
            let reason =
                format!("the pack's `{function}` made a record without the expected shape: {problem}");
            let raw = misshapen_raw(&tx, id, "reconcile", &record);
            intake.park(&mut tx, raw, &reason).await?;
        }
        let more = !told.complete && !told.next.is_null() && told.next != reading.next;
        if told.complete {
            store::connection_synced(&mut tx, id, reading.until).await?;
        } else if !more {
            tracing::warn!(connection = %id, "a history could not be read to its end, and its pack names no place to go on");
        }
        let next = Reading {
            next: told.next,
            ..reading
        };
        store::reading_put(&mut tx, id, more.then_some(&next)).await?;
        if ready.connection.health != Health::Active {
            self.set_health(&mut tx, id, Health::Active, "").await?;
        }
        tx.commit().await?;
        Ok(Some(Read { counts, more }))
    }

    async fn begin_anew(&self, scope: &Scope, cause: Cause, id: ConnectionId) -> Result<(), AccessError> {
        let mut tx = self.context().access.begin(scope, cause).await?;
        store::reading_put(&mut tx, id, None).await?;
        tx.commit().await
    }

    async fn history(&self, ready: &Ready, function: &str, reading: &Reading) -> Result<Told, Unread> {
        let mut outbound = self.outbound(ready).map_err(Unread::Failure)?;
        let since = Value::from(time::to_script(reading.since));
        let args = [self.script_context(ready), since, reading.next.clone()];
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

impl Unread {
    /// True if the provider refuses this question, whoever asks and whenever.
    fn is_refused(&self) -> bool {
        matches!(self, Self::Status(status) if matches!(status.as_u16(), 400 | 404 | 410 | 416 | 422))
    }
}

/// The records, and those that are none with what is wrong with them: one mistake does not keep the others.
fn by_shape(told: Vec<Value>) -> (Vec<Record>, Vec<(Value, String)>) {
    let (mut records, mut misshapen) = (Vec::new(), Vec::new());
    for record in told {
        match Record::deserialize(&record) {
            Ok(read) => records.push(read),
            Err(error) => misshapen.push((record, shape_problem(&error))),
        }
    }
    (records, misshapen)
}

/// A record that is none, kept as the pack made it. What has no id is known again by its content.
pub(crate) fn misshapen_raw(
    tx: &ScopedTx,
    connection: ConnectionId,
    stream: &str,
    record: &Value,
) -> RawRecord {
    let text = |name: &str| record.get(name).and_then(Value::as_str).map(str::to_owned);
    let body = record.to_string().into_bytes();
    let content = || {
        let hash = tx.pseudonym("plugins.misshapen", &body);
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    RawRecord {
        connection: Some(connection),
        stream: text("stream").unwrap_or_else(|| stream.to_owned()),
        remote_id: text("remote_id").unwrap_or_else(content),
        revision: text("revision").unwrap_or_default(),
        media_type: "application/json".to_owned(),
        body,
    }
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
    tx: &mut ScopedTx,
    connection: ConnectionId,
) -> Result<Option<contracts::JobId>, AccessError> {
    let options = JobOptions {
        singleton_key: Some(connection.to_string()),
        ..JobOptions::default()
    };
    tx.enqueue(&ReconcileConnection { connection }, options).await
}
