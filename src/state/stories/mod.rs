//! Stories of the present: positions in, facts out.

mod readings;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use contracts::events::device::PositionReported;
use contracts::events::state::FactChanged;
use contracts::{Clock, EntityId, Event, EventPayload, Lane, NewEvent, Position, SystemClock};
use serde_json::{Value, json};
use spine::Scope;
use spine::ports::{AssertedBy, Change, EntityChange, Fact, GraphWrite, Target};
use spine::testing::{MemoryGraph, TestHub, hub_at};

struct Story {
    hub: TestHub,
    graph: Arc<MemoryGraph>,
    alice: Scope,
    phone: EntityId,
}

/// A whole history.
const ALL: crate::store::Stretch = crate::store::Stretch {
    since: None,
    until: None,
    before: Position::MAX,
};

const HOME: f64 = 47.0;
const WORK: f64 = 47.1;
const AWAY: f64 = 47.5;

async fn story() -> Story {
    story_at(Arc::new(SystemClock)).await
}

async fn story_at(clock: Arc<dyn Clock>) -> Story {
    let graph = Arc::new(MemoryGraph::default());
    let wired = graph.clone();
    let hub = hub_at(clock, move |context| {
        context.ports.provide_graph_read(wired.clone());
        context.ports.provide_graph_write(wired);
        vec![crate::service(context)]
    })
    .await;
    let alice = hub.somebody();
    let story = Story {
        hub,
        graph,
        alice,
        phone: EntityId::new(),
    };
    story.entity("Device", story.phone, "Phone", json!({})).await;
    for (title, latitude) in [("Home", HOME), ("Work", WORK)] {
        let circle = json!({ "latitude": latitude, "longitude": 8.0, "radius_m": 100 });
        story.entity("Place", EntityId::new(), title, circle).await;
    }
    story
}

impl Story {
    /// Lets the consumer read everything again.
    async fn replay(&self) {
        let operator = self.hub.gate.operator(contracts::AccountId::INSTANCE);
        let begun = self.hub.admin.replay(&operator, "state", Lane::Live, 0).await;
        assert!(begun.unwrap());
    }

    async fn entity(&self, kind: &str, id: EntityId, title: &str, props: Value) {
        let mut tx = self.hub.begin(&self.alice).await;
        let change = EntityChange {
            target: Target::New(id),
            kind: kind.to_owned(),
            title: Some(title.to_owned()),
            props: serde_json::from_value(props).unwrap(),
            identifiers: Vec::new(),
            starts_at: None,
        };
        let change = Change {
            by: AssertedBy::User,
            source: "user".to_owned(),
            raw: None,
            entities: vec![change],
            relations: Vec::new(),
        };
        self.graph.apply(&mut tx, change).await.unwrap();
    }

    async fn report(
        &self,
        device: EntityId,
        latitude: f64,
        age_s: i64,
        battery_percent: Option<u8>,
        lane: Lane,
    ) {
        let taken_at = self.hub.context.clock.now() - TimeDelta::seconds(age_s);
        let report = PositionReported {
            reading: EntityId::new(),
            device,
            latitude,
            longitude: 8.0,
            accuracy_m: Some(10.0),
            battery_percent,
        };
        let mut tx = self.hub.begin(&self.alice).await;
        tx.set_lane(lane);
        tx.publish(NewEvent::of(&report).unwrap().about(device).occurred(taken_at))
            .unwrap();
        tx.commit().await.unwrap();
        self.hub.settle().await;
    }

    async fn phone_at(&self, latitude: f64, age_s: i64) {
        self.report(self.phone, latitude, age_s, None, Lane::Live).await;
    }

    async fn fact(&self, key: &str, as_of: Position) -> Option<Fact> {
        let mut tx = self.hub.begin(&self.alice).await;
        self.hub
            .context
            .ports
            .state_read()
            .fact(&mut tx, key, as_of)
            .await
            .unwrap()
    }

    async fn place(&self) -> Option<Value> {
        self.fact("me.place", Position::MAX).await.map(|fact| fact.value)
    }

