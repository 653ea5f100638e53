//! Attempts, statuses, and what is decided about them.
//!
//! Invariant: pure. [`next_step`] never allows a request while the outcome of an earlier one is open.
//! Begin with [`next_step`], then [`judge`].

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use contracts::tel::SMS_CHARS_MAX;
use contracts::{AttemptId, ConnectionId};
use serde::Serialize;
use spine::ports::{Entity, Found};

/// Provider clocks run a little behind ours, and some tell whole seconds only.
pub(crate) const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(5);
/// How long a request to send may take. Shorter than a job may (`SendOutgoingMessage::RETRY.expire_in`), so that no
/// second run begins while the first one's request is under way.
pub(crate) const REQUEST_MAX: Duration = Duration::from_secs(30);
/// Characters of a message by any other channel.
const TEXT_CHARS: usize = 10_000;

/// Where an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AttemptState {
    /// The request may have been made; nothing is known yet.
    Started,
    /// The provider answered, or called back, that it has the message.
    Accepted,
    /// The provider certainly did not take it.
    Refused,
    /// The request was made, and its answer does not tell.
    Unknown,
    /// The provider's records did not hold it after the grace.
    Disproved,
    /// It was found in the provider's records.
    Adopted,
}

impl AttemptState {
    const ALL: [Self; 6] = [
        Self::Started,
        Self::Accepted,
        Self::Refused,
        Self::Unknown,
        Self::Disproved,
        Self::Adopted,
    ];

    /// The name in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Disproved => "disproved",
            Self::Adopted => "adopted",
        }
    }

    /// The state of this name; anything unknown is an outcome that is not known, which sends nothing.
    pub(crate) fn from_name(name: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == name)
            .unwrap_or(Self::Unknown)
    }
}

/// One attempt to hand a message to a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct Attempt {
    /// Its id; it travels in the address of the provider's callback.
    pub(crate) id: AttemptId,
    /// The connection that it goes by.
    pub(crate) connection: ConnectionId,
    /// The connection's plugin.
    pub(crate) plugin: String,
    /// When it was committed, before the request.
    pub(crate) created_at: DateTime<Utc>,
    /// Where it stands.
    pub(crate) state: AttemptState,
    /// The provider's id of the message.
    pub(crate) remote_id: Option<String>,
    /// Why it stands there.
    pub(crate) reason: Option<String>,
    /// When its outcome was known, or known to be unknown.
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

/// What comes next for a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// The provider has it.
    Done(&'a Attempt),
    /// The outcome of this attempt is open: the provider's records decide.
    Ask(&'a Attempt),
    /// No attempt has reached the provider: make one.
    Attempt,
}

/// Decides what comes next, from all attempts so far.
pub(crate) fn next_step(attempts: &[Attempt]) -> Step<'_> {
    use AttemptState::{Accepted, Adopted, Started, Unknown};
    let in_state =
        |states: [AttemptState; 2]| attempts.iter().find(|attempt| states.contains(&attempt.state));
    match (in_state([Accepted, Adopted]), in_state([Started, Unknown])) {
        (Some(attempt), _) => Step::Done(attempt),
        (None, Some(attempt)) => Step::Ask(attempt),
        (None, None) => Step::Attempt,
    }
}

/// What the provider's records say about an attempt with an open outcome.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// This one is it.
    Adopt(&'a Found),
    /// Absence proves nothing yet; ask again after this.
    Wait(Duration),
    /// It never arrived.
    Disproved,
}

/// Decides about an attempt: the oldest message that was created since and that no attempt has adopted is its own;
/// without one, absence counts once the grace has passed since the request can have been made last. `asked_at`: a
/// moment before the records were asked, since what they show later they need not have shown then.
pub(crate) fn judge<'a>(
    attempt: &Attempt,
    found: &'a [Found],
    taken: &BTreeSet<String>,
    asked_at: DateTime<Utc>,
    grace: Duration,
) -> Verdict<'a> {
    let since = asked_since(attempt);
    let own = found
        .iter()
        .filter(|each| each.created_at >= since && !taken.contains(&each.remote_id))
        .min_by_key(|each| (each.created_at, &each.remote_id));
    if let Some(found) = own {
        return Verdict::Adopt(found);
    }
    let passed = asked_at - last_request(attempt);
    let left = TimeDelta::from_std(grace).unwrap_or(TimeDelta::MAX) - passed;
    match left.to_std() {
        Ok(left) if !left.is_zero() => Verdict::Wait(left.min(grace + REQUEST_MAX)),
        _ => Verdict::Disproved,
    }
}

