//! A hub with intentions, a graph in memory that tells what is written into it, and Alice in Vienna.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use chrono::{DateTime, Duration, Utc};
use contracts::events::accounts::ZoneChanged;
use contracts::events::communication::Party;
use contracts::events::data::{EntityCreated, EntityDeleted, EntityUpdated, RelationAdded, RelationRemoved};
use contracts::{AccountId, EntityId, Event, Lane, ManualClock, NewEvent, RawRecordId, RelationId};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use spine::Scope;
use spine::access::{AccessError, ScopedTx};
use spine::edge::Caller;
use spine::ports::{
    AccountDirectory, Applied, AssertedBy, Change, Entity, EntityChange, GraphError, GraphRead, GraphWrite,
    Identifier, RawRecord, RelationChange, Target,
};
use spine::testing::{MemoryGraph, TestHub, hub_at};
use tower::ServiceExt;

use crate::model::when::When;
use crate::planner::Planner;
use crate::timekeeper::{Alarm, Timekeeper};

/// A graph that publishes what a graph publishes, and from which entities can be deleted.
#[derive(Debug, Clone, Default)]
pub(super) struct Graph {
    memory: Arc<MemoryGraph>,
    deleted: Arc<Mutex<HashSet<EntityId>>>,
}

#[async_trait]
impl GraphWrite for Graph {
    async fn apply(&self, tx: &mut ScopedTx, change: Change) -> Result<Applied, GraphError> {
        let (entities, relations) = (change.entities.clone(), change.relations.clone());
        let mut applied = self.memory.apply(tx, change).await?;
        for (done, said) in applied.entities.iter().zip(entities) {
            let event = if done.created {
                NewEvent::of(&EntityCreated {
                    entity: done.id,
                    kind: said.kind,
                    version: done.version,
                })
            } else {
                NewEvent::of(&EntityUpdated {
                    entity: done.id,
                    kind: said.kind,
                    version: done.version,
                    changed: said.props.keys().cloned().collect(),
                })
            };
            tx.publish(event.unwrap().about_version(done.id, done.version))?;
        }
        for said in relations {
            let relation = RelationId::new();
            applied.relations.push(relation);
            tx.publish_about(
                relation,
                &RelationAdded {
                    relation,
                    from: said.from,
                    predicate: said.predicate,
                    to: said.to,
                },
            )?;
        }
        Ok(applied)
    }

    async fn unrelate(
        &self,
        tx: &mut ScopedTx,
        _: AssertedBy,
        _: &str,
        edge: &RelationChange,
    ) -> Result<bool, GraphError> {
        let relation = RelationId::new();
        let removed = RelationRemoved {
            relation,
            from: edge.from,
            predicate: edge.predicate.clone(),
            to: edge.to,
        };
        tx.publish_about(relation, &removed)?;
        Ok(true)
    }

    async fn park(
        &self,
        tx: &mut ScopedTx,
        source: &str,
        raw: RawRecord,
        reason: &str,
    ) -> Result<RawRecordId, GraphError> {
        self.memory.park(tx, source, raw, reason).await
    }
}

#[async_trait]
impl GraphRead for Graph {
    async fn entity(&self, tx: &mut ScopedTx, id: EntityId) -> Result<Option<Entity>, GraphError> {
        if self.deleted.lock().unwrap().contains(&id) {
            return Ok(None);
        }
        self.memory.entity(tx, id).await
    }

    async fn entity_by_identifier(
        &self,
        tx: &mut ScopedTx,
        kind: &str,
        identifier: &Identifier,
    ) -> Result<Option<Entity>, GraphError> {
        self.memory.entity_by_identifier(tx, kind, identifier).await
    }

    async fn entities(&self, tx: &mut ScopedTx, kind: &str) -> Result<Vec<Entity>, GraphError> {
        self.memory.entities(tx, kind).await
    }

    async fn identifiers(&self, tx: &mut ScopedTx, id: EntityId) -> Result<Vec<Identifier>, GraphError> {
        self.memory.identifiers(tx, id).await
    }

    async fn party(&self, tx: &mut ScopedTx, identifier: &Identifier) -> Result<Party, GraphError> {
        self.memory.party(tx, identifier).await
    }

    async fn me(&self, tx: &mut ScopedTx) -> Result<EntityId, GraphError> {
        self.memory.me(tx).await
    }
}

/// Where everybody lives: in Vienna, until they move.
#[derive(Debug, Clone)]
struct Zone(Arc<Mutex<chrono_tz::Tz>>);

