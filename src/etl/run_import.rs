//! Takes the records of a file in and understands them, some hundred a commit.
//!
//! Job in: `run-import`.
//! Invariant: how far the file is understood moves in the commit that holds its records, so that whoever goes on after a
//! stop neither doubles nor misses one. All of it in the lane `backfill`. Begin with [`RunImportHandler::run`].

use async_trait::async_trait;
use contracts::Lane;
use contracts::jobs::RunImport;
use serde_json::{Value, json};
use spine::ports::GraphError;
use spine::queue::{JobContext, JobError, JobHandler};
use spine::{Context, ScopedTx};
use uuid::Uuid;

use crate::files;
use crate::format::Format;
use crate::map::Meaning;
use crate::revision::is_outdated;
use crate::split::{Item, Splitter};
use crate::store::{self, ImportRow, Step};
use crate::understand::{Outcome, Understanding, is_transient, meaning};

/// Records a commit.
const BATCH: usize = 100;
/// A batch ends early at so many bytes.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What the owner says is looked at again after so many batches.
const BATCHES_PER_LOOK: usize = 50;

/// Runs imports.
#[derive(Debug, Clone)]
pub(crate) struct RunImportHandler(Context);

/// A record with what it means.
type Read = (Item, Result<Meaning, String>);

enum Ended {
    /// The file has no more records.
    Finished,
    /// Somebody ended it, or another attempt has taken over.
    Elsewhere,
}

impl RunImportHandler {
    pub(crate) fn new(context: &Context) -> Self {
        Self(context.clone())
    }

    async fn begin(&self, job: &JobContext) -> Result<ScopedTx, JobError> {
        let mut tx = self
            .0
            .access
            .begin(job.scope(), job.cause())
            .await
            .map_err(JobError::retry)?;
        tx.set_lane(Lane::Backfill);
        Ok(tx)
    }

    async fn end(
        &self,
        job: &JobContext,
        id: Uuid,
        state: &str,
        reason: Option<&str>,
    ) -> Result<(), JobError> {
        let mut tx = self.begin(job).await?;
        store::import_end(&mut tx, id, state, reason)
            .await
            .map_err(JobError::retry)?;
        tx.commit().await.map_err(JobError::retry)?;
        files::remove(&files::path(&self.0.settings.data_dir, job.account(), id)).await;
        Ok(())
    }

    /// All batches of the file, from where the import stands.
    async fn batches(
        &self,
        job: &JobContext,
        row: &ImportRow,
        mut splitter: Splitter,
    ) -> Result<Ended, JobError> {
        let mut position = row.position;
        let mut work = self.look(job).await?;
        for count in 1_usize.. {
            if job.cancelled().is_cancelled() {
                return Err(JobError::retry("stopped; it goes on where it stands"));
            }
            if count % BATCHES_PER_LOOK == 0 {
                work = self.look(job).await?;
            }
            let hints = work.hints.clone();
            let (back, items) = tokio::task::spawn_blocking(move || {
                let items = splitter.batch(u64::try_from(position).unwrap_or(0), BATCH, BATCH_BYTES_MAX);
                let read = |item: Item| {
                    let meaning = match item.refused {
                        Some(reason) => Err(reason.to_owned()),
                        None => meaning(&item.record, &hints),
                    };
                    (item, meaning)
                };
                let read: std::io::Result<Vec<Read>> =
                    items.map(|items| items.into_iter().map(read).collect());
                (splitter, read)
            })
            .await
            .map_err(JobError::retry)?;
            splitter = back;
            let items = items.map_err(|error| JobError::retry(error.kind()))?;
            let Some(last) = items.last() else {
                break;
            };
            let end = i64::try_from(last.0.end).unwrap_or(i64::MAX);
            match self.batch(job, row, position, items, &mut work).await? {
                true => position = end,
                false => return Ok(Ended::Elsewhere),
            }
            job.progress(json!({ "position": position, "bytes": row.bytes }))
                .await;
        }
        Ok(Ended::Finished)
    }

    async fn look(&self, job: &JobContext) -> Result<Understanding, JobError> {
        let mut tx = self.begin(job).await?;
        Understanding::begin(&self.0.ports, &mut tx)
            .await
            .map_err(JobError::retry)
    }

    /// One commit; if the database refuses it, one for each record, so that the poisonous one is parked alone. False: the
    /// import goes on elsewhere, or was ended.
    async fn batch(
        &self,
        job: &JobContext,
        row: &ImportRow,
        position: i64,
        items: Vec<Read>,
        work: &mut Understanding,
    ) -> Result<bool, JobError> {
        let items: Vec<Item> = match self.commit(job, row, position, items, work).await {
            Ok(done) => return Ok(done),
            Err((error, _)) if is_transient(&error) => return Err(JobError::retry(error)),
            Err((error, items)) => {
                tracing::warn!(%error, import = %row.id, "a batch is taken in record by record");
                items
            }
        };
        let mut position = position;
        for item in items {
            let end = i64::try_from(item.end).unwrap_or(i64::MAX);
            *work = self.look(job).await?;
            let read = meaning(&item.record, &work.hints);
            let read = item.refused.map_or(read, |reason| Err(reason.to_owned()));
            let done = match self.commit(job, row, position, vec![(item, read)], work).await {
                Err((error, _)) if is_transient(&error) => return Err(JobError::retry(error)),
                Err((_, items)) => {
                    let refused = "the database refused what the record means".to_owned();
                    let items = items
                        .into_iter()
                        .map(|item| (item, Err(refused.clone())))
                        .collect();
                    let parked = self.commit(job, row, position, items, work).await;
                    parked.map_err(|(error, _)| JobError::retry(error))?
                }
                Ok(done) => done,
            };
            if !done {
                return Ok(false);
            }
            position = end;
        }
        Ok(true)
    }

