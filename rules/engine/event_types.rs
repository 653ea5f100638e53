//! The events that a rule can listen to: those that the contracts name.

use contracts::EventPayload;
use contracts::events::{accounts, audit, communication, connector, data, device, intentions, rules, state};

macro_rules! names {
    ($($payload:ty),+ $(,)?) => { [$(<$payload as EventPayload>::TYPE),+] };
}

/// Their names, in order of their domains.
pub(crate) const NAMES: [&str; 33] = names![
    accounts::AccountCreated,
    accounts::AccountErased,
    accounts::ZoneChanged,
    accounts::TokenIssued,
    accounts::TokenRevoked,
    audit::AccessRecorded,
    audit::WebhooksRefused,
    audit::SignInsRefused,
    communication::CallStarted,
    communication::CallStatusChanged,
    communication::MessageReceived,
    communication::MessageSent,
    communication::MessageFailed,
    communication::MessageStatusChanged,
    connector::DataReceived,
    connector::RecordParked,
    connector::ConnectionHealthChanged,
    connector::ConnectionCreated,
    connector::ConnectionRemoved,
    data::EntityCreated,
    data::EntityUpdated,
    data::EntityDeleted,
    data::RelationAdded,
    device::PositionReported,
    intentions::TaskDue,
    intentions::TaskOverdue,
    intentions::ReminderDue,
    intentions::TaskCompleted,
    intentions::GoalProgressed,
    intentions::ScheduleFired,
    rules::RuleChanged,
    rules::RunFinished,
    state::FactChanged,
];

/// True if there is an event of this name.
pub(crate) fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// The event that was most likely meant; also finds one that was written without its domain.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    let without_domain = name.rsplit('.').next().unwrap_or(name);
    NAMES
        .into_iter()
        .find(|known| {
            known
                .rsplit('.')
                .next()
                .is_some_and(|last| last.eq_ignore_ascii_case(without_domain))
        })
        .or_else(|| super::nearest(name, NAMES))
}
