//! What can be wrong with a script, said so that its author can mend it: file, line, column, words and a hint.
//!
//! Everything that the sandbox refuses or stops is a [`ScriptError`]; `Display` gives one line for logs,
//! [`ScriptError::render`] several lines with the source and a caret for people.
//! Invariant: limits have kinds of their own, so that a caller can tell a runaway script from a mistaken one.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// A place in a script. Lines and columns count from 1; 0 means that the place is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl From<rhai::Position> for Position {
    fn from(at: rhai::Position) -> Self {
        let small = |n: Option<usize>| n.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        Self {
            line: small(at.line()),
            column: small(at.position()),
        }
    }
}

impl Position {
    /// Whether the line is known.
    pub fn is_known(self) -> bool {
        self.line > 0
    }
}

/// What kind of failure a [`ScriptError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is not a script, or uses what the sandbox switches off.
    Syntax,
    /// The source is longer than [`Limits::source_bytes`](crate::Limits::source_bytes).
    TooLong,
    /// A constant header is missing, is computed, or has a value that its reader refuses.
    Header,
    /// A finding of the linter.
    Lint,
    /// The function which the hub wants to call is not in the script, or takes other arguments.
    NoSuchFunction,
    /// The script failed while running, or threw.
    Runtime,
    /// More operations than the budget allows.
    Operations,
    /// More time than the budget allows.
    Time,
    /// A string, array or map, or their number, grew beyond its limit.
    Memory,
    /// Calls nested too deep.
    Depth,
    /// The host stopped the run for good ([`Interrupt::Stop`](crate::Interrupt::Stop)).
    Stopped,
    /// A value can't cross between script and host, such as a function.
    Conversion,
    /// The interpreter itself failed. A bug to report, not the author's mistake.
    Internal,
}

/// One thing that is wrong with a script, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
pub struct ScriptError {
    /// Name that the script was compiled under, mostly its path.
    #[serde(serialize_with = "as_text")]
    pub file: Arc<str>,
    /// Where; unknown (0:0) when it concerns the script as a whole.
    pub position: Position,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to do about it, if that can be told.
    pub hint: Option<String>,
    /// Which kind of failure.
    pub kind: ErrorKind,
    /// Text of the line at fault, for [`ScriptError::render`].
    #[serde(skip)]
    pub source_line: Option<Arc<str>>,
}

fn as_text<S: serde::Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl ScriptError {
    /// An error in `file` at `position`, with neither hint nor excerpt yet.
    pub fn new(
        kind: ErrorKind,
        file: impl Into<Arc<str>>,
        position: Position,
        message: impl Into<String>,
    ) -> Self {
        Self {
            file: file.into(),
            position,
            message: message.into(),
            hint: None,
            kind,
            source_line: None,
        }
    }

    /// The same error with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error with the line at fault copied from the whole `source`.
    #[must_use]
    pub(crate) fn with_source(mut self, source: &str) -> Self {
        self.source_line = (self.position.line as usize)
            .checked_sub(1)
            .and_then(|index| source.lines().nth(index))
            .map(|line| line.chars().take(200).collect::<String>().into());
        self
    }

    /// Whether a limit ended the run, rather than a mistake in the script.
    pub fn is_limit(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Operations | ErrorKind::Time | ErrorKind::Memory | ErrorKind::Depth
        )
    }

    /// Several lines for people: the message, the source line with a caret below the column, and the hint.
    pub fn render(&self) -> String {
        let mut text = format!("error: {}", self.message);
        let at = self.position;
        if at.is_known() {
            text.push_str(&format!("\n  --> {}:{}:{}", self.file, at.line, at.column));
        } else {
            text.push_str(&format!("\n  --> {}", self.file));
        }
        if let Some(line) = &self.source_line {
            let number = at.line.to_string();
            let margin = " ".repeat(number.len());
            let before: String = line
                .chars()
                .take(at.column.saturating_sub(1) as usize)
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            text.push_str(&format!("\n{margin} |\n{number} | {line}\n{margin} | {before}^"));
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\n  hint: {hint}"));
        }
        text
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.position;
        match (line, column) {
            (0, _) => write!(f, "{}: {}", self.file, self.message),
            (line, 0) => write!(f, "{}:{line}: {}", self.file, self.message),
            (line, column) => write!(f, "{}:{line}:{column}: {}", self.file, self.message),
        }
    }
}