    /// Gives the items back with the error.
    async fn commit(
        &self,
        job: &JobContext,
        row: &ImportRow,
        position: i64,
        items: Vec<Read>,
        work: &mut Understanding,
    ) -> Result<bool, (GraphError, Vec<Item>)> {
        let (items, meanings): (Vec<Item>, Vec<_>) = items.into_iter().unzip();
        match self.try_commit(job, row, position, &items, meanings, work).await {
            Ok(done) => Ok(done),
            Err(error) => Err((error, items)),
        }
    }

    async fn try_commit(
        &self,
        job: &JobContext,
        row: &ImportRow,
        position: i64,
        items: &[Item],
        meanings: Vec<Result<Meaning, String>>,
        work: &mut Understanding,
    ) -> Result<bool, GraphError> {
        let mut tx = self.0.access.begin(job.scope(), job.cause()).await?;
        tx.set_lane(Lane::Backfill);
        store::imports_lock(&mut tx).await?;
        let now = store::import_hold(&mut tx, row.id).await?;
        if !now.is_some_and(|now| now.state == "running" && now.position == position) {
            return Ok(false);
        }
        let source = Format::recognise(&row.format).unwrap_or(Format::JsonLd).source();
        let mut step = Step {
            position,
            ..Step::default()
        };
        for (item, meaning) in items.iter().zip(meanings) {
            step.position = i64::try_from(item.end).unwrap_or(i64::MAX);
            step.taken += 1;
            let intake = self.0.ports.record_intake();
            let received = match intake.receive(&mut tx, &source, item.record.clone()).await {
                Ok(received) => received,
                // Not even its place can be written down; only its count remains.
                Err(GraphError::Invalid(_)) => {
                    step.parked += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if received.known {
                step.known += 1;
                continue;
            }
            let (ports, hints) = (&self.0.ports, &work.hints);
            if is_outdated(ports, &mut tx, &meaning, received.before, hints).await? {
                intake.pass_over(&mut tx, received.id, received.before).await?;
                step.known += 1;
                continue;
            }
            step.new += 1;
            let outcome = work
                .record(&self.0.ports, &mut tx, received.id, &source, meaning)
                .await?;
            step.parked += i64::from(outcome != Outcome::Understood);
        }
        store::import_advance(&mut tx, row.id, step).await?;
        tx.commit().await?;
        Ok(true)
    }
}

#[async_trait]
impl JobHandler for RunImportHandler {
    type Payload = RunImport;

    async fn run(&self, job: &JobContext, order: RunImport) -> Result<Value, JobError> {
        let path = files::path(&self.0.settings.data_dir, job.account(), order.import);
        let mut tx = self.begin(job).await?;
        store::import_start(&mut tx, order.import)
            .await
            .map_err(JobError::retry)?;
        let row = store::import_by_id(&mut tx, order.import)
            .await
            .map_err(JobError::retry)?;
        tx.commit().await.map_err(JobError::retry)?;
        let Some(row) = row.filter(|row| row.state == "running") else {
            files::remove(&path).await;
            return Ok(json!({ "ended": true }));
        };
        let Some(format) = Format::recognise(&row.format) else {
            return Err(JobError::fail("the import has no format"));
        };
        let opened = tokio::task::spawn_blocking(move || Splitter::open(&path, format))
            .await
            .map_err(JobError::retry)?;
        let splitter = match opened {
            Ok(splitter) => splitter,
            Err(error) => {
                let reason = match error.kind() {
                    std::io::ErrorKind::InvalidData => error.to_string(),
                    std::io::ErrorKind::NotFound => "the uploaded file is gone".to_owned(),
                    kind => return Err(JobError::retry(kind)),
                };
                self.end(job, row.id, "failed", Some(&reason)).await?;
                return Ok(json!({ "failed": reason }));
            }
        };
        match self.batches(job, &row, splitter).await? {
            Ended::Finished => self.end(job, row.id, "finished", None).await?,
            Ended::Elsewhere => {
                let mut tx = self.begin(job).await?;
                let now = store::import_by_id(&mut tx, row.id)
                    .await
                    .map_err(JobError::retry)?;
                if now.is_none_or(|now| now.state != "running") {
                    files::remove(&files::path(&self.0.settings.data_dir, job.account(), row.id)).await;
                } else {
                    return Err(JobError::retry("another attempt has gone on with it"));
                }
            }
        }
        Ok(json!({ "done": true }))
    }
}
