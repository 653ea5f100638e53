//! Which of two revisions of one thing is the newer, by their own word.
//!
//! Invariant: what comes later counts as newer unless both say when they were made, and the other way round. Begin with
//! [`is_outdated`].

use chrono::{DateTime, Utc};
use contracts::RawRecordId;
use spine::ScopedTx;
use spine::ports::{GraphError, Ports};

use crate::map::{Hints, Meaning};
use crate::understand::meaning;

/// When a revision was made (RFC 5545, SEQUENCE and LAST-MODIFIED or DTSTAMP).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Cards, tables and our own calendars have none.
    pub(crate) sequence: Option<i64>,
    pub(crate) at: Option<DateTime<Utc>>,
}

impl Stamp {
    fn is_before(self, other: Self) -> bool {
        match self.sequence.zip(other.sequence) {
            Some((one, two)) if one != two => one < two,
            _ => self.at.zip(other.at).is_some_and(|(one, two)| one < two),
        }
    }
}

/// Whether what a record means is older than what the revision says whose place it took: an old file is imported after a
/// newer one.
pub(crate) async fn is_outdated(
    ports: &Ports,
    tx: &mut ScopedTx,
    meant: &Result<Meaning, String>,
    before: Option<RawRecordId>,
    hints: &Hints,
) -> Result<bool, GraphError> {
    let stamp = meant.as_ref().ok().and_then(|meant| meant.stamp);
    let (Some(stamp), Some(before)) = (stamp, before) else {
        return Ok(false);
    };
    let kept = match ports.raw_records().record(tx, before).await {
        Err(GraphError::Invalid(_)) => None, // it can't be opened any more
        kept => kept?,
    };
    let newer = kept.and_then(|kept| meaning(&kept.record, hints).ok()?.stamp);
    Ok(newer.is_some_and(|newer| stamp.is_before(newer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(sequence: Option<i64>, second: Option<i64>) -> Stamp {
        let at = second.and_then(|second| DateTime::from_timestamp(second, 0));
        Stamp { sequence, at }
    }

    #[test]
    fn the_higher_sequence_is_newer_then_the_later_change_and_what_says_nothing_is_not_older() {
        for (older, newer) in [
            ((Some(1), Some(9)), (Some(2), Some(1))),
            ((Some(1), Some(1)), (Some(1), Some(2))),
            // An export has no sequence: it goes on from whatever its source's was.
            ((Some(7), Some(1)), (None, Some(2))),
            ((None, Some(1)), (Some(7), Some(2))),
        ] {
            let (older, newer) = (stamp(older.0, older.1), stamp(newer.0, newer.1));
            assert!(older.is_before(newer), "{older:?} {newer:?}");
            assert!(!newer.is_before(older), "{older:?} {newer:?}");
        }
        for (one, other) in [
            ((Some(1), Some(2)), (Some(1), Some(2))),
            ((Some(1), None), (Some(1), Some(2))),
            ((None, None), (Some(5), None)),
        ] {
            let (one, other) = (stamp(one.0, one.1), stamp(other.0, other.1));
            assert!(!one.is_before(other), "{one:?} {other:?}");
        }
    }
}
