//! A hub with rules, and stand-ins for graph, state and channels that remember what they were asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use contracts::events::communication::{CallStarted, Party};
use contracts::jobs::SendOutgoingMessage;
use contracts::{
    Clock, ConnectionId, CorrelationId, EntityId, Event, EventId, Lane, NewEvent, Position, RawRecordId,
    SystemClock,
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use spine::access::{AccessError, Cause, Scope, ScopedTx};
use spine::edge::Caller;
use spine::ports::{
    Applied, AppliedEntity, Change, Entity, Fact, GraphError, GraphRead, GraphWrite, Identifier, RawRecord,
    StateRead, Target,
};
use spine::queue::{JobContext, JobError, JobHandler, JobRegistry};
use spine::testing::{TestHub, hub_at};
use spine::{Consumer, HandleError, Service};
use tower::ServiceExt;

/// What the stand-ins know and remember.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) facts: Mutex<HashMap<String, Value>>,
    pub(super) asked: Mutex<Vec<(String, Position)>>,
    pub(super) entities: Mutex<HashMap<EntityId, Entity>>,
    pub(super) identifiers: Mutex<HashMap<EntityId, Vec<Identifier>>>,
    pub(super) sources: Mutex<Vec<String>>,
    pub(super) sent: Mutex<Vec<EntityId>>,
}

#[derive(Debug, Clone)]
struct StandIn(Arc<Memory>);

#[async_trait]
impl StateRead for StandIn {
    async fn fact(&self, _: &mut ScopedTx, key: &str, as_of: Position) -> Result<Option<Fact>, AccessError> {
        self.0.asked.lock().unwrap().push((key.to_owned(), as_of));
        let value = self.0.facts.lock().unwrap().get(key).cloned();
        Ok(value.map(|value| Fact {
            key: key.to_owned(),
            value,
            since: SystemClock.now(),
            source: "test".to_owned(),
            confidence: 1.0,
            position: 0,
        }))
    }
}

#[async_trait]
impl GraphWrite for StandIn {
    async fn apply(&self, tx: &mut ScopedTx, change: Change) -> Result<Applied, GraphError> {
        self.0.sources.lock().unwrap().push(change.source.clone());
        let mut applied = Applied::default();
        for entity in change.entities {
            let Target::New(id) = entity.target else {
                panic!("rules make new entities")
            };
            let kept = Entity {
                id,
                kind: entity.kind,
                title: entity.title,
                props: entity.props,
                version: 1,
                starts_at: entity.starts_at,
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            self.0.entities.lock().unwrap().insert(id, kept);
            applied.entities.push(AppliedEntity {
                id,
                version: 1,
                created: true,
            });
        }
        Ok(applied)
    }

    async fn park(
        &self,
        _: &mut ScopedTx,
        _: &str,
        _: RawRecord,
        _: &str,
    ) -> Result<RawRecordId, GraphError> {
        Err(GraphError::Invalid("rules park no records".to_owned()))
    }
}

#[async_trait]
impl GraphRead for StandIn {
    async fn entity(&self, _: &mut ScopedTx, id: EntityId) -> Result<Option<Entity>, GraphError> {
        Ok(self.0.entities.lock().unwrap().get(&id).cloned())
    }

    async fn entity_by_identifier(
        &self,
        _: &mut ScopedTx,
        _: &str,
        _: &Identifier,
    ) -> Result<Option<Entity>, GraphError> {
        Ok(None)
    }

    async fn entities(&self, _: &mut ScopedTx, _: &str) -> Result<Vec<Entity>, GraphError> {
        Ok(Vec::new())
    }

    async fn identifiers(&self, _: &mut ScopedTx, id: EntityId) -> Result<Vec<Identifier>, GraphError> {
        Ok(self
            .0
            .identifiers
            .lock()
            .unwrap()
            .get(&id)
            .cloned()
            .unwrap_or_default())
    }

    async fn party(&self, _: &mut ScopedTx, identifier: &Identifier) -> Result<Party, GraphError> {
        Ok(Party {
            id: None,
            name: None,
            address: identifier.value.clone(),
            relations: Vec::new(),
        })
    }

    async fn me(&self, _: &mut ScopedTx) -> Result<EntityId, GraphError> {
        Ok(EntityId::new())
    }
}

/// Rules read behind the consumer `state`.
#[async_trait]
impl Consumer for StandIn {
    fn name(&self) -> &'static str {
        "state"
    }

    fn types(&self) -> Vec<String> {
        vec!["device.PositionReported".to_owned()]
    }

    async fn handle(&self, _: &mut ScopedTx, _: &Event) -> Result<(), HandleError> {
        Ok(())
    }
}

#[async_trait]
impl JobHandler for StandIn {
    type Payload = SendOutgoingMessage;

    async fn run(&self, _: &JobContext, order: SendOutgoingMessage) -> Result<Value, JobError> {
        self.0.sent.lock().unwrap().push(order.message);
        Ok(Value::Null)
    }
}

/// A running hub with rules.
#[derive(Debug)]
pub(super) struct World {
    pub(super) hub: TestHub,
    pub(super) memory: Arc<Memory>,
    api: Router,
}

