//! Asking for a page: a pack by its function, a built-in connector by its port.
//!
//! Invariant: what a pack returns is bounded, and a record of it without the expected shape is parked alone.
//! Begin with [`Manager::page`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sandbox::Budget;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use spine::ports::{Ask, Brought, Connected, Connector, Mode, Page, RawRecord, SyncError};

use crate::manager::{Manager, Ready, shape_problem};
use crate::manifest::{Code, StreamSpec};
use crate::record::Record;
use crate::script::{Failure, Outbound};
use crate::time;

/// Records of one page.
pub(crate) const RECORDS_MAX: usize = 2_000;
const BUDGET: Budget = Budget {
    operations: 20_000_000,
    time: Duration::from_secs(20),
};
/// What these records say and were made of, in bytes; one record alone may be larger.
const RECORDS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a connection may keep for itself.
const KEPT_KEYS_MAX: usize = 64;
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// A cursor in bytes of JSON.
const CURSOR_BYTES_MAX: usize = 64 * 1024;
/// Parts of all streams of a connection.
const PARTS_MAX: usize = 2_000;

/// One thing of a page.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    /// As a connector gives it.
    Brought(Brought),
    /// As a pack tells it.
    Told(Box<Record>),
    /// What a pack made and nobody understands.
    Misshapen(Value, String),
}

/// A page, whoever read it.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) pieces: Vec<Piece>,
    /// Of the pieces, with what they were made of.
    pub(crate) bytes: usize,
    pub(crate) cursor: Option<Value>,
    pub(crate) more: bool,
    pub(crate) estimate: Option<u64>,
    pub(crate) parts: BTreeMap<String, Vec<String>>,
    pub(crate) keep: Map<String, Value>,
    pub(crate) wait: Option<Duration>,
}

/// What a pack's function returns.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    #[serde(default)]
    records: Vec<Value>,
    #[serde(default)]
    cursor: Option<Value>,
    #[serde(default)]
    more: bool,
    #[serde(default)]
    estimate: Option<u64>,
    #[serde(default)]
    parts: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    keep: Map<String, Value>,
    #[serde(default)]
    wait_s: Option<u64>,
    /// The provider doesn't know the cursor any more.
    #[serde(default)]
    restart: bool,
    /// A setting is wrong: what to do.
    #[serde(default)]
    problem: Option<String>,
}

impl Manager {
    /// Reads a page.
    pub(crate) async fn page(
        &self,
        ready: &Ready,
        spec: &StreamSpec,
        kept: Map<String, Value>,
        ask: &Ask,
    ) -> Result<Read, SyncError> {
        let read = match (&ready.pack.manifest.code, &spec.function) {
            (Code::BuiltIn(name), _) => {
                let connected = self.connected(ready, kept);
                let connector = self.connector(name)?;
                of_page(connector.sync(&connected, ask).await?)
            }
            (Code::Script(_), Some(function)) => self.page_of_pack(ready, function, kept, ask).await?,
            (Code::Script(_), None) => {
                return Err(SyncError::Bug("the stream has no function".to_owned()));
            }
        };
        bounded(read, ask)
    }

    /// The built-in connector of this name.
    pub(crate) fn connector(&self, name: &str) -> Result<Arc<dyn Connector>, SyncError> {
        self.context().ports.connector(name).ok_or_else(|| {
            SyncError::Configuration(format!("this hub has no connector `{name}` built in: upgrade it"))
        })
    }

    /// The connection as its connector sees it.
    pub(crate) fn connected(&self, ready: &Ready, kept: Map<String, Value>) -> Connected {
        Connected {
            id: ready.connection.id,
            source: ready.connection.source(),
            settings: ready.settings.clone(),
            secrets: ready.connection.open(&self.context().vault),
            allowed_ranges: ready.connection.allowed_ranges.clone(),
            kept,
        }
    }

