//! What is wrong with a manifest, and where.

use std::ops::Range;

use contracts::nearest;

/// One thing that is wrong with a manifest. Its text begins with `file:line:column:`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub(crate) struct ManifestError {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) message: String,
}

impl ManifestError {
    /// An error at a stretch of the text; without one it concerns the file as a whole and stands at its beginning.
    pub(crate) fn at(file: &str, text: &str, span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        let before = text.get(..span.map_or(0, |span| span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self {
            file: file.to_owned(),
            line,
            column,
            message: message.into(),
        }
    }
}

/// `; did you mean …?`, or nothing.
pub(crate) fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates)
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default()
}

/// The parser's message about an unknown key or value, with the nearest of those that it expected.
pub(crate) fn with_nearest(message: &str) -> String {
    let mut words = message.split('`').skip(1).step_by(2);
    match words.next() {
        Some(word) if message.starts_with("unknown ") => {
            let what = message.split(' ').nth(1).unwrap_or("key");
            let what = if what == "field" { "key" } else { "value" };
            let known: Vec<&str> = words.collect();
            match nearest(word, known.iter().copied()) {
                Some(near) => format!("unknown {what} `{word}`; did you mean `{near}`?"),
                None => format!("unknown {what} `{word}`; known are {}", known.join(", ")),
            }
        }
        _ => message.to_owned(),
    }
}
