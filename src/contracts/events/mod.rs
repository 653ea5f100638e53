//! Event payloads, one file a domain. Bodies are removable: they may hold personal data; the envelope holds none.

pub mod accounts;
pub mod audit;
pub mod communication;
pub mod connector;
pub mod data;
pub mod device;
pub mod intentions;
pub mod rules;
pub mod state;

/// Says the name (and, if not 1, the version) of a payload.
macro_rules! event {
    ($payload:ty, $name:literal) => {
        impl crate::EventPayload for $payload {
            const TYPE: &'static str = $name;
        }
    };
}
pub(crate) use event;
