//! What comes next of a file is read and understood while the records before it are committed.

use spine::pace::MOST;
use tokio::task::JoinHandle;

use super::BATCH_BYTES_MAX;
use crate::map::{Hints, Meaning};
use crate::split::{Item, Splitter};
use crate::understand::meaning;

/// A record with what it means.
pub(super) type Read = (Item, Result<Meaning, String>);

/// What is read of a file, and the file after it.
pub(super) type Ahead = JoinHandle<(Splitter, std::io::Result<Vec<Read>>)>;

/// Reads the records after a place, and what they mean.
pub(super) fn read(mut splitter: Splitter, after: i64, hints: Hints) -> Ahead {
    tokio::task::spawn_blocking(move || {
        let items = splitter.batch(u64::try_from(after).unwrap_or(0), MOST, BATCH_BYTES_MAX);
        let read = items.map(|items| items.into_iter().map(|item| mean(item, &hints)).collect());
        (splitter, read)
    })
}

pub(super) fn mean(item: Item, hints: &Hints) -> Read {
    let meaning = match item.refused {
        Some(reason) => Err(reason.to_owned()),
        None => meaning(&item.record, hints),
    };
    (item, meaning)
}

/// Where the file goes on after a record.
pub(super) fn end(item: &Item) -> i64 {
    i64::try_from(item.end).unwrap_or(i64::MAX)
}
