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
    pub(crate) sequence: i64,
    pub(crate) at: Option<DateTime<Utc>>,
}

impl Stamp {
    fn is_before(self, other: Self) -> bool {
        self.sequence < other.sequence
            || (self.sequence == other.sequence && self.at.zip(other.at).is_some_and(|(one, two)| one < two))
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

    fn stamp(sequence: i64, second: Option<i64>) -> Stamp {
        Stamp {
            sequence,
            at: second.and_then(|second| DateTime::from_timestamp(second, 0)),
        }
    }

    #[test]
    fn the_higher_sequence_is_newer_then_the_later_change_and_what_says_nothing_is_not_older() {
        assert!(stamp(1, Some(9)).is_before(stamp(2, Some(1))));
        assert!(stamp(1, Some(1)).is_before(stamp(1, Some(2))));
        for (one, other) in [
            ((1, Some(2)), (1, Some(2))),
            ((1, None), (1, Some(2))),
            ((2, Some(1)), (1, Some(9))),
        ] {
            assert!(
                !stamp(one.0, one.1).is_before(stamp(other.0, other.1)),
                "{one:?} {other:?}"
            );
        }
    }
}
