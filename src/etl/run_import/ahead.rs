//! What comes next of a file is read and understood while the records before it are committed.

use std::collections::HashMap;
use std::ops::Range;

use tokio::task::JoinHandle;

use super::BATCH_BYTES_MAX;
use crate::map::{Hints, Meaning};
use crate::pace::{MOST, STRIDE};
use crate::split::{Item, Splitter};
use crate::understand::meaning;

/// A record with what it means.
pub(super) type Read = (Item, Result<Meaning, String>);

/// Records in parts, in none of which two revisions of one thing stand: the later is taken in once it is decided whether
/// the earlier holds. None is longer than what is taken in before it is asked whether somebody waits.
pub(super) fn parts(items: &[Item]) -> Vec<Range<usize>> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    let mut revisions: HashMap<(&str, &str), &str> = HashMap::new();
    for (at, Item { record, .. }) in items.iter().enumerate() {
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
    parts.push(begin..items.len());
    parts
}

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