    async fn page_of_pack(
        &self,
        ready: &Ready,
        function: &str,
        kept: Map<String, Value>,
        ask: &Ask,
    ) -> Result<Read, SyncError> {
        let mut outbound = self.outbound(ready).map_err(of_failure)?;
        let mut context = self.script_context(ready);
        context["kept"] = Value::Object(kept);
        context["now"] = Value::from(time::to_script(ask.now));
        let stream = json!({ "name": ask.stream, "part": ask.part, "mode": ask.mode.as_str() });
        let cursor = ask.cursor.clone().unwrap_or(Value::Null);
        let told = self
            .call(
                &ready.pack,
                function,
                &[context, stream, cursor],
                BUDGET,
                Some(&mut outbound),
            )
            .await;
        let told = told.map(|told| {
            Told::deserialize(told).map_err(|error| {
                let problem = shape_problem(&error);
                SyncError::Bug(format!(
                    "the pack's `{function}` returned something else: {problem}"
                ))
            })
        });
        // The pack's own word for what the provider's refusal means comes first.
        match &told {
            Ok(Ok(Told {
                problem: Some(problem),
                ..
            })) => {
                return Err(SyncError::Configuration(problem.chars().take(300).collect()));
            }
            Ok(Ok(Told { restart: true, .. })) => {
                return Err(SyncError::CursorLost(
                    "the provider doesn't know the place any more".to_owned(),
                ));
            }
            _ => {}
        }
        if let Err(Failure::Forbidden(reason)) = &told {
            return Err(SyncError::Bug(reason.clone()));
        }
        if let Some(error) = refusal(&ready.connection.plugin, &outbound) {
            return Err(error);
        }
        Ok(of_told(told.map_err(of_failure)??))
    }
}

impl Manager {
    /// The records that the pack makes of what was kept of one of a stream, or why it makes none. A stream without such a
    /// function makes none.
    pub(crate) async fn of_kept(
        &self,
        ready: &Ready,
        spec: &StreamSpec,
        kept: &RawRecord,
    ) -> Result<Vec<Record>, String> {
        let Some(function) = &spec.again else {
            return Ok(Vec::new());
        };
        let body: Value =
            serde_json::from_slice(&kept.body).map_err(|_| "what was kept is no JSON".to_owned())?;
        // Of a record without the expected shape all was kept that the pack had said.
        let body = match body.get("raw") {
            Some(raw) if body.get("kind").is_some() => raw.clone(),
            _ => body,
        };
        let stream = json!({ "name": spec.name, "part": "", "mode": Mode::Incremental.as_str() });
        let args = [self.script_context(ready), stream, body];
        let told = self.call(&ready.pack, function, &args, BUDGET, None).await;
        let told = Told::deserialize(told.map_err(|failure| failure.to_string())?);
        let told = told.map_err(|error| shape_problem(&error))?;
        let shaped = told.records.iter().map(|record| {
            Record::deserialize(record).map_err(|error| {
                let problem = shape_problem(&error);
                format!("the pack made a record without the expected shape: {problem}")
            })
        });
        shaped.collect()
    }
}

fn of_page(page: Page) -> Read {
    Read {
        bytes: page.records.iter().map(bytes_brought).sum(),
        pieces: page.records.into_iter().map(Piece::Brought).collect(),
        cursor: page.cursor,
        more: page.more,
        estimate: page.estimate,
        parts: page.parts,
        keep: page.keep,
        wait: page.wait,
    }
}

fn of_told(told: Told) -> Read {
    let piece = |record: Value| match Record::deserialize(&record) {
        Ok(read) => Piece::Told(Box::new(read)),
        Err(error) => Piece::Misshapen(record, shape_problem(&error)),
    };
    Read {
        bytes: told.records.iter().map(bytes).sum(),
        pieces: told.records.into_iter().map(piece).collect(),
        cursor: told.cursor.filter(|cursor| !cursor.is_null()),
        more: told.more,
        estimate: told.estimate,
        parts: told.parts,
        keep: told.keep,
        wait: told.wait_s.map(Duration::from_secs),
    }
}

