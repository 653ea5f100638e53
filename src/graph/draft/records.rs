//! Raw records of a draft: taken in, and what became of them.

use std::collections::{HashMap, HashSet};

use contracts::RawRecordId;
use spine::ScopedTx;
use spine::ports::GraphError;

use crate::store::{self, RawRow};

/// What makes a record the same as another of its source: stream, remote key, revision.
type RecordKey = (String, Vec<u8>, String);

/// Records that are not yet written, and those that are held.
#[derive(Debug, Default)]
pub(crate) struct Records {
    unwritten: Vec<(RawRow, i32)>,
    places: HashMap<RawRecordId, usize>,
    held: HashSet<RawRecordId>,
    /// Those that came through here, of which there was no other revision.
    first: HashSet<RawRecordId>,
    /// With whether it is parked.
    seen: HashMap<RecordKey, (RawRecordId, bool)>,
    settled: Vec<RawRecordId>,
}

impl Records {
    /// Takes in those of these that aren't there. Of each, which it is, whether it was there, and parked.
    pub(crate) async fn receive(
        &mut self,
        tx: &mut ScopedTx,
        source: &str,
        rows: Vec<RawRow>,
    ) -> Result<Vec<(RawRecordId, bool, bool)>, GraphError> {
        for (place, id, parked) in store::raw_known(tx, source, &rows).await? {
            if let Some(row) = rows.get(place) {
                self.seen.insert(record_key(row), (id, parked));
            }
        }
        let mut received = Vec::with_capacity(rows.len());
        for row in rows {
            let key = record_key(&row);
            if let Some((known, parked)) = self.seen.get(&key) {
                received.push((*known, true, *parked));
                continue;
            }
            let id = row.id;
            self.seen.insert(key, (id, false));
            self.places.insert(id, self.unwritten.len());
            self.held.insert(id);
            self.first.insert(id);
            self.unwritten.push((row, 1));
            received.push((id, false, false));
        }
        Ok(received)
    }

    /// Holds a record. False: it isn't there.
    pub(crate) async fn hold(&mut self, tx: &mut ScopedTx, id: RawRecordId) -> Result<bool, GraphError> {
        if self.held.contains(&id) {
            return Ok(true);
        }
        let is_there = store::raw_hold(tx, id).await?;
        if is_there {
            self.held.insert(id);
        }
        Ok(is_there)
    }

    /// True if nothing was read of a record, or of another revision of it, before it came through here.
    pub(crate) fn is_first(&self, id: RawRecordId) -> bool {
        self.first.contains(&id)
    }

    /// A record came in past the draft, as one of several revisions.
    pub(crate) fn is_revised(&mut self, id: RawRecordId) {
        self.first.remove(&id);
    }

    /// A record was understood.
    pub(crate) fn understood(&mut self, id: RawRecordId) {
        match self.unwritten(id) {
            Some((row, tries)) => {
                row.status = "processed";
                row.reason = None;
                *tries += 1;
            }
            None => self.settled.push(id),
        }
    }

    /// Parks a record that isn't written yet; its source. `None`: it is written.
    pub(crate) fn park(&mut self, id: RawRecordId, reason: &str) -> Option<String> {
        self.settled.retain(|settled| *settled != id); // whatever was understood of it
        let (row, tries) = self.unwritten(id)?;
        row.status = "parked";
        row.reason = Some(reason.to_owned());
        *tries += 1;
        Some(row.source.clone())
    }

    fn unwritten(&mut self, id: RawRecordId) -> Option<&mut (RawRow, i32)> {
        let place = self.places.get(&id)?;
        self.unwritten.get_mut(*place)
    }

    pub(super) async fn write(&mut self, tx: &mut ScopedTx) -> Result<(), GraphError> {
        if !self.unwritten.is_empty() {
            store::raw_insert_all(tx, &self.unwritten).await?;
            self.unwritten.clear();
            self.places.clear();
        }
        Ok(())
    }

    pub(super) async fn settle(&mut self, tx: &mut ScopedTx) -> Result<(), GraphError> {
        if !self.settled.is_empty() {
            store::raw_settle_all(tx, &self.settled).await?;
            self.settled.clear();
        }
        Ok(())
    }
}

fn record_key(row: &RawRow) -> RecordKey {
    (row.stream.clone(), row.remote_key.clone(), row.revision.clone())
}
