//! What a script may call, and the journal that stands between it and the world.
//!
//! A read that is not in the journal suspends the script; the caller answers it with [`Host::learn`] and enters
//! again from the top. An effect is only recorded. Calls are matched with the journal in order: a call that
//! differs from its entry stops the run for good, because then the script is not what it was.
//! Invariant: with the same journal a script does the same; nothing here touches the database or the clock.
//! Begin with [`api`], then [`Host::step`].

use std::time::Duration;

use chrono::{DateTime, Utc};
use sandbox::{Call, HostApi, HostResult, Interrupt};
use serde_json::{Value, json};

use super::{action, moment};

/// Functions that act, each of which needs the grant of its name.
pub(crate) const EFFECTS: [&str; 2] = ["log.write", "sms.send"];
/// Words of the rule format that suspend a run for longer than a read does. Named here so that the linter can
/// refuse them by name.
pub(crate) const WAITS: [&str; 4] = ["approve", "sleep", "wait", "wait_for"];

/// Entries of a run at the most, its reads and effects together.
pub(crate) const ENTRIES_MAX: usize = 200;
/// Bytes of a run's names, arguments and values at the most.
pub(crate) const BYTES_MAX: usize = 64 * 1024;

/// What an entry of the journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What had to hold, and the value that did.
    Condition,
    /// What the script asked for.
    Read,
    /// An action.
    Effect,
}

impl Kind {
    /// The name in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Condition => "condition",
            Self::Read => "read",
            Self::Effect => "effect",
        }
    }
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    /// The function, or the text of the condition.
    pub(crate) name: String,
    pub(crate) args: Value,
    pub(crate) value: Value,
    /// Where in the source; 0 where that is not known.
    pub(crate) line: u32,
    pub(crate) at: DateTime<Utc>,
}

/// A question that the script waits for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Read {
    name: String,
    args: Value,
    line: u32,
}

impl Read {
    /// The function that asks.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its arguments, a list.
    pub(crate) fn args(&self) -> &Value {
        &self.args
    }
}

/// The context of a script. One serves all rules that an event concerns, and what one of them asked is answered
/// to the others at once.
#[derive(Debug, Default)]
pub(crate) struct Host {
    now: DateTime<Utc>,
    entries: Vec<Entry>,
    cursor: usize,
    used: Used,
    time_used: Duration,
    acting: bool,
    asked: Option<Read>,
    answers: Vec<(String, Value, Value)>,
    mismatch: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Used {
    entries: usize,
    bytes: usize,
}

impl Host {
    /// For one event, at one moment.
    pub(crate) fn new(now: DateTime<Utc>) -> Self {
        Self {
            now,
            ..Self::default()
        }
    }

    /// Begins with another rule.
    pub(crate) fn begin_rule(&mut self) {
        self.used = Used::default();
        self.time_used = Duration::ZERO;
        self.mismatch = false;
        self.begin_function(false);
    }

    /// Begins with a function of the rule; `acting`: effects are allowed.
    pub(crate) fn begin_function(&mut self, acting: bool) {
        self.entries.clear();
        self.cursor = 0;
        self.acting = acting;
    }

    /// The script is entered again from the top.
    pub(crate) fn rewind(&mut self) {
        self.cursor = 0;
    }

    /// How long the rule's functions took so far, all entries together.
    pub(crate) fn time_used(&self) -> Duration {
        self.time_used
    }

    /// An entry took so long.
    pub(crate) fn use_time(&mut self, took: Duration) {
        self.time_used = self.time_used.saturating_add(took);
    }

