//! Takes the records of a file in and understands them, some hundred a commit.
//!
//! Job in: `run-import`.
//! Whoever waits for the people and addresses of a commit ends it early ([`Pace`]).
//! Invariant: how far the file is understood moves in the commit that holds its records, so that whoever goes on after a
//! stop neither doubles nor misses one. All of it in the lane `backfill`. Begin with [`RunImportHandler::run`].

mod ahead;
mod nothing;

use std::vec::IntoIter;

use async_trait::async_trait;
use contracts::Lane;
use contracts::jobs::RunImport;
use serde_json::{Value, json};
use spine::pace::Pace;
use spine::ports::{GraphError, RawRecord};
use spine::queue::{JobContext, JobError, JobHandler};
use spine::{Context, ScopedTx};
use uuid::Uuid;

use crate::files;
use crate::format::Format;
use crate::map::Meaning;
use crate::split::{Item, Splitter};
use crate::store::{self, ImportRow, Step};
use crate::take_in;
use crate::understand::{Understanding, is_transient};
use ahead::{Read, end, mean, read};

/// A batch ends early at so many bytes.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What the owner says is looked at again after so many batches.
const BATCHES_PER_LOOK: usize = 50;

/// Runs imports.
#[derive(Debug, Clone)]
pub(crate) struct RunImportHandler(Context);

/// What one commit did.
struct Committed {
    /// How far the file is understood.
    position: i64,
    /// Somebody waited for what it held.
    was_waited_for: bool,
    /// What is left, because of that.
    rest: Vec<Read>,
}

pub(crate) enum Ended {
    /// The file has no more records.
    Finished,
    /// Somebody ended it, or another attempt has taken over.
    Elsewhere,
}

impl RunImportHandler {
    pub(crate) fn new(context: &Context) -> Self {
        Self(context.clone())
    }

    pub(crate) fn context(&self) -> &Context {
        &self.0
    }

