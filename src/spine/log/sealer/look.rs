//! Where in the outbox a pass looks, and for how many rows.

use std::time::Instant;

use super::POLL;

/// Rows a batch at the most, when many wait.
const BATCH_ROWS: i64 = 5000;
/// Rows that were put before others and committed so much later are found by the next look from the start.
const LATE_ROWS: i64 = 50_000;
/// Rows a batch at the most otherwise. Such a batch is handed to the consumers with what its events tell; of larger ones
/// that is read from the log.
const TOLD_EVENTS: i64 = 200;

/// What of the outbox a pass looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// What lies after this.
    pub(crate) begin: i64,
    /// A large batch instead of one that is handed on with its bodies.
    pub(crate) many: bool,
}

impl Part {
    pub(super) fn rows(self) -> i64 {
        if self.many { BATCH_ROWS } else { TOLD_EVENTS }
    }
}

/// Where to begin looking in the outbox. What was moved leaves dead entries in its index until the next vacuum, by the
/// million under load, and walking over them from the start would be most of a batch's work.
pub(super) struct Look {
    begin: i64,
    from_start: Instant,
    many: bool,
}

impl Look {
    pub(super) fn new() -> Self {
        Self {
            begin: 0,
            from_start: Instant::now(),
            many: false,
        }
    }

    /// Every [`POLL`] from the start, since a transaction that took its place before many others may commit last.
    pub(super) fn next(&mut self) -> Part {
        if self.from_start.elapsed() >= POLL {
            (self.begin, self.from_start) = (0, Instant::now());
        }
        Part {
            begin: self.begin,
            many: self.many,
        }
    }

    /// Usually those who commit later stand close by: they are found at once. Who met many at once meets many again.
    pub(super) fn moved(&mut self, rows: i64, last_seq: i64) {
        self.begin = self.begin.max(last_seq - LATE_ROWS);
        self.many = rows >= TOLD_EVENTS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sealer_looks_close_behind_what_it_moved_and_now_and_then_from_the_start() {
        let mut look = Look::new();
        look.moved(1, LATE_ROWS + 7);
        assert_eq!(look.next().begin, 7);
        look.moved(0, 0); // an empty pass, or a late row
        assert_eq!(look.next().begin, 7, "it doesn't go back for one");
        look.from_start -= POLL;
        assert_eq!(look.next().begin, 0);
        look.moved(1, LATE_ROWS - 1);
        assert_eq!(look.next().begin, 0, "few rows are all close by");
    }

    #[test]
    fn large_batches_follow_on_one_that_was_full_until_few_wait() {
        let mut look = Look::new();
        let mut after = |rows| {
            look.moved(rows, 0);
            look.next().rows()
        };
        assert_eq!(after(1), TOLD_EVENTS);
        assert_eq!(after(TOLD_EVENTS), BATCH_ROWS);
        assert_eq!(after(BATCH_ROWS), BATCH_ROWS);
        assert_eq!(after(0), TOLD_EVENTS);
    }
}