impl World {
    /// Lets the rules read everything again. False: they are not there.
    pub(crate) async fn replay(&self) -> bool {
        let operator = self.hub.gate.operator(contracts::AccountId::INSTANCE);
        self.hub
            .admin
            .replay(&operator, "rules", Lane::Live, 0)
            .await
            .unwrap()
    }

    pub(super) async fn new() -> Self {
        Self::at(Arc::new(SystemClock)).await
    }

    pub(super) async fn at(clock: Arc<dyn Clock>) -> Self {
        let memory = Arc::new(Memory::default());
        let stand_in = StandIn(memory.clone());
        let mut api = Router::new();
        let hub = hub_at(clock, |context| {
            context.ports.provide_graph_write(Arc::new(stand_in.clone()));
            context.ports.provide_graph_read(Arc::new(stand_in.clone()));
            context.ports.provide_state_read(Arc::new(stand_in.clone()));
            let mut rules = crate::service(context);
            api = std::mem::take(&mut rules.api).split_for_parts().0;
            let mut jobs = JobRegistry::default();
            jobs.register(stand_in.clone());
            let others = Service {
                name: "others",
                consumers: vec![Arc::new(stand_in)],
                jobs,
                ..Service::default()
            };
            vec![rules, others]
        })
        .await;
        Self { hub, memory, api }
    }

    /// The routes of a second process on the same database.
    pub(super) fn other_process(&self) -> Router {
        crate::service(&self.hub.context).api.split_for_parts().0
    }

    pub(super) fn now_at(&self, place: &str) {
        self.memory
            .facts
            .lock()
            .unwrap()
            .insert("me.place".to_owned(), json!(place));
    }

    pub(super) async fn call(
        &self,
        who: &Scope,
        method: &str,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        request(self.api.clone(), who, method, path, body).await
    }

    /// As [`World::call`], for what must succeed.
    pub(super) async fn ok(&self, who: &Scope, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(who, method, path, body).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer
    }

    /// Saves and enables a rule.
    pub(super) async fn rule(&self, who: &Scope, source: &str) {
        let saved = self.ok(who, "POST", "/rules", json!({ "source": source })).await;
        let path = format!("/rules/{}/enable", saved["id"].as_str().unwrap());
        self.ok(who, "POST", &path, json!({})).await;
    }

    /// Publishes an event and waits until all have read it.
    pub(super) async fn publish(&self, who: &Scope, lane: Lane, event: NewEvent) -> EventId {
        let mut tx = self.hub.begin(who).await;
        tx.set_lane(lane);
        let id = tx.publish(event).unwrap();
        tx.commit().await.unwrap();
        self.hub.settle().await;
        id
    }

    /// Something that the same occurrence set off.
    pub(super) async fn publish_along(&self, who: &Scope, correlation: CorrelationId, event: NewEvent) {
        let mut tx = self.hub.begin(who).await;
        let cause = Cause {
            correlation,
            ..tx.cause()
        };
        tx.follow(cause);
        tx.publish(event).unwrap();
        tx.commit().await.unwrap();
        self.hub.settle().await;
    }

    /// Sam calls.
    pub(super) async fn sam_calls(&self, who: &Scope) -> EventId {
        self.publish(who, Lane::Live, call(&sam())).await
    }

    pub(super) async fn runs(&self, who: &Scope) -> Vec<Value> {
        self.ok(who, "GET", "/runs", Value::Null).await["items"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// The trace of somebody's newest run.
    pub(super) async fn trace(&self, who: &Scope) -> Value {
        let runs = self.runs(who).await;
        self.ok(
            who,
            "GET",
            &format!("/runs/{}", runs[0]["id"].as_str().unwrap()),
            Value::Null,
        )
        .await
    }

    /// Waits until so many messages were handed to channels, and shows that no more come.
    pub(super) async fn sent(&self, count: usize) -> Vec<Value> {
        let sent = || self.memory.sent.lock().unwrap().clone();
        self.hub
            .eventually("the messages are sent", async || {
                (sent().len() >= count).then_some(())
            })
            .await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let entities = self.memory.entities.lock().unwrap();
        let sent: Vec<Value> = sent().iter().map(|id| json!(entities[id].props)).collect();
        assert_eq!(sent.len(), count, "{sent:?}");
        sent
    }
}

pub(super) async fn request(
    api: Router,
    who: &Scope,
    method: &str,
    path: &str,
    body: Value,
) -> (StatusCode, Value) {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .body(Body::from(body.to_string()))
        .unwrap();
    request.extensions_mut().insert(Caller(who.clone()));
    let response = api.oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (
        status,
        if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap()
        },
    )
}

pub(super) fn sam() -> Party {
    static ID: std::sync::OnceLock<EntityId> = std::sync::OnceLock::new();
    Party {
        id: Some(*ID.get_or_init(EntityId::new)),
        name: Some("Sam".to_owned()),
        address: "+15550100".to_owned(),
        relations: vec!["partner".to_owned()],
    }
}

pub(super) fn call(from: &Party) -> NewEvent {
    let me = Party {
        id: None,
        name: None,
        address: "+15550199".to_owned(),
        relations: Vec::new(),
    };
    NewEvent::of(&CallStarted {
        call: EntityId::new(),
        connection: ConnectionId::new(),
        direction: "in".to_owned(),
        from: from.clone(),
        to: me,
        answered: false,
    })
    .unwrap()
}