    pub(crate) async fn begin(&self, job: &JobContext) -> Result<ScopedTx, JobError> {
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

    /// All batches of the file, from where the import stands. While one is written the next is read.
    async fn batches(
        &self,
        job: &JobContext,
        row: &ImportRow,
        splitter: Splitter,
    ) -> Result<Ended, JobError> {
        let mut position = row.position;
        let mut pace = Pace::default();
        let mut work = self.look(job).await?;
        let mut ahead = read(splitter, position, work.hints.clone());
        for count in 1_usize.. {
            if job.cancelled().is_cancelled() {
                return Err(JobError::retry("stopped; it goes on where it stands"));
            }
            if count % BATCHES_PER_LOOK == 0 {
                work = self.look(job).await?;
            }
            let (splitter, items) = ahead.await.map_err(JobError::retry)?;
            let items = match items {
                Ok(items) => items,
                // Only a part of an archive is seen to be wrong once its turn comes.
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                    self.end(job, row.id, "failed", Some(&error.to_string())).await?;
                    return Ok(Ended::Elsewhere);
                }
                Err(error) => return Err(JobError::retry(error.kind())),
            };
            let Some(last) = items.last() else {
                let path = files::path(&self.0.settings.data_dir, job.account(), row.id);
                let format = Format::recognise(&row.format);
                if let Some(reason) = nothing::reason(&path, format, position).await {
                    self.end(job, row.id, "failed", Some(reason)).await?;
                    return Ok(Ended::Elsewhere);
                }
                break;
            };
            let end = end(&last.0);
            ahead = read(splitter, end, work.hints.clone());
            if !self
                .batch(job, row, position, items, (&mut work, &mut pace))
                .await?
            {
                return Ok(Ended::Elsewhere);
            }
            position = end;
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

    /// One commit, or several while somebody waits; if anything in one is refused, one for each half, and so on, so that
    /// the poisonous record is parked alone. False: the import goes on elsewhere, or was ended.
    async fn batch(
        &self,
        job: &JobContext,
        row: &ImportRow,
        mut position: i64,
        items: Vec<Read>,
        (work, pace): (&mut Understanding, &mut Pace),
    ) -> Result<bool, JobError> {
        // What comes first is last; whether it is the last try.
        let mut parts = vec![(items, false)];
        while let Some((mut items, is_last_try)) = parts.pop() {
            if items.len() > pace.records() {
                parts.push((items.split_off(pace.records()), false));
            }
            if items.is_empty() {
                continue;
            }
            match self.commit(job, row, position, items, work).await {
                Ok(Some(committed)) => {
                    position = committed.position;
                    pace.ended(committed.was_waited_for);
                    parts.push((committed.rest, false));
                }
                Ok(None) => return Ok(false),
                Err((error, _)) if is_last_try || is_transient(&error) => return Err(JobError::retry(error)),
                Err((error, mut items)) => {
                    tracing::warn!(%error, import = %row.id, records = items.len(), "a batch is taken in by halves");
                    *work = self.look(job).await?;
                    if items.len() == 1 {
                        let refused = "the database refused what the record means".to_owned();
                        let items = items.into_iter().map(|item| (item, Err(refused.clone())));
                        parts.push((items.collect(), true));
                        continue;
                    }
                    let later = items.split_off(items.len() / 2);
                    for half in [later, items] {
                        let half = half.into_iter().map(|item| mean(item, &work.hints));
                        parts.push((half.collect(), false));
                    }
                }
            }
        }
        Ok(true)
    }

    /// Gives the items back with the error. `None`: the import goes on elsewhere, or was ended.
    async fn commit(
        &self,
        job: &JobContext,
        row: &ImportRow,
        position: i64,
        items: Vec<Read>,
        work: &mut Understanding,
    ) -> Result<Option<Committed>, (GraphError, Vec<Item>)> {
        let (mut items, meanings): (Vec<Item>, Vec<_>) = items.into_iter().unzip();
        let mut meanings = meanings.into_iter();
        let done = self
            .try_commit(job, row, position, (&items, &mut meanings), work)
            .await;
        match done {
            Ok(Some((step, was_waited_for))) => {
                let rest = items.split_off(usize::try_from(step.taken).unwrap_or_default());
                Ok(Some(Committed {
                    position: step.position,
                    was_waited_for,
                    rest: rest.into_iter().zip(meanings).collect(),
                }))
            }
            Ok(None) => Ok(None),
            Err(error) => Err((error, items)),
        }
    }

    /// What was done, from the first record on, and whether somebody waited for it.
    async fn try_commit(
        &self,
        job: &JobContext,
        row: &ImportRow,
        position: i64,
        (items, meanings): (&[Item], &mut IntoIter<Result<Meaning, String>>),
        work: &mut Understanding,
    ) -> Result<Option<(Step, bool)>, GraphError> {
        let mut tx = self.0.access.begin(job.scope(), job.cause()).await?;
        tx.set_lane(Lane::Backfill);
        tx.lock_intake().await?;
        let now = store::import_hold(&mut tx, row.id).await?;
        if !now.is_some_and(|now| now.state == "running" && now.position == position) {
            return Ok(None);
        }
        let source = Format::recognise(&row.format).unwrap_or(Format::JsonLd).source();
        let mut step = Step {
            position,
            ..Step::default()
        };
        let intake = self.0.ports.record_intake();
        let mut batch = intake.batch(&source, items.len());
        let mut was_waited_for = false;
        let records: Vec<&RawRecord> = items.iter().map(|item| &item.record).collect();
        for part in take_in::parts(&records) {
            let items = items.get(part.clone()).unwrap_or_default();
            let records = records.get(part).unwrap_or_default();
            let meanings = meanings.by_ref().take(items.len()).collect();
            let did = take_in::part(
                &self.0.ports,
                &mut tx,
                batch.as_mut(),
                &source,
                (records, meanings),
                work,
            )
            .await?;
            step.position = items.last().map_or(step.position, end);
            step.taken += count(items.len());
            step.new += count(did.new);
            step.known += count(did.known);
            step.parked += count(did.parked);
            was_waited_for = tx.is_waited_for().await?;
            if was_waited_for {
                break;
            }
        }
        batch.write(&mut tx).await?;
        drop(batch);
        work.join_groups(&self.0.ports, &mut tx).await?;
        was_waited_for = was_waited_for || tx.is_waited_for().await?;
        store::import_advance(&mut tx, row.id, step).await?;
        tx.commit().await?;
        Ok(Some((step, was_waited_for)))
    }
}

fn count(records: usize) -> i64 {
    i64::try_from(records).unwrap_or(i64::MAX)
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
        let archive = path.clone();
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
                // The import says why; it may name a table's columns.
                return Ok(json!({ "failed": true }));
            }
        };
        let mut ended = self.batches(job, &row, splitter).await?;
        if format == Format::Archive && matches!(ended, Ended::Finished) {
            ended = self.contents(job, &row, &archive).await?;
        }
        match ended {
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
