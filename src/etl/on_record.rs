//! Understands records that were taken in: one that a connector brought, or all of a source again.
//!
//! Jobs in: `process-incoming-data`, `reprocess-records`.
//! Invariant: a record is understood or parked in one commit, which also holds how far all of a source is; doing it again
//! adds nothing. Begin with [`process`].

use async_trait::async_trait;
use contracts::jobs::{ProcessIncomingData, ReprocessRecords};
use contracts::{Lane, RawRecordId};
use serde_json::{Value, json};
use spine::pace::Pace;
use spine::ports::{GraphError, speaks_as};
use spine::queue::{JobContext, JobError, JobHandler};
use spine::{AccessError, Context, ScopedTx};

use crate::map::{MEDIA_TYPES, Meaning};
use crate::store::{self, Progress};
use crate::understand::{Outcome, Understanding, is_transient, meaning};

const PAGE: i64 = 100;
/// Of a page so many bytes are understood together, since what they mean may be as large.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// Understands one record.
#[derive(Debug, Clone)]
pub(crate) struct Process(pub(crate) Context);

#[async_trait]
impl JobHandler for Process {
    type Payload = ProcessIncomingData;

    async fn run(&self, job: &JobContext, order: ProcessIncomingData) -> Result<Value, JobError> {
        let mut tx = self
            .0
            .access
            .begin(job.scope(), job.cause())
            .await
            .map_err(JobError::retry)?;
        let mut work = Understanding::begin(&self.0.ports, &mut tx)
            .await
            .map_err(JobError::retry)?;
        let outcome = process(&self.0, &mut tx, &mut work, order.raw_record)
            .await
            .map_err(JobError::retry)?;
        tx.commit().await.map_err(JobError::retry)?;
        let outcome =
            outcome.ok_or_else(|| JobError::fail(format!("there is no record {}", order.raw_record)))?;
        Ok(json!({ "parked": outcome != Outcome::Understood }))
    }
}

/// Understands or parks a record; one whose source said something newer since is left as it is. `None`: it isn't there.
pub(crate) async fn process(
    context: &Context,
    tx: &mut ScopedTx,
    work: &mut Understanding,
    id: RawRecordId,
) -> Result<Option<Outcome>, GraphError> {
    Ok(process_all(context, tx, work, &[id]).await?.pop())
}

/// A record that was read, and what it means.
struct Read {
    id: RawRecordId,
    source: String,
    meaning: Result<Meaning, String>,
}

/// Understands or parks records together; the outcome of each that is there.
async fn process_all(
    context: &Context,
    tx: &mut ScopedTx,
    work: &mut Understanding,
    ids: &[RawRecordId],
) -> Result<Vec<Outcome>, GraphError> {
    let intake = context.ports.record_intake();
    let (mut outcomes, mut read, mut bytes) = (Vec::with_capacity(ids.len()), Vec::new(), 0);
    for id in ids.iter().copied() {
        let kept = match context.ports.raw_records().record(tx, id).await {
            Ok(Some(kept)) => kept,
            Ok(None) => continue,
            // It can't be opened; the others can.
            Err(GraphError::Invalid(reason)) => {
                intake.park_received(tx, id, &reason).await?;
                outcomes.push(Outcome::Parked(reason));
                continue;
            }
            Err(away) => return Err(away),
        };
        if kept.superseded {
            intake.pass_over(tx, id, None).await?;
            outcomes.push(Outcome::Understood);
            continue;
        }
        let source = speaks_as(&kept.source, &kept.record.stream);
        let (record, hints) = (kept.record, work.hints.clone());
        bytes += record.body.len();
        // A mail may have 32 MiB: whoever shares the thread doesn't wait for it.
        let meaning = tokio::task::spawn_blocking(move || meaning(&record, &hints))
            .await
            .unwrap_or_else(|_| Err("the record can't be read".to_owned()));
        read.push(Read { id, source, meaning });
        if bytes > BYTES_MAX {
            let read = std::mem::take(&mut read);
            outcomes.extend(understand(context, tx, work, read).await?);
            bytes = 0;
        }
    }
    outcomes.extend(understand(context, tx, work, read).await?);
    Ok(outcomes)
}