#[async_trait]
impl AccountDirectory for Zone {
    async fn account_by_name(&self, _: &str) -> Result<Option<AccountId>, AccessError> {
        Ok(None)
    }

    async fn account_by_default(&self) -> Result<Option<AccountId>, AccessError> {
        Ok(None)
    }

    async fn zone(&self, _: &mut ScopedTx) -> Result<chrono_tz::Tz, AccessError> {
        Ok(*self.0.lock().unwrap())
    }
}

pub(super) struct World {
    pub(super) hub: TestHub,
    pub(super) clock: Arc<ManualClock>,
    pub(super) alarm: Arc<Alarm>,
    pub(super) alice: Scope,
    graph: Graph,
    lives_in: Zone,
    api: Router,
}

pub(super) fn utc(text: &str) -> DateTime<Utc> {
    When::parse(text).unwrap().instant(chrono_tz::UTC)
}

impl World {
    /// A hub whose clock shows this (in UTC).
    pub(super) async fn at(now: &str) -> Self {
        Self::with(now, true).await
    }

    /// A hub whose timekeeper doesn't run.
    pub(super) async fn without_timekeeper(now: &str) -> Self {
        Self::with(now, false).await
    }

    async fn with(now: &str, timekeeper: bool) -> Self {
        let clock = Arc::new(ManualClock::at(utc(now)));
        let graph = Graph::default();
        let lives_in = Zone(Arc::new(Mutex::new(chrono_tz::Europe::Vienna)));
        let wired = graph.clone();
        let mut parts = None;
        let hub = hub_at(clock.clone(), |context| {
            context.ports.provide_graph_read(Arc::new(wired.clone()));
            context.ports.provide_graph_write(Arc::new(wired));
            context
                .ports
                .provide_account_directory(Arc::new(lives_in.clone()));
            let (mut service, alarm) = crate::build(context);
            let api = std::mem::take(&mut service.api).split_for_parts().0;
            if !timekeeper {
                service.tasks.clear();
            }
            parts = Some((alarm, api));
            vec![service]
        })
        .await;
        let (alarm, api) = parts.unwrap();
        let alice = hub.somebody();
        Self {
            hub,
            clock,
            alarm,
            alice,
            graph,
            lives_in,
            api,
        }
    }

    /// Time passes; the timekeeper's alarm rings as it would.
    pub(super) async fn until(&self, now: &str) {
        use contracts::Clock;
        self.clock.advance(utc(now) - self.clock.now());
        self.wait_until_told().await;
    }

    /// Time passes while the hub is off: nobody rings.
    pub(super) fn sleep(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Lets the timekeeper look, and waits until everything is told and read.
    pub(super) async fn wait_until_told(&self) {
        // Nobody moves a machine's clock; whoever moves this one rings.
        self.alarm.ring_at(DateTime::UNIX_EPOCH);
        self.hub
            .eventually("everything that has come is told", async || {
                let due = self.hub.context.access.scopes_of_due_intentions().await.unwrap();
                due.is_empty().then_some(())
            })
            .await;
        self.hub.settle().await;
    }

    /// The timekeeper of another process on the same database.
    pub(super) fn timekeeper(&self) -> Timekeeper {
        let planner = Planner {
            ports: self.hub.context.ports.clone(),
            alarm: Arc::default(),
        };
        Timekeeper {
            context: self.hub.context.clone(),
            planner: Arc::new(planner),
        }
    }

    pub(super) async fn call_as(
        &self,
        who: &Scope,
        method: &str,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        self.request(who, method, path, body, None).await
    }

    pub(super) async fn request(
        &self,
        who: &Scope,
        method: &str,
        path: &str,
        body: Value,
        key: Option<&str>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let mut request = request.body(Body::from(body.to_string())).unwrap();
        request.extensions_mut().insert(Caller(who.clone()));
        let response = self.api.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let answer = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap_or(Value::String(text))
        };
        (status, answer)
    }

