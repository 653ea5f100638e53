//! Stories of the graph, each with a database of its own. Alice owns the hub, Sam is her partner, Bob has another
//! account.

mod access;
mod adding;
mod around;
mod batches;
mod calls;
mod erasing;
mod histories;
mod identity;
mod import;
mod intake;
mod laws;
mod listing;
mod people;
mod revisions;
mod rings;
mod routes;
mod stated;
mod strangers;
mod suggesting;
mod updating;
mod walking;

use chrono::{DateTime, TimeZone, Utc};
use contracts::{ConnectionId, Event};
use serde_json::{Map, Value, json};
use spine::Scope;
use spine::ports::{
    Applied, AssertedBy, Change, EntityChange, GraphError, Identifier, RawRecord, RelationChange, Target,
};
use spine::testing::TestHub;

const SAM_TEL: &str = "+14155552671";

async fn hub() -> TestHub {
    spine::testing::hub(|context| vec![crate::service(context)]).await
}

fn props(value: Value) -> Map<String, Value> {
    let Value::Object(props) = value else {
        panic!("props are an object")
    };
    props
}

fn at(minute: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 5, 1, 12, minute, 0).unwrap()
}

fn entity(kind: &str, target: Target, said: Value) -> EntityChange {
    EntityChange {
        target,
        kind: kind.to_owned(),
        title: None,
        props: props(said),
        identifiers: Vec::new(),
        starts_at: None,
    }
}

fn identified(kind: &str, scheme: &str, value: &str, said: Value) -> EntityChange {
    let mut change = entity(kind, Target::Identified, said);
    change.identifiers.push(Identifier::new(scheme, value));
    change
}

fn change(by: AssertedBy, source: &str, entities: Vec<EntityChange>) -> Change {
    Change {
        by,
        source: source.to_owned(),
        raw: None,
        entities,
        relations: Vec::new(),
    }
}

fn record(stream: &str, remote_id: &str, revision: &str) -> RawRecord {
    RawRecord {
        connection: Some(ConnectionId(uuid::Uuid::nil())),
        stream: stream.to_owned(),
        remote_id: remote_id.to_owned(),
        revision: revision.to_owned(),
        media_type: "application/x-www-form-urlencoded".to_owned(),
        body: format!("CallSid={remote_id}&From=%2B14155552671").into_bytes(),
    }
}

/// A call as the telephony connector writes it.
fn call(sid: &str, revision: &str) -> Change {
    let said = json!({"direction": "in", "status": revision, "from": SAM_TEL, "to": "+4930901820"});
    let mut entity = identified("Call", "twilio.call", sid, said);
    entity.starts_at = Some(at(0));
    let mut change = change(AssertedBy::Connector, "twilio/1", vec![entity]);
    change.raw = Some(record("calls", sid, revision));
    change
}

/// The service itself, for what the routes ask of it.
fn graph(hub: &TestHub) -> std::sync::Arc<crate::Graph> {
    std::sync::Arc::new(crate::Graph {
        access: hub.context.access.clone(),
        vault: hub.context.vault.clone(),
        types: tokio::sync::OnceCell::new(),
    })
}

async fn apply(hub: &TestHub, scope: &Scope, change: Change) -> Result<Applied, GraphError> {
    let mut tx = hub.begin(scope).await;
    let applied = hub.context.ports.graph_write().apply(&mut tx, change).await?;
    tx.commit().await?;
    Ok(applied)
}

/// Alice's graph at the story's begin: herself, and Sam, her partner, with a number.
async fn alice_and_sam(hub: &TestHub, alice: &Scope) -> (contracts::EntityId, contracts::EntityId) {
    let me = identified("Person", "allod", "me", json!({"name": "Alice"}));
    let sam = identified("Person", "tel", "+1 (415) 555-2671", json!({"name": "Sam"}));
    let people = apply(hub, alice, change(AssertedBy::User, "user", vec![me, sam]))
        .await
        .unwrap()
        .entities;
    let mut partner = change(AssertedBy::User, "user", vec![]);
    partner.relations.push(RelationChange {
        from: people[0].id,
        predicate: "partner".to_owned(),
        to: people[1].id,
    });
    apply(hub, alice, partner).await.unwrap();
    (people[0].id, people[1].id)
}

/// What was told, without the audit.
async fn told(hub: &TestHub, scope: &Scope) -> Vec<Event> {
    hub.settle().await;
    let mut events = hub.events(scope).await;
    events.retain(|event| !event.kind.starts_with("audit."));
    events
}

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

async fn count(hub: &TestHub, table: &str) -> i64 {
    let mut behind = hub.database.superuser().await;
    sqlx::query_scalar(&format!("SELECT count(*) FROM graph.{table}"))
        .fetch_one(&mut behind)
        .await
        .unwrap()
}