async fn understand(
    context: &Context,
    tx: &mut ScopedTx,
    work: &mut Understanding,
    read: Vec<Read>,
) -> Result<Vec<Outcome>, GraphError> {
    let intake = context.ports.record_intake();
    // Nothing is received by it, so that it has no source of its own.
    let mut batch = intake.batch("", read.len());
    let expected = work.expected(read.iter().filter_map(|read| read.meaning.as_ref().ok()));
    batch.expect(tx, expected).await?;
    let mut outcomes = Vec::with_capacity(read.len());
    for Read { id, source, meaning } in read {
        let outcome = work
            .record(&context.ports, batch.as_mut(), tx, id, &source, meaning)
            .await?;
        outcomes.push(outcome);
    }
    batch.write(tx).await?;
    drop(batch);
    work.join_groups(&context.ports, tx).await?;
    Ok(outcomes)
}

/// Understands all records of a source again.
#[derive(Debug, Clone)]
pub(crate) struct Reprocess(pub(crate) Context);

#[async_trait]
impl JobHandler for Reprocess {
    type Payload = ReprocessRecords;

    async fn run(&self, job: &JobContext, order: ReprocessRecords) -> Result<Value, JobError> {
        let mut progress = self.progress(job).await?;
        let mut pace = Pace::default();
        loop {
            if job.cancelled().is_cancelled() {
                return Err(JobError::retry("stopped; it goes on with the next start"));
            }
            let mut tx = self.begin(job).await.map_err(JobError::retry)?;
            let export = self.0.ports.graph_export();
            let page = export
                .record_page(
                    &mut tx,
                    order.source.as_deref(),
                    &MEDIA_TYPES.map(str::to_owned),
                    progress.after,
                    PAGE,
                )
                .await
                .map_err(JobError::retry)?;
            if page.is_empty() {
                store::reprocess_end(&mut tx, job.job)
                    .await
                    .map_err(JobError::retry)?;
                tx.commit().await.map_err(JobError::retry)?;
                return Ok(told(&progress));
            }
            drop(tx);
            let mut rest = page.as_slice();
            while !rest.is_empty() {
                let ids;
                (ids, rest) = rest.split_at(rest.len().min(pace.records()));
                progress = match self.page(job, ids, progress, &mut pace).await {
                    Ok(progress) => progress,
                    Err(error) if is_transient(&error) => return Err(JobError::retry(error)),
                    Err(error) => {
                        tracing::warn!(%error, "a page is understood record by record");
                        for id in ids {
                            let alone = self.page(job, &[*id], progress, &mut pace).await;
                            progress = alone.map_err(JobError::retry)?;
                        }
                        progress
                    }
                };
            }
            job.progress(told(&progress)).await;
        }
    }
}

impl Reprocess {
    async fn begin(&self, job: &JobContext) -> Result<ScopedTx, AccessError> {
        let mut tx = self.0.access.begin(job.scope(), job.cause()).await?;
        tx.set_lane(Lane::Backfill);
        Ok(tx)
    }

    /// One commit, with how far all is then.
    async fn page(
        &self,
        job: &JobContext,
        ids: &[RawRecordId],
        mut progress: Progress,
        pace: &mut Pace,
    ) -> Result<Progress, GraphError> {
        let mut tx = self.begin(job).await?;
        let mut work = Understanding::begin(&self.0.ports, &mut tx).await?;
        let outcomes = process_all(&self.0, &mut tx, &mut work, ids).await?;
        let is_parked = |outcome: &&Outcome| matches!(outcome, Outcome::Parked(_));
        progress.records += i64::try_from(ids.len()).unwrap_or(0);
        progress.parked += i64::try_from(outcomes.iter().filter(is_parked).count()).unwrap_or(0);
        progress.after = ids.last().copied().unwrap_or(progress.after);
        store::reprocess_advance(&mut tx, job.job, &progress).await?;
        pace.ended(tx.is_waited_for().await?);
        tx.commit().await?;
        Ok(progress)
    }

    /// How far an earlier attempt of the job came.
    async fn progress(&self, job: &JobContext) -> Result<Progress, JobError> {
        let begun = self.begin(job).await;
        let mut tx = begun.map_err(JobError::retry)?;
        let found = store::reprocess_by_job(&mut tx, job.job).await;
        Ok(found.map_err(JobError::retry)?.unwrap_or_default())
    }
}

fn told(progress: &Progress) -> Value {
    json!({ "records": progress.records, "parked": progress.parked })
}