/// A page within its bounds that goes on.
fn bounded(read: Read, ask: &Ask) -> Result<Read, SyncError> {
    let bug = |what: String| Err(SyncError::Bug(what));
    if read.pieces.len() > RECORDS_MAX {
        return bug(format!(
            "a page of `{}` has more than {RECORDS_MAX} records",
            ask.stream
        ));
    }
    if read.bytes > RECORDS_BYTES_MAX && read.pieces.len() > 1 {
        return bug(format!(
            "a page of `{}` has {} MiB, more than 16: ask for fewer records at once",
            ask.stream,
            read.bytes.div_ceil(1024 * 1024)
        ));
    }
    if read
        .cursor
        .as_ref()
        .is_some_and(|cursor| bytes(cursor) > CURSOR_BYTES_MAX)
    {
        return bug(format!("the cursor of `{}` is larger than 64 KiB", ask.stream));
    }
    let kept: usize = read
        .keep
        .iter()
        .map(|(key, value)| key.len() + bytes(value))
        .sum();
    if read.keep.len() > KEPT_KEYS_MAX || kept > KEPT_BYTES_MAX {
        return bug("what is kept has at most 64 keys and 64 KiB".to_owned());
    }
    let parts: usize = read.parts.values().map(Vec::len).sum();
    if parts > PARTS_MAX
        || read
            .parts
            .values()
            .flatten()
            .any(|part| part.is_empty() || part.len() > 1024)
    {
        return bug(format!(
            "there are at most {PARTS_MAX} parts, each with a name of 1 to 1024 bytes"
        ));
    }
    if read.more && (read.cursor.is_none() || read.cursor == ask.cursor) {
        return bug(format!(
            "`{}` has more, but names no other place to go on",
            ask.stream
        ));
    }
    Ok(read)
}

/// Of a value as JSON.
fn bytes(value: &(impl serde::Serialize + ?Sized)) -> usize {
    let mut counted = Counted(0);
    serde_json::to_writer(&mut counted, value).map_or(usize::MAX, |()| counted.0)
}

fn bytes_brought(brought: &Brought) -> usize {
    match brought {
        Brought::Received(record) | Brought::Unfit(record, _) => record.body.len(),
        Brought::Thing(thing) => {
            let said: usize = thing.entities.iter().map(|one| bytes(&one.props)).sum();
            said + thing.record.body.len()
        }
        Brought::Gone(_) => 0,
    }
}

/// Counts what is written.
struct Counted(usize);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the provider's refusal of the last request means.
fn refusal(plugin: &str, outbound: &Outbound) -> Option<SyncError> {
    let status = outbound.last_status?;
    let number = status.as_u16();
    if status.is_success() || number == 304 {
        return None;
    }
    Some(match number {
        401 | 403 if outbound.last_retry_after.is_none() => {
            SyncError::Refused(format!("{plugin} refused the secret (HTTP {number})"))
        }
        401 | 403 | 408 | 425 | 429 | 500.. => SyncError::Transient {
            reason: format!("{plugin} answered HTTP {number}"),
            retry_after: outbound.last_retry_after,
        },
        410 => SyncError::CursorLost(format!("{plugin} doesn't know the place any more (HTTP 410)")),
        _ => SyncError::Bug(format!("{plugin} refused the question (HTTP {number})")),
    })
}

fn of_failure(failure: Failure) -> SyncError {
    match failure {
        Failure::Configuration(reason) => SyncError::Configuration(reason),
        Failure::Fetch(error) if error.class() != fetch::Class::Denied => {
            SyncError::transient(format!("the provider can't be reached: {}", error.failure()))
        }
        other => SyncError::Bug(crate::manager::health_of(&other).1),
    }
}
