//! What is wrong with a rule's text, told without running it: header, names, arguments, grants, and what `when`
//! may not do.
//!
//! Invariant: a rule without errors here compiles, and fails later only by the values that it meets.
//! Begin with [`check`].

use contracts::nearest;
use std::collections::BTreeMap;

use sandbox::{ErrorKind, Function, Position, Script, ScriptError};
use serde::{Deserialize, Serialize};

use crate::engine::header::RuleHeader;
use crate::engine::host::{EFFECTS, WAITS};
use crate::engine::rule::engine;

#[cfg(test)]
mod tests;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The rule is refused.
    Error,
    /// It runs, but something about it is odd.
    Warning,
}

/// One finding about a rule's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The name that the text was given.
    pub file: String,
    /// Line, from 1; 0 where it concerns the file as a whole.
    pub line: u32,
    /// Column in characters, from 1; 0 where it is not known.
    pub column: u32,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Diagnostic {
    fn of(severity: Severity, error: ScriptError) -> Self {
        let Position { line, column } = error.position;
        Self {
            severity,
            file: error.file.to_string(),
            line,
            column,
            message: error.message,
            hint: error.hint,
        }
    }

    /// True if the rule is refused because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.line, self.column) {
            (0, _) => write!(f, "{}: {}", self.file, self.message),
            (line, 0) => write!(f, "{}:{line}: {}", self.file, self.message),
            (line, column) => write!(f, "{}:{line}:{column}: {}", self.file, self.message),
        }
    }
}

/// Checks a rule's text, which messages call `name`. Runs none of it and needs neither hub nor database.
///
/// Errors come before warnings, each in order of place; a text without errors can be saved and enabled.
pub fn check(source: &str, name: &str) -> Vec<Diagnostic> {
    if let Some(line) = source.lines().position(|line| line.contains('\0')) {
        let line = u32::try_from(line + 1).unwrap_or(0);
        let error = ScriptError::new(
            ErrorKind::Syntax,
            name,
            Position { line, column: 0 },
            "the text holds the character NUL",
        );
        return vec![Diagnostic::of(
            Severity::Error,
            error.with_hint("save the file as plain text in UTF-8"),
        )];
    }
    let script = match engine().compile(name, source) {
        Ok(script) => script,
        Err(error) => return vec![Diagnostic::of(Severity::Error, error)],
    };
    let mut checker = Checker {
        script: &script,
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    checker.functions();
    checker.calls();
    match RuleHeader::read(&script) {
        Ok(header) => checker.actions(&header),
        Err(errors) => checker.errors.extend(errors),
    }
    let (mut errors, mut warnings) = (checker.errors, checker.warnings);
    for list in [&mut errors, &mut warnings] {
        list.sort_by(|a, b| (a.position, &a.message).cmp(&(b.position, &b.message)));
        list.dedup();
    }
    let errors = errors
        .into_iter()
        .map(|error| Diagnostic::of(Severity::Error, error));
    errors
        .chain(
            warnings
                .into_iter()
                .map(|warning| Diagnostic::of(Severity::Warning, warning)),
        )
        .collect()
}

struct Checker<'a> {
    script: &'a Script,
    errors: Vec<ScriptError>,
    warnings: Vec<ScriptError>,
}

impl Checker<'_> {
    fn finding(&self, at: Position, message: impl Into<String>, hint: impl Into<String>) -> ScriptError {
        self.script.error(ErrorKind::Lint, at, message).with_hint(hint)
    }

    /// `then(ev, inputs)` is there, `when(ev, inputs)` if it is there takes what the hub gives, tests take `t`.
    fn functions(&mut self) {
        if self.script.function("then").is_none() {
            let names = self
                .script
                .functions()
                .iter()
                .map(|f| f.name.as_str())
                .filter(|name| *name != "when");
            let hint = nearest("then", names).map_or_else(
                || "add fn then(ev, inputs) { … }".to_owned(),
                |near| format!("did you mean `then` where it says `{near}`?"),
            );
            self.errors
                .push(self.finding(Position::default(), "the rule has no function `then`", hint));
        }
        for function in self.script.functions() {
            let (takes, name) = (function.params.len(), function.name.as_str());
            let wrong = match name {
                "then" | "when" => takes == 0 || takes > 2,
                test if test.starts_with("test_") => takes != 1,
                _ => false,
            };
            if wrong {
                let right = match name {
                    "then" => "fn then(ev, inputs)".to_owned(),
                    "when" => "fn when(ev)".to_owned(),
                    test => format!("fn {test}(t)"),
                };
                let message = format!("`{name}` takes {takes} arguments, which the hub can't give it");
                self.errors
                    .push(self.finding(function.position, message, format!("write {right}")));
            }
        }
    }

    /// What the sandbox's linter finds, except inside tests: they call what only a test run offers.
    fn calls(&mut self) {
        let report = engine().lint(self.script);
        let in_test = |error: &ScriptError| {
            function_at(self.script.functions(), error.position).is_some_and(|f| f.name.starts_with("test_"))
        };
        self.errors
            .extend(report.errors.into_iter().filter(|error| !in_test(error)));
        self.warnings
            .extend(report.warnings.into_iter().filter(|warning| !in_test(warning)));
        let mut waits: BTreeMap<Position, String> = BTreeMap::new();
        for function in self
            .script
            .functions()
            .iter()
            .filter(|f| !f.name.starts_with("test_"))
        {
            let reached = engine().reaches(self.script, &function.name);
            waits.extend(
                reached
                    .into_iter()
                    .filter(|(name, _)| WAITS.contains(&name.as_str()))
                    .map(|(name, at)| (at, name)),
            );
        }
        for (at, name) in waits {
            let message =
                format!("`{name}` is not available in this version of the hub: rules can't wait yet");
            let hint = "end the rule here, or react to the awaited event in a rule of its own";
            self.errors.push(self.finding(at, message, hint));
        }
    }

    /// `when` doesn't act; what `then` does is granted; what is granted is used.
    fn actions(&mut self, header: &RuleHeader) {
        for (name, at) in engine().reaches(self.script, "when") {
            if EFFECTS.contains(&name.as_str()) {
                let message = format!("`{name}` acts, and `when` may only read");
                self.errors.push(self.finding(at, message, "move it into `then`"));
            }
        }
        let acts = engine().reaches(self.script, "then");
        for (name, at) in &acts {
            let is_action = EFFECTS.contains(&name.as_str());
            if is_action && !header.grants.contains(name) {
                let message = format!("the rule has no grant for `{name}`");
                let all: Vec<String> = header
                    .grants
                    .iter()
                    .chain([name])
                    .map(|grant| format!("\"{grant}\""))
                    .collect();
                let hint = format!("add it to the header: grants: [{}]", all.join(", "));
                self.errors.push(self.finding(*at, message, hint));
            }
        }
        let Ok(place) = self.script.header("RULE") else {
            return;
        };
        for (index, grant) in header.grants.iter().enumerate() {
            if !acts.contains_key(grant) {
                let at = place.place(&format!("/grants/{index}"));
                self.warnings.push(self.finding(
                    at,
                    format!("`then` never uses the grant `{grant}`"),
                    "remove it",
                ));
            }
        }
    }
}

/// The function in whose text a place lies.
fn function_at(functions: &[Function], at: Position) -> Option<&Function> {
    functions
        .iter()
        .filter(|function| function.position <= at)
        .max_by_key(|function| function.position)
}
