//! How many records are understood in one commit: many while nobody waits for what it holds, few while somebody does.
//!
//! A commit holds the addresses and people that its records name until it ends. A call or a message of just these waits so
//! long; so the one that is under way ends early, and those that follow are short.
//! Pure. Begin with [`Pace`].

/// Records a commit while nobody waits.
pub const MOST: usize = 500;
/// Records that are taken in and understood before it is asked again whether somebody waits.
pub const STRIDE: usize = 50;
/// Records a commit after somebody waited.
const FEW: usize = 25;

/// How many records the next commit may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace(usize);

impl Default for Pace {
    fn default() -> Self {
        Self(MOST)
    }
}

impl Pace {
    /// At most so many.
    pub fn records(self) -> usize {
        self.0
    }

    /// A commit ended; whether somebody waited for it.
    pub fn ended(&mut self, was_waited_for: bool) {
        self.0 = if was_waited_for {
            FEW
        } else {
            (self.0 * 2).min(MOST)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_short_after_somebody_waited_and_grow_again_while_nobody_does() {
        let mut pace = Pace::default();
        assert_eq!(pace.records(), MOST);
        pace.ended(true);
        assert_eq!(pace.records(), FEW);
        let sizes: Vec<usize> = (0..6)
            .map(|_| {
                pace.ended(false);
                pace.records()
            })
            .collect();
        assert_eq!(sizes, [50, 100, 200, 400, 500, 500]);
    }
}