    /// What the function learned and did.
    pub(crate) fn take_entries(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    /// What the script waits for, after it was suspended.
    pub(crate) fn take_read(&mut self) -> Option<Read> {
        self.asked.take()
    }

    /// True if the script did something else than its journal says.
    pub(crate) fn is_mismatch(&self) -> bool {
        self.mismatch
    }

    /// The answer to a read.
    pub(crate) fn learn(&mut self, read: Read, value: Value) -> Result<(), String> {
        self.answers
            .push((read.name.clone(), read.args.clone(), value.clone()));
        self.push(Kind::Read, read.name, read.args, value, read.line)
    }

    fn answered(&self, name: &str, args: &Value) -> Option<Value> {
        self.answers
            .iter()
            .find(|(n, a, _)| n == name && a == args)
            .map(|(_, _, value)| value.clone())
    }

    fn push(&mut self, kind: Kind, name: String, args: Value, value: Value, line: u32) -> Result<(), String> {
        self.used.entries += 1;
        self.used.bytes += name.len() + weight(&args) + weight(&value);
        if self.used.entries > ENTRIES_MAX {
            return Err(format!("the run took more than {ENTRIES_MAX} steps"));
        }
        if self.used.bytes > BYTES_MAX {
            return Err(format!(
                "the run's journal is larger than {} KB",
                BYTES_MAX / 1024
            ));
        }
        self.entries.push(Entry {
            kind,
            name,
            args,
            value,
            line,
            at: self.now,
        });
        Ok(())
    }

    /// One call of the script: its journalled value, or else what `fresh` says.
    fn step(
        call: &mut Call<'_, Self>,
        kind: Kind,
        fresh: impl FnOnce(&mut Self, &Value) -> Result<Option<Value>, Interrupt>,
    ) -> HostResult {
        let (host, line) = (&mut *call.host, call.position.line);
        let args = Value::Array(call.args.to_vec());
        if let Some(entry) = host.entries.get(host.cursor) {
            if entry.kind != kind || entry.name != call.name || entry.args != args {
                host.mismatch = true;
                let (step, was, name) = (host.cursor + 1, &entry.name, call.name);
                return Err(Interrupt::Stop(format!(
                    "step {step} was `{was}` when the run first came here and is `{name}` now, or its arguments differ"
                )));
            }
            host.cursor += 1;
            return Ok(entry.value.clone());
        }
        match fresh(host, &args)? {
            Some(value) => {
                host.push(kind, call.name.to_owned(), args, value.clone(), line)
                    .map_err(Interrupt::Stop)?;
                host.cursor += 1;
                Ok(value)
            }
            None => {
                host.asked = Some(Read {
                    name: call.name.to_owned(),
                    args,
                    line,
                });
                Err(Interrupt::Suspend(Value::Null))
            }
        }
    }
}

/// About how many bytes a value takes as JSON.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(weight).sum::<usize>(),
        Value::Object(fields) => {
            2 + fields
                .iter()
                .map(|(key, v)| key.len() + 3 + weight(v))
                .sum::<usize>()
        }
    }
}

/// The functions of a rule.
pub(crate) fn api() -> HostApi<Host> {
    let mut api = HostApi::new()
        .function("state", 1..=1, |call| {
            call.text(0)?;
            Host::step(call, Kind::Read, |host, args| Ok(host.answered("state", args)))
        })
        .function("person", 1..=1, |call| {
            Host::step(call, Kind::Read, |host, args| Ok(host.answered("person", args)))
        })
        .function("now", 0..=1, now)
        .function("random", 0..=1, random)
        .method("sms", "send", 2..=3, |call| {
            let checked = action::check_sms(call.args);
            effect(call, checked)
        })
        .method("log", "write", 1..=1, |call| {
            let checked = action::check_log(call.args);
            effect(call, checked)
        });
    for name in WAITS {
        api = api.function(name, 0..=3, |call| {
            Err(Interrupt::Stop(format!(
                "`{}` is not available in this version of the hub",
                call.name
            )))
        });
    }
    api
}

fn effect(call: &mut Call<'_, Host>, checked: Result<(), String>) -> HostResult {
    if !call.host.acting {
        return Err(Interrupt::Stop(format!(
            "`{}` acts, and `when` may only read",
            call.name
        )));
    }
    checked.map_err(|reason| Interrupt::Fail(format!("{}: {reason}", call.name)))?;
    Host::step(call, Kind::Effect, |_, _| Ok(Some(Value::Null)))
}

fn now(call: &mut Call<'_, Host>) -> HostResult {
    let zone = match call.args.first() {
        None => chrono_tz::UTC,
        Some(_) => {
            let name = call.text(0)?;
            let unknown = || {
                Interrupt::Fail(format!(
                    "now: there is no time zone `{name}`; such as \"Europe/Vienna\""
                ))
            };
            name.parse().map_err(|_| unknown())?
        }
    };
    Host::step(call, Kind::Read, |host, _| {
        Ok(Some(moment::describe(host.now, zone)))
    })
}

fn random(call: &mut Call<'_, Host>) -> HostResult {
    let bound = match call.args.first() {
        None => None,
        Some(bound) => {
            let bound = bound.as_u64().filter(|bound| *bound > 0);
            Some(bound.ok_or_else(|| {
                Interrupt::Fail("random: the bound must be a whole number above 0".to_owned())
            })?)
        }
    };
    // A random UUID has 122 random bits, the last 62 of them together.
    let bits = uuid::Uuid::new_v4().as_u64_pair().1 & ((1 << 53) - 1);
    let value = match bound {
        Some(bound) => json!(bits % bound),
        None => json!(bits as f64 / (1_u64 << 53) as f64),
    };
    Host::step(call, Kind::Read, |_, _| Ok(Some(value)))
}
