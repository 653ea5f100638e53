//! Takes records in and understands them, in the caller's transaction: those of a file, or those that a connector brings.
//!
//! Invariant: the same record again adds nothing; what can't be understood is parked alone.
//! Begin with [`part`]; [`Understander`] is the port.

use std::collections::HashMap;
use std::ops::Range;

use async_trait::async_trait;
use contracts::RawRecordId;
use spine::pace::STRIDE;
use spine::ports::{
    GraphError, IntakeBatch, Ports, RawRecord, Received, UnderstandRecords, Understood, speaks_as,
};
use spine::{Context, ScopedTx};

use crate::map::{Meaning, is_mapped};
use crate::on_record::process;
use crate::revision::is_outdated;
use crate::understand::{Outcome, Understanding, meaning};

/// Answers the port.
#[derive(Debug, Clone)]
pub(crate) struct Understander(pub(crate) Context);

#[async_trait]
impl UnderstandRecords for Understander {
    async fn take_in(
        &self,
        tx: &mut ScopedTx,
        source: &str,
        records: Vec<RawRecord>,
    ) -> Result<Understood, GraphError> {
        let mut work = Understanding::begin(&self.0.ports, tx).await?;
        let hints = work.hints.clone();
        // A mail may have 32 MiB: whoever shares the thread doesn't wait for it.
        let read = tokio::task::spawn_blocking(move || {
            let meanings: Vec<_> = records.iter().map(|record| meaning(record, &hints)).collect();
            (records, meanings)
        });
        let (records, meanings) = read
            .await
            .map_err(|_| GraphError::Invalid("the records can't be read".to_owned()))?;
        let records: Vec<&RawRecord> = records.iter().collect();
        let mut batch = self.0.ports.record_intake().batch(source, records.len());
        let (mut meanings, mut all) = (meanings.into_iter(), Understood::default());
        for range in parts(&records) {
            let records = records.get(range).unwrap_or_default();
            let meanings = meanings.by_ref().take(records.len()).collect();
            let did = part(
                &self.0.ports,
                tx,
                batch.as_mut(),
                source,
                (records, meanings),
                &mut work,
            )
            .await?;
            all.new += did.new;
            all.known += did.known;
            all.parked += did.parked;
        }
        batch.write(tx).await?;
        drop(batch);
        work.join_groups(&self.0.ports, tx).await?;
        Ok(all)
    }

    async fn again(&self, tx: &mut ScopedTx, record: RawRecordId) -> Result<Option<String>, GraphError> {
        let missing = || GraphError::Invalid(format!("there is no record {record}"));
        let kept = self.0.ports.raw_records().record(tx, record).await?;
        if !is_mapped(&kept.ok_or_else(missing)?.record.media_type) {
            return Err(GraphError::Invalid(
                "another service understands this kind of record".to_owned(),
            ));
        }
        let mut work = Understanding::begin(&self.0.ports, tx).await?;
        match process(&self.0, tx, &mut work, record)
            .await?
            .ok_or_else(missing)?
        {
            Outcome::Understood => Ok(None),
            Outcome::Parked(reason) => Ok(Some(reason)),
        }
    }
}

/// Takes in and understands records of which each is of another thing, or the same.
pub(crate) async fn part(
    ports: &Ports,
    tx: &mut ScopedTx,
    batch: &mut dyn IntakeBatch,
    source: &str,
    (records, meanings): (&[&RawRecord], Vec<Result<Meaning, String>>),
    work: &mut Understanding,
) -> Result<Understood, GraphError> {
    let received = records.iter().map(|record| (*record).clone()).collect();
    let received = batch.receive(tx, received).await?;
    let fresh = received.iter().zip(&meanings).filter_map(|(received, meaning)| {
        let is_new = |received: &Received| !received.known && received.before.is_none();
        meaning
            .as_ref()
            .ok()
            .filter(|_| received.as_ref().is_ok_and(is_new))
    });
    let expected = work.expected(fresh);
    batch.expect(tx, expected).await?;
    let mut did = Understood::default();
    for ((record, meaning), received) in records.iter().zip(meanings).zip(received) {
        let received = match received {
            Ok(received) => received,
            // Not even its place can be written down; only its count remains.
            Err(GraphError::Invalid(_)) => {
                did.parked += 1;
                continue;
            }
            Err(error) => return Err(error),
        };
        if received.known {
            did.known += 1;
            continue;
        }
        if is_outdated(ports, tx, &meaning, received.before, &work.hints).await? {
            // Whatever took another revision's place is in the database.
            let intake = ports.record_intake();
            intake.pass_over(tx, received.id, received.before).await?;
            did.known += 1;
            continue;
        }
        did.new += 1;
        let source = speaks_as(source, &record.stream);
        let outcome = work
            .record(ports, batch, tx, received.id, &source, meaning)
            .await?;
        did.parked += usize::from(outcome != Outcome::Understood);
    }
    Ok(did)
}

/// Records in parts, in none of which two revisions of one thing stand: the later is taken in once it is decided whether
/// the earlier holds. None is longer than what is taken in before it is asked whether somebody waits.
pub(crate) fn parts(records: &[&RawRecord]) -> Vec<Range<usize>> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    let mut revisions: HashMap<(&str, &str), &str> = HashMap::new();
    for (at, record) in records.iter().enumerate() {
        let thing = (record.stream.as_str(), record.remote_id.as_str());
        let revision = record.revision.as_str();
        let is_other = || revisions.get(&thing).is_some_and(|other| *other != revision);
        if at - begin >= STRIDE || !record.remote_id.is_empty() && is_other() {
            parts.push(begin..at);
            begin = at;
            revisions.clear();
        }
        revisions.insert(thing, revision);
    }
    parts.push(begin..records.len());
    parts
}
