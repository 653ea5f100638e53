//! What packs return: records of calls, messages and any other entity, in the hub's words.

use contracts::events::communication::Party;
use serde::Deserialize;
use serde_json::{Map, Value};
use spine::ports::Identifier;

use crate::settings;

/// One thing that a provider told.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Record {
    /// A call began.
    CallStarted(CallRecord),
    /// A call's status changed.
    CallStatus(CallRecord),
    /// A message came in.
    MessageReceived(MessageRecord),
    /// A message of ours got on, or failed.
    MessageStatus(StatusRecord),
    /// Anything else of the model.
    Entity(EntityRecord),
    /// Something that the provider no longer has.
    Gone(GoneRecord),
}

/// Which of the provider's things, and in which state of it; told twice, it is taken in once.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Origin {
    /// Such as `calls`.
    pub(crate) stream: String,
    /// The provider's id.
    pub(crate) remote_id: String,
    /// Such as `started` or the status.
    #[serde(default)]
    pub(crate) revision: String,
    /// When it happened, by the provider's word; now if it doesn't say.
    #[serde(default)]
    pub(crate) occurred_at: Value,
    /// Of which moment it is, by the provider's clock: after a word of a later one it is not taken in any more.
    #[serde(default)]
    pub(crate) as_of: Value,
    /// By which the entity is known, such as `twilio.call`.
    pub(crate) identifier: Identifier,
    /// What the provider sent of it, where the request's own body isn't just that.
    #[serde(default)]
    pub(crate) raw: Value,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct CallRecord {
    #[serde(flatten)]
    pub(crate) origin: Origin,
    /// `in` or `out`.
    pub(crate) direction: Direction,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) answered: bool,
    pub(crate) from: Identifier,
    pub(crate) to: Identifier,
    #[serde(default)]
    pub(crate) duration_s: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    In,
    Out,
}

impl Direction {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct MessageRecord {
    #[serde(flatten)]
    pub(crate) origin: Origin,
    /// Such as `sms`.
    pub(crate) channel: String,
    pub(crate) from: Identifier,
    pub(crate) to: Identifier,
    pub(crate) text: String,
    /// What else the provider told; kept under `x_`.
    #[serde(default)]
    pub(crate) extra: Map<String, Value>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct StatusRecord {
    #[serde(flatten)]
    pub(crate) origin: Origin,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) error_code: Option<String>,
    /// The attempt and the Message, where the callback's address told them.
    #[serde(default)]
    pub(crate) attempt: Option<uuid::Uuid>,
    #[serde(default)]
    pub(crate) message: Option<uuid::Uuid>,
    /// True if a message that the graph doesn't know is none of ours and no mistake.
    #[serde(default)]
    pub(crate) if_known: bool,
}

/// Any entity of the model, with what it is to others.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct EntityRecord {
    #[serde(flatten)]
    pub(crate) origin: Origin,
    #[serde(flatten)]
    pub(crate) entity: Described,
    #[serde(default)]
    pub(crate) relations: Vec<Related>,
}

/// An entity as a pack describes it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Described {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) title: Option<String>,
    #[serde(default)]
    pub(crate) props: Map<String, Value>,
    #[serde(default)]
    pub(crate) identifiers: Vec<Identifier>,
}

/// What the record's entity is to another one, which is made where nobody bears its identifiers.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Related {
    pub(crate) predicate: String,
    pub(crate) to: Described,
    /// True if it is the other one that is this to the record's entity.
    #[serde(default)]
    pub(crate) inverse: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct GoneRecord {
    #[serde(flatten)]
    pub(crate) origin: Origin,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

impl Record {
    pub(crate) fn origin(&self) -> &Origin {
        match self {
            Self::CallStarted(call) | Self::CallStatus(call) => &call.origin,
            Self::MessageReceived(message) => &message.origin,
            Self::MessageStatus(status) => &status.origin,
            Self::Entity(entity) => &entity.origin,
            Self::Gone(gone) => &gone.origin,
        }
    }
}

/// The scheme of an address that its owner hides.
const ANONYMOUS: &str = "anonymous";

/// Somebody who hides their address. Nobody is recognised by it.
pub(crate) fn anonymous(address: &Identifier) -> Option<Party> {
    (address.scheme == ANONYMOUS).then(|| Party {
        id: None,
        name: None,
        address: ANONYMOUS.to_owned(),
        relations: Vec::new(),
    })
}

/// What is wrong with an address that can't be what its scheme says.
pub(crate) fn address_problem(address: &Identifier) -> Option<String> {
    match address.scheme.as_str() {
        ANONYMOUS => None,
        "tel" => settings::tel(&address.value)
            .err()
            .map(|_| "the provider gave a phone number that can't be one".to_owned()),
        _ if address.value.trim().is_empty() => {
            Some(format!("the provider gave an empty address ({})", address.scheme))
        }
        _ => None,
    }
}

/// The last word about a call: what is said of it later is older.
pub(crate) fn is_final(call_status: &str) -> bool {
    matches!(
        call_status,
        "completed" | "busy" | "no-answer" | "failed" | "canceled"
    )
}
