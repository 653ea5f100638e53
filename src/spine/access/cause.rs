//! Causes: what an event or job follows from, carried from one to the next.
//!
//! Invariant: the correlation id stays, the depth grows by one with each event that follows from another.

use contracts::{CorrelationId, EventId, Lane};

/// Chains of causes longer than this are refused, so that two rules (or two hubs) can't feed each other for ever.
pub const DEPTH_MAX: i16 = 16;

/// Because of what something happens, and how urgently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cause {
    /// Shared by everything that one occurrence set off.
    pub correlation: CorrelationId,
    /// The event that led here; `None` when it came from outside.
    pub causation: Option<EventId>,
    /// How long the chain of causes is.
    pub depth: i16,
    /// The lane of what is published.
    pub lane: Lane,
}

impl Cause {
    /// Something new from outside, live. Within a request it bears the request's correlation id (see
    /// [`crate::edge::with_correlation`]), so that log, events and the caller speak of the same thing.
    pub fn outside() -> Self {
        let correlation = crate::edge::request_correlation().unwrap_or_default();
        Self {
            correlation,
            causation: None,
            depth: 0,
            lane: Lane::Live,
        }
    }

    /// What follows from an event.
    pub fn event(event: &contracts::Event) -> Self {
        Self {
            correlation: event.correlation,
            causation: Some(event.id),
            depth: event.depth.saturating_add(1),
            lane: event.lane,
        }
    }
}
