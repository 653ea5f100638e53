//! Ports: synchronous questions between services, and the graph write. Wired in the hub, so that nobody imports a
//! sibling. Sending anything is a job, never a port: [`ChannelDriver`] is asked by the sending job alone.
//!
//! Invariant: traits and plain data only.
//! Begin with [`GraphWrite`].

mod accounts;
mod channels;
mod connector;
mod export;
mod graph;
mod media;
mod merge;
mod records;
mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

pub use accounts::AccountDirectory;
pub use channels::{ChannelDriver, ChannelError, Found, Outgoing, Route, SendOutcome, SentMessages};
pub use connector::{Ask, Brought, Connected, Connections, Connector, Gone, Mode, Page, SyncError, Thing};
pub use export::{ExportedEntity, ExportedIdentifier, ExportedRelation, GraphExport};
pub use graph::{
    Applied, AppliedEntity, AssertedBy, CalendarEvent, Change, Entity, EntityChange, GraphError, GraphRead,
    GraphWrite, Identifier, Relation, RelationChange, Target, Until,
};
pub use media::{BringMedia, KeepMedia, KeptMedia, MediaContent, MediaError, MediaStore};
pub use merge::GraphMerge;
pub use records::{
    FILES, GroupNaming, IntakeBatch, KeptRecord, ParkedRecord, RawRecord, RawRecords, Received, RecordIntake,
    UnderstandRecords, Understood, Withdrawal, speaks_as,
};
pub use state::{Fact, StateRead};

/// The wired ports. Services provide theirs while they are built and ask others' once everything runs.
#[derive(Clone, Default)]
pub struct Ports {
    inner: Arc<Slots>,
}

#[derive(Default)]
struct Slots {
    graph_write: OnceLock<Arc<dyn GraphWrite>>,
    graph_read: OnceLock<Arc<dyn GraphRead>>,
    graph_export: OnceLock<Arc<dyn GraphExport>>,
    graph_merge: OnceLock<Arc<dyn GraphMerge>>,
    raw_records: OnceLock<Arc<dyn RawRecords>>,
    record_intake: OnceLock<Arc<dyn RecordIntake>>,
    media_store: OnceLock<Arc<dyn MediaStore>>,
    state_read: OnceLock<Arc<dyn StateRead>>,
    channel_driver: OnceLock<Arc<dyn ChannelDriver>>,
    sent_messages: OnceLock<Arc<dyn SentMessages>>,
    account_directory: OnceLock<Arc<dyn AccountDirectory>>,
    understand_records: OnceLock<Arc<dyn UnderstandRecords>>,
    connections: OnceLock<Arc<dyn Connections>>,
    connectors: RwLock<BTreeMap<&'static str, Arc<dyn Connector>>>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").field("missing", &self.missing()).finish()
    }
}

macro_rules! ports {
    ($($name:ident, $provide:ident: $port:ident;)+) => {
        impl Ports {
            $(
                #[doc = concat!("The wired [`", stringify!($port), "`].")]
                ///
                /// The hub refuses to start while [`Ports::missing`] names one, so a running service always finds it.
                pub fn $name(&self) -> &dyn $port {
                    match self.inner.$name.get() {
                        Some(port) => port.as_ref(),
                        None => unreachable!(concat!("the hub starts with ", stringify!($name), " wired")),
                    }
                }

                #[doc = concat!("Wires the [`", stringify!($port), "`]. The first one stays.")]
                pub fn $provide(&self, port: Arc<dyn $port>) {
                    let _ = self.inner.$name.set(port);
                }
            )+

            /// Ports that nobody provided.
            pub fn missing(&self) -> Vec<&'static str> {
                let mut missing = Vec::new();
                $(if self.inner.$name.get().is_none() { missing.push(stringify!($name)); })+
                missing
            }
        }
    };
}

ports! {
    graph_write, provide_graph_write: GraphWrite;
    graph_read, provide_graph_read: GraphRead;
    graph_export, provide_graph_export: GraphExport;
    graph_merge, provide_graph_merge: GraphMerge;
    raw_records, provide_raw_records: RawRecords;
    record_intake, provide_record_intake: RecordIntake;
    media_store, provide_media_store: MediaStore;
    state_read, provide_state_read: StateRead;
    channel_driver, provide_channel_driver: ChannelDriver;
    sent_messages, provide_sent_messages: SentMessages;
    account_directory, provide_account_directory: AccountDirectory;
    understand_records, provide_understand_records: UnderstandRecords;
    connections, provide_connections: Connections;
}

impl Ports {
    /// Adds a built-in connector. The first of a name stays.
    pub fn provide_connector(&self, connector: Arc<dyn Connector>) {
        let mut connectors = self
            .inner
            .connectors
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        connectors.entry(connector.name()).or_insert(connector);
    }

    /// The built-in connector of this name.
    pub fn connector(&self, name: &str) -> Option<Arc<dyn Connector>> {
        let connectors = self
            .inner
            .connectors
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        connectors.get(name).cloned()
    }
}