    /// From, to and since of each change of a fact.
    async fn changes(&self, key: &str) -> Vec<(Value, Value, DateTime<Utc>)> {
        let events = self.hub.events(&self.alice).await;
        let changed = events.iter().filter_map(Event::payload::<FactChanged>);
        let changed = changed.map(Result::unwrap).filter(|changed| changed.key == key);
        changed
            .map(|changed| (changed.from, changed.to, changed.since))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_present_follows_the_phone_and_says_only_what_changed() {
    let story = story().await;
    assert_eq!(story.place().await, None, "nothing is known yet");
    for (latitude, age_s) in [(HOME, 50), (HOME, 40), (WORK, 30), (WORK, 20), (AWAY, 10)] {
        story.phone_at(latitude, age_s).await;
    }
    assert_eq!(story.place().await, Some(Value::Null), "known to be in no place");
    let changes = story.changes("me.place").await;
    let values: Vec<_> = changes
        .iter()
        .map(|(from, to, _)| (from.clone(), to.clone()))
        .collect();
    let expected = [
        (Value::Null, json!("Home")),
        (json!("Home"), json!("Work")),
        (json!("Work"), Value::Null),
    ];
    assert_eq!(values, expected);
    let ages = changes
        .iter()
        .map(|(.., since)| (story.hub.context.clock.now() - *since).num_seconds() / 10);
    assert!(
        ages.zip([5, 3, 1]).all(|(tens, least)| tens >= least),
        "since is the time of the fix: {changes:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_is_answered_as_of_any_position_of_the_log() {
    let story = story().await;
    story.phone_at(HOME, 30).await;
    story.phone_at(WORK, 20).await;
    let reported: Vec<_> = story
        .hub
        .events(&story.alice)
        .await
        .into_iter()
        .filter(|event| event.kind == PositionReported::TYPE)
        .map(|event| event.position)
        .collect();
    let (first, second) = (reported[0], reported[1]);
    assert!(story.fact("me.place", first - 1).await.is_none());
    assert_eq!(story.fact("me.place", first).await.unwrap().value, json!("Home"));
    assert_eq!(
        story.fact("me.place", second - 1).await.unwrap().value,
        json!("Home")
    );
    let now = story.fact("me.place", second).await.unwrap();
    assert_eq!(
        (now.value, now.position, now.source),
        (json!("Work"), second, format!("device/{}", story.phone))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_late_from_the_future_or_from_an_import_never_moves_the_present() {
    let story = story().await;
    story.phone_at(WORK, 60).await;
    story.phone_at(HOME, 3_600).await; // queued in the phone while it had no network
    assert_eq!(story.place().await, Some(json!("Work")));
    story.phone_at(HOME, -600).await; // a clock ten minutes ahead
    assert_eq!(story.place().await, Some(json!("Work")));
    story.report(story.phone, HOME, 0, Some(1), Lane::Backfill).await;
    assert_eq!(story.place().await, Some(json!("Work")));
    assert_eq!(
        story
            .fact("phone.battery", Position::MAX)
            .await
            .map(|fact| fact.value),
        None
    );
    assert_eq!(story.changes("me.place").await.len(), 1);
    story.phone_at(HOME, 0).await; // the wrong clock does not lock the right one out
    assert_eq!(story.place().await, Some(json!("Home")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tablet_at_home_does_not_speak_for_me_once_my_phone_is_the_primary_device() {
    let story = story().await;
    let (phone, tablet) = (EntityId::new(), EntityId::new());
    story
        .entity("Device", phone, "My phone", json!({ "primary": true }))
        .await;
    story.entity("Device", tablet, "Tablet", json!({})).await;
    story.report(phone, WORK, 20, Some(41), Lane::Live).await;
    story.report(tablet, HOME, 10, Some(99), Lane::Live).await;
    assert_eq!(story.place().await, Some(json!("Work")));
    assert_eq!(
        story.fact("phone.battery", Position::MAX).await.unwrap().value,
        json!(41)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_battery_is_a_fact_that_changes_only_when_it_changes() {
    let story = story().await;
    for (percent, age_s) in [(40, 30), (40, 20), (39, 10), (80, 15)] {
        story
            .report(story.phone, AWAY, age_s, Some(percent), Lane::Live)
            .await;
    }
    let values: Vec<_> = story
        .changes("phone.battery")
        .await
        .into_iter()
        .map(|(from, to, _)| (from, to))
        .collect();
    assert_eq!(
        values,
        [(Value::Null, json!(40)), (json!(40), json!(39))],
        "the late 80 is not the present"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_changes_no_fact() {
    let story = story().await;
    story.phone_at(HOME, 30).await;
    story.phone_at(WORK, 20).await;
    let before = story.fact("me.place", Position::MAX).await.unwrap();
    story.replay().await;
    story.phone_at(WORK, 10).await;
    assert_eq!(story.changes("me.place").await.len(), 2);
    assert_eq!(
        story.fact("me.place", Position::MAX).await.unwrap().position,
        before.position
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_the_facts_of_another_account() {
    let story = story().await;
    story.phone_at(WORK, 10).await;
    let mallory = story.hub.somebody();
    let mut tx = story.hub.begin(&mallory).await;
    let read = story.hub.context.ports.state_read();
    assert!(
        read.fact(&mut tx, "me.place", Position::MAX)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        crate::store::fact_list(&mut tx, "", "", 100)
            .await
            .unwrap()
            .is_empty()
    );
    let mut tx = story.hub.begin(&story.alice).await;
    assert_eq!(
        crate::store::fact_list(&mut tx, "", "", 100).await.unwrap().len(),
        1
    );
    assert_eq!(
        crate::store::fact_history(&mut tx, "me.place", ALL, 10)
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_retried_later_changes_the_present_and_not_the_past() {
    let story = story().await;
    story.report(story.phone, WORK, 10, None, Lane::Backfill).await; // any event: it is made live and parked below
    story.phone_at(HOME, 60).await;
    let events = story.hub.events(&story.alice).await;
    let imported = events.iter().find(|event| event.lane == Lane::Backfill).unwrap();
    let mut admin = story.hub.database.superuser().await;
    sqlx::raw_sql(&format!(
        "ALTER TABLE spine.event_log DISABLE TRIGGER append_only;
        UPDATE spine.event_log SET lane = 'live' WHERE id = '{id}';
        INSERT INTO spine.parked_event (consumer, event, position, account, reason, tries, parked_at)
        VALUES ('state', '{id}', {position}, '{account}', 'the graph was away', 1, now())",
        id = imported.id,
        position = imported.position,
        account = story.alice.account(),
    ))
    .execute(&mut admin)
    .await
    .unwrap();
    assert!(
        story
            .hub
            .admin
            .parked_retry(&story.alice, "state", imported.id)
            .await
            .unwrap()
    );
    story.hub.settle().await;
    assert_eq!(
        story.place().await,
        Some(json!("Work")),
        "it is the newest reading"
    );
    let asked_before = events.last().unwrap().position;
    assert_eq!(
        story.fact("me.place", asked_before).await.unwrap().value,
        json!("Home"),
        "what was answered stays"
    );
    assert!(story.fact("me.place", imported.position).await.is_none());
}
