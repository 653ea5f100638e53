//! Event payloads, one file a domain. Bodies are removable: they may hold personal data; the envelope holds none.

pub mod accounts;
pub mod audit;
pub mod communication;
pub mod connector;
pub mod data;
pub mod device;
pub mod intentions;
pub mod media;
pub mod rules;
pub mod state;

/// The names of all events, in order of their domains: the files beside this one, read when the crate is built.
pub const NAMES: &[&str] = include!(concat!(env!("OUT_DIR"), "/event_names.rs"));

/// Says the name (and, if not 1, the version) of a payload.
macro_rules! event {
    ($payload:ty, $name:literal) => {
        impl crate::EventPayload for $payload {
            const TYPE: &'static str = $name;
        }
    };
}
pub(crate) use event;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::EventPayload;

    #[test]
    fn every_event_is_in_the_catalogue_once() {
        let sources = [
            include_str!("accounts.rs"),
            include_str!("audit.rs"),
            include_str!("communication.rs"),
            include_str!("connector.rs"),
            include_str!("data.rs"),
            include_str!("device.rs"),
            include_str!("intentions.rs"),
            include_str!("media.rs"),
            include_str!("rules.rs"),
            include_str!("state.rs"),
        ];
        let payloads = sources.iter().flat_map(|source| source.lines());
        let payloads = payloads
            .filter(|line| line.trim_start().starts_with("event!("))
            .count();
        assert!(NAMES.len() >= payloads, "{} of {payloads}", NAMES.len());
        assert_eq!(NAMES.iter().collect::<BTreeSet<_>>().len(), NAMES.len());
        assert!(NAMES.contains(&data::RelationRemoved::TYPE));
        for name in NAMES {
            let (domain, happened) = name.split_once('.').unwrap();
            assert!(domain.bytes().all(|byte| byte.is_ascii_lowercase()), "{name}");
            assert!(
                happened.starts_with(|first: char| first.is_ascii_uppercase()),
                "{name}"
            );
        }
    }
}