    /// What Alice asks and must get.
    pub(super) async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call_as(&self.alice, method, path, body).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer
    }

    /// What Alice is refused: status and detail.
    pub(super) async fn refused(&self, method: &str, path: &str, body: Value) -> (u16, String) {
        let (status, answer) = self.call_as(&self.alice, method, path, body).await;
        assert!(!status.is_success(), "{method} {path}: {status} {answer}");
        (
            status.as_u16(),
            answer["detail"].as_str().unwrap_or_default().to_owned(),
        )
    }

    /// A new task of Alice's.
    pub(super) async fn task(&self, body: Value) -> String {
        self.ok("POST", "/tasks", body).await["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Events of these types (without their domain) that happened to Alice: name, planned moment and body.
    pub(super) async fn told(&self, names: &[&str]) -> Vec<(String, DateTime<Utc>, Value)> {
        self.hub.settle().await;
        let told = |event: Event| {
            let name = event.kind.strip_prefix("intention.")?.to_owned();
            let wanted = names.is_empty() || names.contains(&name.as_str());
            wanted.then(|| (name, event.occurred_at, event.body.unwrap_or_default()))
        };
        self.hub
            .events(&self.alice)
            .await
            .into_iter()
            .filter_map(told)
            .collect()
    }

    /// Names and planned moments of everything that was told.
    pub(super) async fn moments(&self) -> Vec<(String, DateTime<Utc>)> {
        self.told(&[])
            .await
            .into_iter()
            .map(|(name, at, _)| (name, at))
            .collect()
    }

    /// Writes a Task as a source does, in a lane. Returns its id.
    pub(super) async fn source_writes(
        &self,
        by: AssertedBy,
        lane: Lane,
        target: Target,
        props: Value,
    ) -> EntityId {
        let mut tx = self.hub.begin(&self.alice).await;
        tx.set_lane(lane);
        let change = EntityChange {
            target,
            kind: "Task".to_owned(),
            title: Some("From the calendar".to_owned()),
            props: props.as_object().unwrap().clone(),
            identifiers: Vec::new(),
            starts_at: None,
        };
        let change = Change {
            by,
            source: "dav/1".to_owned(),
            raw: None,
            entities: vec![change],
            relations: Vec::new(),
        };
        let applied = self.graph.apply(&mut tx, change).await.unwrap();
        tx.commit().await.unwrap();
        self.hub.settle().await;
        applied.entities[0].id
    }

    /// Deletes an entity from the graph.
    pub(super) async fn delete(&self, id: &str, version: i64) {
        let id: EntityId = id.parse().unwrap();
        self.graph.deleted.lock().unwrap().insert(id);
        let deleted = EntityDeleted {
            entity: id,
            kind: "Task".to_owned(),
            version,
        };
        self.publish(NewEvent::of(&deleted).unwrap().about_version(id, version))
            .await;
    }

    /// Alice moves to another zone.
    pub(super) async fn move_to(&self, zone: chrono_tz::Tz) {
        *self.lives_in.0.lock().unwrap() = zone;
        let moved = ZoneChanged {
            account: self.alice.account(),
        };
        self.publish(NewEvent::of(&moved).unwrap()).await;
    }

    /// A source says that an entity is something to another.
    pub(super) async fn relate(&self, from: &str, predicate: &str, to: &str) {
        let added = RelationAdded {
            relation: RelationId::new(),
            from: from.parse().unwrap(),
            predicate: predicate.to_owned(),
            to: to.parse().unwrap(),
        };
        self.publish(NewEvent::of(&added).unwrap()).await;
    }

    /// The owner takes a relation away in the graph.
    pub(super) async fn unrelate(&self, from: &str, predicate: &str, to: &str) {
        let relation = RelationId::new();
        let removed = RelationRemoved {
            relation,
            from: from.parse().unwrap(),
            predicate: predicate.to_owned(),
            to: to.parse().unwrap(),
        };
        self.publish(NewEvent::of(&removed).unwrap()).await;
    }

    pub(super) async fn publish(&self, event: NewEvent) {
        let mut tx = self.hub.begin(&self.alice).await;
        tx.publish(event).unwrap();
        tx.commit().await.unwrap();
        self.hub.settle().await;
    }

    /// Lets the consumer read everything again.
    pub(super) async fn replay(&self) {
        let operator = self.hub.gate.operator(AccountId::INSTANCE);
        for lane in Lane::ALL {
            assert!(
                self.hub
                    .admin
                    .replay(&operator, "intentions", lane, 0)
                    .await
                    .unwrap()
            );
        }
        self.hub
            .eventually("the replay is over", async || {
                let status = self.hub.admin.status().await.unwrap();
                status
                    .consumers
                    .iter()
                    .all(|one| one.behind == 0 && one.parked == 0)
                    .then_some(())
            })
            .await;
        self.hub.settle().await;
    }

    pub(super) async fn show(&self, id: &str) -> Value {
        self.ok("GET", &format!("/tasks/{id}"), json!(null)).await
    }
}
