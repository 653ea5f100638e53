//! Channels: outgoing messages, handed to providers at most as often as their own records can't disprove.
//!
//! Jobs in: `send-outgoing-message`. Events in: `communication.MessageStatusChanged`, `data.EntityErased`.
//! Events out: `communication.MessageSent`, `communication.MessageFailed`. Jobs out: `send-outgoing-message`.
//! Port: `SentMessages`.
//! Invariant: an attempt is committed before its request leaves the hub, and while its outcome is open no other one is
//! made: a callback, the provider's list or its silence after the grace decides.
//! Begin with [`model`] (what is decided), then [`send`].

mod dead_letters;
mod http;
mod model;
mod on_entity_erased;
mod on_message_status_changed;
mod send;
mod sent_messages;
mod settle;
mod store;

#[cfg(test)]
mod stories;

use std::sync::Arc;

use spine::queue::JobRegistry;
use spine::{Context, Service};

/// The communication service.
pub fn service(context: &Context) -> Service {
    context
        .ports
        .provide_sent_messages(Arc::new(sent_messages::Attempts));
    let mut jobs = JobRegistry::default();
    let sending = send::Sending::new(context);
    jobs.register(send::SendHandler(sending.clone()));
    let dead_letters = dead_letters::DeadLetters::new(context, sending);
    Service {
        name: "channels",
        consumers: vec![
            Arc::new(on_message_status_changed::StatusFold::new(context)),
            Arc::new(on_entity_erased::ForgetErased),
        ],
        jobs,
        tasks: vec![Box::new(move |stop| Box::pin(dead_letters.run(stop)))],
        api: http::routes(context),
        personal_tables: &["channels.attempt"],
        ..Service::default()
    }
}