/// When the request can have been made last. Nobody wrote down the end of an attempt whose hub was killed: its request
/// may have left at the last moment that it was allowed.
fn last_request(attempt: &Attempt) -> DateTime<Utc> {
    match attempt.finished_at {
        Some(at) => at.max(attempt.created_at),
        None => attempt.created_at + REQUEST_MAX,
    }
}

/// From when on the provider's records matter to an attempt.
pub(crate) fn asked_since(attempt: &Attempt) -> DateTime<Utc> {
    attempt.created_at - CLOCK_SKEW
}

/// What the owner is told of a message of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageStatus {
    /// The provider has it.
    Sent,
    /// The recipient's device or mailbox has it.
    Delivered,
    /// It did not reach the recipient.
    Undelivered,
    /// It could not be sent.
    Failed,
}

impl MessageStatus {
    /// The name in the graph.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
        }
    }

    /// What a provider's word means; `None`: nothing to us. Whatever it still has in hand is sent, as seen from here.
    pub(crate) fn from_provider(word: &str) -> Option<Self> {
        match word {
            "accepted" | "scheduled" | "queued" | "sending" | "sent" => Some(Self::Sent),
            "delivered" | "read" => Some(Self::Delivered),
            "undelivered" => Some(Self::Undelivered),
            "failed" | "canceled" => Some(Self::Failed),
            _ => None,
        }
    }
}

/// True if a message may go from one status to another: never backwards, since callbacks overtake each other.
/// `proven`: a provider has it, so that `failed` was the provider's word and not our giving up.
pub(crate) fn may_become(from: &str, proven: bool, to: MessageStatus) -> bool {
    match from {
        "delivered" => false,
        "failed" if !proven => true,
        "failed" | "undelivered" => to == MessageStatus::Delivered,
        "sent" => to != MessageStatus::Sent,
        _ => true,
    }
}

/// A Message entity as the sending needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutgoingMessage {
    pub(crate) channel: String,
    pub(crate) to: String,
    pub(crate) text: String,
    pub(crate) connection: Option<ConnectionId>,
}

/// Reads an entity as a message to send; says what is wrong with it otherwise.
pub(crate) fn outgoing(entity: &Entity) -> Result<OutgoingMessage, String> {
    let text_of = |name: &str| entity.props.get(name).and_then(serde_json::Value::as_str);
    let required = |name: &str| {
        text_of(name)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| format!("the Message has no {name}"))
    };
    if entity.kind != "Message" {
        return Err(format!("the entity is a {}, not a Message", entity.kind));
    }
    if text_of("direction") != Some("out") {
        return Err("the Message is not an outgoing one".to_owned());
    }
    let connection = match text_of("connection") {
        None => None,
        Some(id) => Some(
            id.parse()
                .map_err(|_| "the Message's connection is not an id".to_owned())?,
        ),
    };
    let message = OutgoingMessage {
        channel: required("channel")?.to_owned(),
        to: required("to")?.to_owned(),
        text: required("text")?.to_owned(),
        connection,
    };
    text_check(&message.channel, &message.text)?;
    Ok(message)
}

/// Refuses texts that no provider of the channel takes.
pub(crate) fn text_check(channel: &str, text: &str) -> Result<(), String> {
    let most = if channel == "sms" {
        SMS_CHARS_MAX
    } else {
        TEXT_CHARS
    };
    let chars = text.chars().count();
    if text.trim().is_empty() {
        return Err("the text is empty".to_owned());
    }
    if text.contains('\0') {
        return Err("the text holds a NUL character".to_owned());
    }
    if chars > most {
        return Err(format!("the text has {chars} characters; {channel} takes {most}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
