//! Connectors that are written in Rust: what a source has, page by page. The plugin manager owns connections, secrets,
//! checkpoints, schedule, progress and health, and asks a connector as it asks a pack; see `docs/adr/0022`.
//!
//! Invariant: traits and plain data only. Begin with [`Connector`].

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use contracts::ConnectionId;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{EntityChange, Identifier, RawRecord};
use crate::access::{AccessError, Scope, ScopedTx};

/// A protocol that is built in. A manifest names it (`connector = "imap"`) in the place of a script, and declares
/// settings, secrets and streams as for any plugin.
#[async_trait]
pub trait Connector: Send + Sync {
    /// By which manifests name it.
    fn name(&self) -> &'static str;

    /// Asks the source whether it would take what the connection is configured with. Changes nothing there.
    /// Returns what it found, in a sentence.
    ///
    /// # Errors
    /// Why it wouldn't.
    async fn test(&self, connected: &Connected) -> Result<String, SyncError>;

    /// Reads one page. Asked for the same cursor twice it may give the same records twice: they are taken in once.
    /// A page should be small enough that it is read within a minute, and has 2,000 records at the most.
    ///
    /// # Errors
    /// Why there is no page. Nothing of it is taken in then, and the same page is asked for again.
    async fn sync(&self, connected: &Connected, ask: &Ask) -> Result<Page, SyncError>;
}

/// A connection as its connector sees it. Its debug text shows no setting and no secret.
#[derive(Clone)]
pub struct Connected {
    /// The connection.
    pub id: ConnectionId,
    /// As which source its records speak, such as `imap/0190…`.
    pub source: String,
    /// By the manifest's schema, with defaults.
    pub settings: Map<String, Value>,
    /// Opened, by name.
    pub secrets: BTreeMap<String, Zeroizing<Vec<u8>>>,
    /// Address ranges that are not public and that the owner allowed it, such as `192.168.1.0/24`.
    pub allowed_ranges: Vec<String>,
    /// What it keeps for itself from page to page.
    pub kept: Map<String, Value>,
}

impl std::fmt::Debug for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connected")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Connected {
    /// A setting that is text; empty if it isn't set.
    pub fn text(&self, setting: &str) -> &str {
        self.settings
            .get(setting)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// A secret that is text.
    ///
    /// # Errors
    /// [`SyncError::Configuration`] if it is missing.
    pub fn secret(&self, name: &str) -> Result<&str, SyncError> {
        self.secrets
            .get(name)
            .and_then(|secret| std::str::from_utf8(secret).ok())
            .ok_or_else(|| SyncError::Configuration(format!("the secret `{name}` is missing")))
    }
}

/// What a reading is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All that the source has, from the beginning.
    Full,
    /// What is new since the cursor that the last reading ended with.
    Incremental,
    /// All of it once more, to find what was missed or removed meanwhile.
    Reconcile,
}

impl Mode {
    /// The name in the database, in manifests and for scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
            Self::Reconcile => "reconcile",
        }
    }

    /// The mode of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Full, Self::Incremental, Self::Reconcile]
            .into_iter()
            .find(|mode| mode.as_str() == name)
    }
}

/// Which page is asked for.
#[derive(Debug, Clone)]
pub struct Ask {
    /// In whose name a connector reads and writes tables of its own. Records it gives to whoever asks.
    pub scope: Scope,
    /// The stream's name in the manifest, such as `mail`.
    pub stream: String,
    /// Which part of it, such as a folder; empty if it has none.
    pub part: String,
    /// What the reading is for.
    pub mode: Mode,
    /// What the page before gave; none at the beginning of a whole reading.
    pub cursor: Option<Value>,
    /// The hub's time.
    pub now: DateTime<Utc>,
    /// Is cancelled when the hub stops or the connection is paused for good; no page is needed then.
    pub stop: CancellationToken,
}

/// A page of a stream.
#[derive(Debug, Default)]
pub struct Page {
    /// What it brings, in order.
    pub records: Vec<Brought>,
    /// Where the next page begins, or the next incremental reading; written down in the commit of the records.
    pub cursor: Option<Value>,
    /// False: the reading is at its end.
    pub more: bool,
    /// How many records the reading has in all, about.
    pub estimate: Option<u64>,
    /// Which parts other streams have; those of a named stream that aren't listed are gone, with their checkpoints.
    pub parts: BTreeMap<String, Vec<String>>,
    /// What is kept from now on; null forgets.
    pub keep: Map<String, Value>,
    /// The source asks to be left alone for so long.
    pub wait: Option<Duration>,
}

/// One thing that a page brings.
#[derive(Debug, Clone)]
pub enum Brought {
    /// Bytes as received, which are understood by their media type as those of a file: `message/rfc822`, `text/vcard`,
    /// `text/calendar`.
    Received(RawRecord),
    /// Bytes with what they mean.
    Thing(Thing),
    /// The source no longer has it; what it said of it is taken back.
    Gone(Gone),
    /// What the connector itself can't understand: kept with the reason.
    Unfit(RawRecord, String),
}

/// A record with its meaning.
#[derive(Debug, Clone)]
pub struct Thing {
    /// What the source sent.
    pub record: RawRecord,
    /// What it is about, first; then what else it speaks of.
    pub entities: Vec<EntityChange>,
    /// What one of these is to another, by their places.
    pub relations: Vec<(usize, String, usize)>,
}

/// What a source no longer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// In the stream of the records that spoke of it.
    pub stream: String,
    /// Its type.
    pub kind: String,
    /// By which the source knew it.
    pub identifier: Identifier,
}

/// Why there is no page. Reasons are for the owner, and hold no address, no content and no secret.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The database is away.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The source refused the secret. Nothing is asked until the owner gave another one.
    #[error("{0}")]
    Refused(String),
    /// A setting is wrong, and stays so until the owner changes it.
    #[error("{0}")]
    Configuration(String),
    /// It may work later.
    #[error("{reason}")]
    Transient {
        /// Why not now.
        reason: String,
        /// When the source says that asking makes sense.
        retry_after: Option<Duration>,
    },
    /// The source doesn't know the cursor any more: the stream is read from its beginning.
    #[error("{0}")]
    CursorLost(String),
    /// Ours, or the source speaks another language than it should.
    #[error("{0}")]
    Bug(String),
}

impl SyncError {
    /// May work later.
    pub fn transient(reason: impl std::fmt::Display) -> Self {
        Self::Transient {
            reason: reason.to_string(),
            retry_after: None,
        }
    }
}

/// The connections of built-in connectors, for those that hear of news by themselves (IDLE, a broker): asked by their
/// own task, answered by the plugin manager.
#[async_trait]
pub trait Connections: Send + Sync {
    /// The connections that work and aren't paused, of all accounts, at most 1,000.
    ///
    /// # Errors
    /// [`AccessError`] when the database is away.
    async fn of_connector(&self, connector: &str) -> Result<Vec<(Scope, ConnectionId)>, AccessError>;

    /// A connection with its secrets; none if it is gone or paused.
    ///
    /// # Errors
    /// [`AccessError`] when the database is away.
    async fn connected(&self, tx: &mut ScopedTx, id: ConnectionId) -> Result<Option<Connected>, AccessError>;

    /// A stream has something new: it is read as soon as the transaction has committed.
    ///
    /// # Errors
    /// [`AccessError`] when the database is away.
    async fn is_due(
        &self,
        tx: &mut ScopedTx,
        id: ConnectionId,
        stream: &str,
        part: &str,
    ) -> Result<(), AccessError>;
}
