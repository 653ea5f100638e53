//! Understands records that were taken in: one that a connector brought, or all of a source again.
//!
//! Jobs in: `process-incoming-data`, `reprocess-records`.
//! Invariant: a record is understood or parked in one commit, which also holds how far all of a source is; doing it again
//! adds nothing. Begin with [`process`].

use async_trait::async_trait;
use contracts::jobs::{ProcessIncomingData, ReprocessRecords};
use contracts::{Lane, RawRecordId};
use serde_json::{Value, json};
use spine::ports::GraphError;
use spine::queue::{JobContext, JobError, JobHandler};
use spine::{Context, ScopedTx};

use crate::map::MEDIA_TYPES;
use crate::store::{self, Progress};
use crate::understand::{Outcome, Understanding, meaning};

const PAGE: i64 = 100;

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
    let intake = context.ports.record_intake();
    let kept = match context.ports.raw_records().record(tx, id).await {
        Ok(Some(kept)) => kept,
        Ok(None) => return Ok(None),
        // It can't be opened; the others can.
        Err(GraphError::Invalid(reason)) => {
            intake.park_received(tx, id, &reason).await?;
            return Ok(Some(Outcome::Parked(reason)));
        }
        Err(away) => return Err(away),
    };
    if kept.superseded {
        intake.pass_over(tx, id, None).await?;
        return Ok(Some(Outcome::Understood));
    }
    let (record, hints) = (kept.record, work.hints.clone());
    // A mail may have 32 MiB: whoever shares the thread doesn't wait for it.
    let meaning = tokio::task::spawn_blocking(move || meaning(&record, &hints))
        .await
        .unwrap_or_else(|_| Err("the record can't be read".to_owned()));
    work.record(&context.ports, tx, id, &kept.source, meaning)
        .await
        .map(Some)
}

/// Understands all records of a source again.
#[derive(Debug, Clone)]
pub(crate) struct Reprocess(pub(crate) Context);

#[async_trait]
impl JobHandler for Reprocess {
    type Payload = ReprocessRecords;

    async fn run(&self, job: &JobContext, order: ReprocessRecords) -> Result<Value, JobError> {
        let mut progress = self.progress(job).await?;
        loop {
            if job.cancelled().is_cancelled() {
                return Err(JobError::retry("stopped; it goes on with the next start"));
            }
            let mut tx = self
                .0
                .access
                .begin(job.scope(), job.cause())
                .await
                .map_err(JobError::retry)?;
            tx.set_lane(Lane::Backfill);
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
            let Some(last) = page.last().copied() else {
                store::reprocess_end(&mut tx, job.job)
                    .await
                    .map_err(JobError::retry)?;
                tx.commit().await.map_err(JobError::retry)?;
                return Ok(told(&progress));
            };
            let mut work = Understanding::begin(&self.0.ports, &mut tx)
                .await
                .map_err(JobError::retry)?;
            for id in page {
                let outcome = process(&self.0, &mut tx, &mut work, id)
                    .await
                    .map_err(JobError::retry)?;
                progress.records += 1;
                progress.parked += i64::from(matches!(outcome, Some(Outcome::Parked(_))));
            }
            progress.after = last;
            store::reprocess_advance(&mut tx, job.job, &progress)
                .await
                .map_err(JobError::retry)?;
            tx.commit().await.map_err(JobError::retry)?;
            job.progress(told(&progress)).await;
        }
    }
}

impl Reprocess {
    /// How far an earlier attempt of the job came.
    async fn progress(&self, job: &JobContext) -> Result<Progress, JobError> {
        let begun = self.0.access.begin(job.scope(), job.cause()).await;
        let mut tx = begun.map_err(JobError::retry)?;
        let found = store::reprocess_by_job(&mut tx, job.job).await;
        Ok(found.map_err(JobError::retry)?.unwrap_or_default())
    }
}

fn told(progress: &Progress) -> Value {
    json!({ "records": progress.records, "parked": progress.parked })
}
