//! Understands records that were taken in: one that a connector brought, or all of a source again.
//!
//! Jobs in: `process-incoming-data`, `reprocess-records`.
//! Invariant: a record is understood or parked in one commit; doing it again adds nothing. Begin with [`process`].

use async_trait::async_trait;
use contracts::jobs::{ProcessIncomingData, ReprocessRecords};
use contracts::{Lane, RawRecordId};
use serde_json::{Value, json};
use spine::ports::GraphError;
use spine::queue::{JobContext, JobError, JobHandler};
use spine::{AccessError, Context, ScopedTx};

use crate::understand::{Outcome, Understanding, is_transient, meaning};

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

/// Understands or parks a record. `None`: it isn't there.
pub(crate) async fn process(
    context: &Context,
    tx: &mut ScopedTx,
    work: &mut Understanding,
    id: RawRecordId,
) -> Result<Option<Outcome>, GraphError> {
    Ok(process_all(context, tx, work, &[id]).await?.pop())
}

/// Understands or parks records together; the outcome of each that is there.
async fn process_all(
    context: &Context,
    tx: &mut ScopedTx,
    work: &mut Understanding,
    ids: &[RawRecordId],
) -> Result<Vec<Outcome>, GraphError> {
    let mut read = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(kept) = context.ports.raw_records().record(tx, *id).await? {
            // Of the bytes nothing is held: they may be many.
            read.push((*id, meaning(&kept.record, &work.hints), kept.source));
        }
    }
    let intake = context.ports.record_intake();
    // Nothing is received by it, so that it has no source of its own.
    let mut batch = intake.batch("", read.len());
    let expected = work.expected(read.iter().filter_map(|(_, meaning, _)| meaning.as_ref().ok()));
    batch.expect(tx, expected).await?;
    let mut outcomes = Vec::with_capacity(read.len());
    for (id, meaning, source) in read {
        let outcome = work
            .record(&context.ports, batch.as_mut(), tx, id, &source, meaning)
            .await?;
        outcomes.push(outcome);
    }
    batch.write(tx).await?;
    Ok(outcomes)
}

/// Understands all records of a source again.
#[derive(Debug, Clone)]
pub(crate) struct Reprocess(pub(crate) Context);

impl Reprocess {
    async fn begin(&self, job: &JobContext) -> Result<ScopedTx, AccessError> {
        let mut tx = self.0.access.begin(job.scope(), job.cause()).await?;
        tx.set_lane(Lane::Backfill);
        Ok(tx)
    }

    /// One commit.
    async fn page(&self, job: &JobContext, ids: &[RawRecordId]) -> Result<Vec<Outcome>, GraphError> {
        let mut tx = self.begin(job).await?;
        let mut work = Understanding::begin(&self.0.ports, &mut tx).await?;
        let outcomes = process_all(&self.0, &mut tx, &mut work, ids).await?;
        tx.commit().await?;
        Ok(outcomes)
    }
}

#[async_trait]
impl JobHandler for Reprocess {
    type Payload = ReprocessRecords;

    async fn run(&self, job: &JobContext, order: ReprocessRecords) -> Result<Value, JobError> {
        let (mut after, mut done, mut parked) = (RawRecordId(uuid::Uuid::nil()), 0_u64, 0_u64);
        loop {
            if job.cancelled().is_cancelled() {
                return Err(JobError::retry("stopped; it goes on with the next start"));
            }
            let mut tx = self.begin(job).await.map_err(JobError::retry)?;
            let export = self.0.ports.graph_export();
            let page = export
                .record_page(&mut tx, order.source.as_deref(), &media_types(), after, PAGE)
                .await
                .map_err(JobError::retry)?;
            let Some(last) = page.last().copied() else {
                return Ok(json!({ "records": done, "parked": parked }));
            };
            drop(tx);
            let outcomes = match self.page(job, &page).await {
                Ok(outcomes) => outcomes,
                Err(error) if is_transient(&error) => return Err(JobError::retry(error)),
                Err(error) => {
                    tracing::warn!(%error, "a page is understood record by record");
                    let mut outcomes = Vec::new();
                    for id in &page {
                        outcomes.extend(self.page(job, &[*id]).await.map_err(JobError::retry)?);
                    }
                    outcomes
                }
            };
            done += page.len() as u64;
            let is_parked = |outcome: &&Outcome| matches!(outcome, Outcome::Parked(_));
            parked += outcomes.iter().filter(is_parked).count() as u64;
            after = last;
            job.progress(json!({ "records": done, "parked": parked })).await;
        }
    }
}

/// Of which records the service knows how to read.
fn media_types() -> Vec<String> {
    [
        "text/vcard",
        "text/x-vcard",
        "text/directory",
        "text/calendar",
        "message/rfc822",
        "message/global",
        "text/csv",
        "application/ld+json",
    ]
    .map(str::to_owned)
    .to_vec()
}
