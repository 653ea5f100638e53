//! The events that a rule can listen to: those that the contracts name.

pub(crate) use contracts::events::NAMES;

/// True if there is an event of this name.
pub(crate) fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// The event that was most likely meant; also finds one that was written without its domain.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    let without_domain = name.rsplit('.').next().unwrap_or(name);
    let named = |known: &&str| {
        known
            .rsplit('.')
            .next()
            .is_some_and(|last| last.eq_ignore_ascii_case(without_domain))
    };
    let names = NAMES.iter().copied();
    names
        .clone()
        .find(named)
        .or_else(|| contracts::nearest(name, names))
}
