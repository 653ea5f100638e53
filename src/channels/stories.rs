//! Stories of sending: whatever is killed or lost when, no message goes out twice that the provider's own records
//! could have told of.

mod http;
mod provider;
mod sending;
mod statuses;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use contracts::events::communication::{MessageFailed, MessageSent, MessageStatusChanged};
use contracts::{AttemptId, EntityId, Event, EventPayload, ManualClock};
use serde_json::{Value, json};
use spine::ports::{AssertedBy, Change, EntityChange, GraphWrite, Target};
use spine::testing::{MemoryGraph, TestHub, hub_at};
use spine::{Cause, Scope};

use crate::model::{Attempt, AttemptState};
use crate::send::{Sending, Sent, Stop};
use crate::settle::object;
use provider::Provider;

struct Story {
    hub: TestHub,
    clock: Arc<ManualClock>,
    graph: Arc<MemoryGraph>,
    provider: Arc<Provider>,
    sending: Sending,
    alice: Scope,
}

async fn story() -> Story {
    let clock = Arc::new(ManualClock::at("2026-11-21T10:00:00Z".parse().unwrap()));
    let graph = Arc::new(MemoryGraph::default());
    let provider = Arc::new(Provider::new(clock.clone()));
    let (wired, driver) = (graph.clone(), provider.clone());
    let hub = hub_at(clock.clone(), move |context| {
        context.ports.provide_graph_read(wired.clone());
        context.ports.provide_graph_write(wired);
        context.ports.provide_channel_driver(driver);
        vec![crate::service(context)]
    })
    .await;
    let (sending, alice) = (Sending::new(&hub.context), hub.somebody());
    Story {
        hub,
        clock,
        graph,
        provider,
        sending,
        alice,
    }
}

impl Story {
    /// A Message as a rule writes it.
    async fn message(&self, text: &str) -> EntityId {
        let id = EntityId::new();
        let props = json!({
            "direction": "out", "channel": "sms", "status": "queued", "to": "+14155550100", "text": text,
        });
        let change = EntityChange {
            target: Target::New(id),
            kind: "Message".to_owned(),
            title: None,
            props: object(props),
            identifiers: Vec::new(),
            starts_at: None,
        };
        let change = Change {
            by: AssertedBy::Rule,
            source: "rule/partner-at-work".to_owned(),
            raw: None,
            entities: vec![change],
            relations: Vec::new(),
        };
        self.graph
            .apply(&mut self.hub.begin(&self.alice).await, change)
            .await
            .unwrap();
        id
    }

    async fn run(&self, message: EntityId) -> Result<Sent, Stop> {
        self.sending
            .run(&self.alice, Cause::outside(), message, false)
            .await
    }

    async fn run_last(&self, message: EntityId) -> Result<Sent, Stop> {
        self.sending
            .run(&self.alice, Cause::outside(), message, true)
            .await
    }

    /// A run that is killed while the provider is silent.
    async fn run_killed(&self, message: EntityId) {
        self.run_killed_because(Cause::outside(), message).await;
    }

    async fn run_killed_because(&self, cause: Cause, message: EntityId) {
        let before = self.provider.requests().len();
        let (sending, alice) = (self.sending.clone(), self.alice.clone());
        let run = tokio::spawn(async move { sending.run(&alice, cause, message, false).await });
        self.hub
            .eventually("the request is made", async || {
                (self.provider.requests().len() > before).then_some(())
            })
            .await;
        run.abort();
        assert!(run.await.unwrap_err().is_cancelled());
    }

    /// To which chain of events a provider's word about the message belongs.
    async fn cause(
        &self,
        scope: &Scope,
        message: EntityId,
        attempt: Option<AttemptId>,
        remote_id: &str,
    ) -> Option<Cause> {
        let mut tx = self.hub.begin(scope).await;
        let sent = self.hub.context.ports.sent_messages();
        sent.cause(&mut tx, message, attempt, remote_id).await.unwrap()
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(TimeDelta::from_std(by).unwrap());
    }

    /// The provider calls back about an attempt.
    async fn callback(
        &self,
        scope: &Scope,
        message: EntityId,
        attempt: AttemptId,
        remote_id: &str,
        status: &str,
    ) {
        let told = MessageStatusChanged {
            message,
            attempt: Some(attempt),
            remote_id: remote_id.to_owned(),
            status: status.to_owned(),
            error_code: None,
        };
        let mut tx = self.hub.begin(scope).await;
        tx.publish_about(message, &told).unwrap();
        tx.commit().await.unwrap();
        self.hub.settle().await;
    }

    async fn attempts(&self, message: EntityId) -> Vec<Attempt> {
        crate::store::attempt_list(&mut self.hub.begin(&self.alice).await, message)
            .await
            .unwrap()
    }

    async fn states(&self, message: EntityId) -> Vec<AttemptState> {
        self.attempts(message)
            .await
            .into_iter()
            .map(|attempt| attempt.state)
            .collect()
    }

    fn prop(&self, message: EntityId, name: &str) -> Value {
        let messages = self.graph.all("Message");
        let message = messages.iter().find(|each| each.id == message).unwrap();
        message.props.get(name).cloned().unwrap_or_default()
    }

    async fn told<P: EventPayload>(&self) -> Vec<P> {
        self.hub.settle().await;
        let events = self.hub.events(&self.alice).await;
        events
            .iter()
            .filter_map(Event::payload::<P>)
            .map(Result::unwrap)
            .collect()
    }

    async fn sent(&self) -> Vec<MessageSent> {
        self.told().await
    }

    async fn failed(&self) -> Vec<MessageFailed> {
        self.told().await
    }
}
