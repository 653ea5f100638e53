//! A rule, compiled: its header, its script, and how its functions are called.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use sandbox::{Arg, Engine, Limits, Script, SharedValue};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::header::RuleHeader;
use super::host::{self, Host};
use super::input;
use super::terms::{self, Condition};

/// The one interpreter of all rules.
pub(crate) fn engine() -> &'static Engine<Host> {
    static ENGINE: OnceLock<Engine<Host>> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(host::api(), Limits::default()))
}

/// The name of a version: the SHA-256 of its text.
pub(crate) fn version_of(source: &str) -> String {
    Sha256::digest(source.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A rule that can run.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) header: RuleHeader,
    pub(crate) script: Script,
    pub(crate) version: String,
    /// Since when it runs; `None`: always.
    pub(crate) enabled_at: Option<DateTime<Utc>>,
    /// The values of its inputs.
    pub(crate) inputs: SharedValue,
    /// The terms of its `when`, if it is a chain of them.
    pub(crate) conditions: Vec<Condition>,
    /// It was seen to take long.
    pub(crate) slow: AtomicBool,
}

/// Why a stored rule can't run: said to its owner.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CannotRun(pub(crate) String);

impl Rule {
    /// Compiles a rule whose text was checked when it was saved.
    ///
    /// # Errors
    /// [`CannotRun`] when this version of the hub refuses the text, or an input has no value.
    pub(crate) fn compile(id: &str, source: &str, set: &Map<String, Value>) -> Result<Self, CannotRun> {
        let script = engine()
            .compile(&format!("{id}.rhai"), source)
            .map_err(|error| CannotRun(error.to_string()))?;
        let header = RuleHeader::read(&script).map_err(|errors| {
            CannotRun(
                errors
                    .first()
                    .map_or_else(|| "its header can't be read".to_owned(), ToString::to_string),
            )
        })?;
        let inputs = input::resolve(&header.inputs, set).map_err(|error| CannotRun(error.to_string()))?;
        let conditions = script.function("when").map_or_else(Vec::new, |when| {
            terms::split(source, when.position.line, when.position.column)
        });
        let inputs = SharedValue::new(Value::Object(inputs));
        Ok(Self {
            header,
            version: version_of(source),
            enabled_at: None,
            inputs,
            conditions,
            slow: AtomicBool::new(false),
            script,
        })
    }

    /// True if it was seen to take long.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    /// It took long.
    pub(crate) fn mark_slow(&self) {
        self.slow.store(true, Ordering::Relaxed);
    }

    /// True if it has a `when`.
    pub(crate) fn has_when(&self) -> bool {
        self.script.function("when").is_some()
    }

    /// What `when` calls the event.
    pub(crate) fn event_name(&self) -> &str {
        self.script
            .function("when")
            .and_then(|when| when.params.first())
            .map_or("ev", String::as_str)
    }

    /// The arguments of a function: the event, and the inputs where it takes two.
    pub(crate) fn args(&self, function: &str, event: &SharedValue) -> Vec<Arg> {
        let takes = self
            .script
            .function(function)
            .map_or(0, |function| function.params.len());
        let all = [Arg::from(event), Arg::from(&self.inputs)];
        all.into_iter().take(takes).collect()
    }
}
