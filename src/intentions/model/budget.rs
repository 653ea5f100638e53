//! How much counting a list may cost.

/// How many occurrences may still be counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget(usize);

impl Budget {
    pub(crate) fn new(steps: usize) -> Self {
        Self(steps)
    }

    /// Takes some; false: there aren't so many, and now there are none.
    pub(crate) fn take(&mut self, steps: usize) -> bool {
        let left = self.0.checked_sub(steps);
        self.0 = left.unwrap_or(0);
        left.is_some()
    }

    pub(crate) fn is_used_up(self) -> bool {
        self.0 == 0
    }
}
