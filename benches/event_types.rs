//! The types of event that there are: rules may listen to those only.

use ::rules::bench_api::RuleSet;
use contracts::EventPayload;
use contracts::events::{accounts, audit, communication, connector, data, device, rules, state};

macro_rules! types {
    ($($payload:ty),+ $(,)?) => { [$(<$payload as EventPayload>::TYPE),+] };
}

const DECLARED: [&str; 27] = types![
    accounts::AccountCreated,
    accounts::AccountErased,
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
    data::RelationRemoved,
    device::PositionReported,
    rules::RuleChanged,
    rules::RunFinished,
    state::FactChanged,
];

/// The declared types that a rule may listen to.
pub(crate) fn heard() -> Vec<&'static str> {
    let accepts = |on: &&str| RuleSet::compile([rule("probe", on, "", "false").as_str()]).is_ok();
    DECLARED.into_iter().filter(accepts).collect()
}

/// A rule on a type, with further terms of its header, that acts when the condition holds.
pub(crate) fn rule(id: &str, on: &str, terms: &str, when: &str) -> String {
    format!(
        "const RULE = #{{ id: \"{id}\", on: \"{on}\", {terms} grants: [\"log.write\"] }};\n\
         fn when(ev) {{ {when} }}\n\
         fn then(ev, inputs) {{ log.write(\"it held\"); }}\n"
    )
}
