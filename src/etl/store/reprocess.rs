//! `etl.reprocess`: how far understanding records again has come.

use contracts::{JobId, RawRecordId};
use spine::ScopedTx;
use uuid::Uuid;

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    /// Records up to this one are understood again.
    pub(crate) after: RawRecordId,
    /// How many these are.
    pub(crate) records: i64,
    /// How many of them are parked.
    pub(crate) parked: i64,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            after: RawRecordId(Uuid::nil()),
            records: 0,
            parked: 0,
        }
    }
}

/// How far a job has come; `None`: it hasn't begun.
pub(crate) async fn reprocess_by_job(tx: &mut ScopedTx, job: JobId) -> Result<Option<Progress>, sqlx::Error> {
    let account = tx.account();
    let row = sqlx::query!(
        "SELECT after, records, parked FROM etl.reprocess WHERE account = $1 AND job = $2",
        account.0,
        job.0
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Progress {
        after: RawRecordId(row.after),
        records: row.records,
        parked: row.parked,
    }))
}

/// Writes down how far a job has come; of one that was given up, for a month.
pub(crate) async fn reprocess_advance(
    tx: &mut ScopedTx,
    job: JobId,
    progress: &Progress,
) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        r#"
        INSERT INTO etl.reprocess (account, job, after, records, parked, at) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (account, job) DO UPDATE SET after = excluded.after, records = excluded.records,
            parked = excluded.parked, at = excluded.at
        "#,
        account.0,
        job.0,
        progress.after.0,
        progress.records,
        progress.parked,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The job is done. What others left that were given up a month ago goes, too.
pub(crate) async fn reprocess_end(tx: &mut ScopedTx, job: JobId) -> Result<(), sqlx::Error> {
    let (account, now) = (tx.account(), tx.now());
    sqlx::query!(
        "DELETE FROM etl.reprocess WHERE account = $1 AND (job = $2 OR at < $3)",
        account.0,
        job.0,
        now - chrono::Duration::days(30)
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
