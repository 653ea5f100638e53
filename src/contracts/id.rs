//! Ids are types, so that a person can't be passed where a connection is meant. All are UUIDs; those that
//! we make ourselves are version 7 (RFC 9562), so that they sort by time.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, sortable by the time at which it was made.
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    )+};
}

ids! {
    /// A person's (or household member's) account on this instance.
    AccountId,
    /// One attempt to hand a message to a provider.
    AttemptId,
    /// One configured use of a plugin: a mailbox, a number.
    ConnectionId,
    /// What ties together everything that one occurrence in the world set off.
    CorrelationId,
    /// A node of the knowledge graph.
    EntityId,
    /// An event of the log.
    EventId,
    /// A job of the queue.
    JobId,
    /// What a source sent, kept as it was received.
    RawRecordId,
    /// An edge of the knowledge graph.
    RelationId,
    /// One run of a rule.
    RunId,
    /// A named recurring moment of the owner's.
    ScheduleId,
    /// A device or API token (its id, never its secret).
    TokenId,
}

impl AccountId {
    /// The instance itself: what concerns no single account. The nil UUID.
    pub const INSTANCE: Self = Self(Uuid::nil());
}
