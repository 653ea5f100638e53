//! `limit: "1 per 10m per from.id"`: at most so many runs in any window of that length, counted for each value.

use std::time::Duration;

use super::duration;
use super::path::Path;

/// The window is a list of moments in one row: this many at the most.
const RUNS_MAX: usize = 1_000;

/// How often a rule may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limit {
    /// At most so many runs.
    pub(crate) runs: usize,
    /// In any window of this length.
    pub(crate) window: Duration,
    /// Counted for each value of this field; without it, all together.
    pub(crate) per: Option<Path>,
    /// As the header writes it.
    pub(crate) text: String,
}

/// How a limit is written, for the rule's author.
pub(crate) const FORM: &str = "write a limit such as \"1 per 10m\" or \"3 per 1h per from.id\"";

impl Limit {
    /// The limit that `text` says.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (runs, window, per) = match words.as_slice() {
            [runs, "per", window] => (runs, window, None),
            [runs, "per", window, "per", path] => (runs, window, Some(Path::parse(path)?)),
            _ => return None,
        };
        let runs = runs.parse().ok().filter(|runs| (1..=RUNS_MAX).contains(runs))?;
        Some(Self {
            runs,
            window: duration::parse(window)?,
            per,
            text: words.join(" "),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_says_how_many_in_how_long_for_whom() {
        let limit = Limit::parse("1 per 10m per from.id").unwrap();
        assert_eq!((limit.runs, limit.window), (1, Duration::from_secs(600)));
        assert_eq!(limit.per.unwrap().as_str(), "from.id");
        assert_eq!(Limit::parse("3 per 1h").unwrap().per, None);
    }

    #[test]
    fn what_is_no_limit_is_refused() {
        for text in [
            "",
            "1",
            "1 per",
            "0 per 1m",
            "x per 1m",
            "1 per soon",
            "1 per 1m per",
            "1 per 1m per a..b",
            "1001 per 1m",
            "1 in 1m",
        ] {
            assert_eq!(Limit::parse(text), None, "{text}");
        }
    }
}
