//! Stories of readings: expiry, sources, lateness, the owner's word, replays and other accounts.

use contracts::events::communication::{CallStarted, CallStatusChanged, Party};
use contracts::events::data::EntityCreated;
use contracts::events::device::ReadingReported;
use contracts::events::state::{DeadlinePassed, FactExpired, FactRetracted, ValidityChanged};
use contracts::{Clock, ConnectionId, ManualClock};
use spine::queue::RunnerOptions;
use spine::{Running, Spine};
use sqlx::Row;

use super::*;

const KEY: &str = "home.temperature";
const TABLES: [&str; 5] = ["fact", "signal", "setting", "deadline", "whereabouts"];

struct Told {
    story: Story,
    clock: Arc<ManualClock>,
}

/// A hub whose clock stands still. In Vienna summer time ends half an hour later.
async fn told() -> Told {
    let clock = Arc::new(ManualClock::at("2026-10-25T00:30:00Z".parse().unwrap()));
    let story = story_at(clock.clone()).await;
    Told { story, clock }
}

impl Told {
    fn minutes(&self, minutes: i64) {
        self.clock.advance(TimeDelta::minutes(minutes));
    }

    async fn publish(&self, event: NewEvent) {
        self.write(event).await;
        self.story.hub.settle().await;
    }

    async fn write(&self, event: NewEvent) {
        let mut tx = self.story.hub.begin(&self.story.alice).await;
        tx.publish(event).unwrap();
        tx.commit().await.unwrap();
    }

    fn reading(&self, source: &str, value: Value) -> ReadingReported {
        ReadingReported {
            reading: EntityId::new(),
            key: KEY.to_owned(),
            value,
            unit: Some("°C".to_owned()),
            confidence: 1.0,
            valid_for_s: Some(1_800),
            source: source.to_owned(),
        }
    }

    async fn say(&self, reading: &ReadingReported, age_minutes: i64) {
        let taken_at = self.clock.now() - TimeDelta::minutes(age_minutes);
        let event = NewEvent::of(reading).unwrap().about(&reading.key);
        self.publish(event.occurred(taken_at)).await;
    }

    async fn now(&self, key: &str) -> Option<Value> {
        self.story.fact(key, Position::MAX).await.map(|fact| fact.value)
    }

    async fn values(&self, key: &str) -> Vec<(Value, Value)> {
        let changes = self.story.changes(key).await;
        changes.into_iter().map(|(from, to, _)| (from, to)).collect()
    }

    async fn events<P: EventPayload>(&self) -> Vec<(Event, P)> {
        let events = self.story.hub.events(&self.story.alice).await.into_iter();
        events
            .filter_map(|event| {
                let payload = event.payload::<P>()?.unwrap();
                Some((event, payload))
            })
            .collect()
    }

    async fn expired(&self) -> Vec<(Event, FactExpired)> {
        let expired = async || Some(self.events().await).filter(|events| !events.is_empty());
        self.story.hub.eventually("the expiry is told", expired).await
    }

    /// Everything that is kept in the tables that facts are read from.
    async fn dump(&self) -> Vec<String> {
        let mut admin = self.story.hub.database.superuser().await;
        let rows = sqlx::query(
            "SELECT to_jsonb(f)::text FROM state.fact f UNION ALL SELECT to_jsonb(s)::text FROM state.signal s
             UNION ALL SELECT to_jsonb(s)::text FROM state.setting s ORDER BY 1",
        );
        let rows = rows.fetch_all(&mut admin).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Another run of the hub on the same database.
    async fn start_again(&self) -> Running {
        let (db, old) = (&self.story.hub.database.db, &self.story.hub.context);
        let (app, owner) = (db.app().clone(), db.spine().clone());
        let settings = (*old.settings).clone();
        let (spine, _) = Spine::new(app, owner, old.vault.clone(), self.clock.clone(), settings);
        let context = spine.context().clone();
        context.ports.provide_graph_read(self.story.graph.clone());
        context.ports.provide_graph_write(self.story.graph.clone());
        let services = vec![crate::service(&context)];
        spine.start(services, RunnerOptions::default()).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_nobody_confirms_is_unknown_after_its_time_whatever_the_clocks_on_the_wall_do() {
    let told = told().await;
    told.say(&told.reading("hall", json!(21)), 0).await;
    told.minutes(29);
    assert_eq!(told.now(KEY).await, Some(json!(21)));
    told.minutes(1); // 03:00 becomes 02:00 in Vienna at this moment
    assert_eq!(
        told.now(KEY).await,
        Some(Value::Null),
        "unknown at once, told or not"
    );
    let expired = told.expired().await;
    let (event, fact) = &expired[0];
    assert_eq!(event.occurred_at.to_rfc3339(), "2026-10-25T01:00:00+00:00");
    assert_eq!((fact.key.as_str(), &fact.last_known), (KEY, &json!(21)));
    let unknown = told.story.fact(KEY, event.position).await.unwrap();
    assert_eq!((unknown.value, unknown.confidence), (Value::Null, 0.0));
    let reported = told.events::<ReadingReported>().await[0].0.position;
    assert_eq!(
        told.story.fact(KEY, reported).await.unwrap().value,
        json!(21),
        "what was answered stays"
    );
    told.say(&told.reading("hall", json!(21)), 0).await;
    let back = told.events::<FactChanged>().await.pop().unwrap().1;
    assert_eq!(
        (back.from, back.to, back.last_known),
        (Value::Null, json!(21), json!(21))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_that_expired_while_the_hub_was_off_is_told_late_and_once() {
    let mut told = told().await;
    told.say(&told.reading("hall", json!(21)), 0).await;
    told.story.hub.stop().await;
    told.minutes(600);
    let running = told.start_again().await;
    let expired = told.expired().await;
    assert_eq!(expired[0].1.expired_at.to_rfc3339(), "2026-10-25T01:00:00+00:00");
    running.drain(std::time::Duration::from_secs(5)).await;
    told.minutes(600);
    let running = told.start_again().await;
    told.write(NewEvent::of(&told.reading("roof", json!(3))).unwrap())
        .await;
    let known = async || told.now(KEY).await.filter(|value| *value == json!(3));
    told.story.hub.eventually("the next reading counts", known).await;
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await; // the timekeeper looks each second
    assert_eq!(told.events::<FactExpired>().await.len(), 1);
    assert_eq!(told.events::<DeadlinePassed>().await.len(), 1);
    running.drain(std::time::Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_comes_before_anybody_told_of_the_expiry_finds_the_fact_unknown() {
    let told = told().await;
    told.say(&told.reading("hall", json!(21)), 0).await;
    told.minutes(45);
    told.say(&told.reading("hall", json!(21)), 0).await;
    assert_eq!(
        told.values(KEY).await,
        [(Value::Null, json!(21)), (Value::Null, json!(21))]
    );
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    told.story.hub.settle().await;
    assert_eq!(
        told.events::<FactExpired>().await.len(),
        1,
        "by whichever came first"
    );
    assert_eq!(told.now(KEY).await, Some(json!(21)));
}

#[tokio::test(flavor = "multi_thread")]
async fn late_repeated_and_equal_readings_change_nothing_and_an_equal_one_makes_it_hold_longer() {
    let told = told().await;
    let reading = told.reading("hall", json!(21));
    told.say(&reading, 5).await;
    told.say(&reading, 5).await; // the same again
    told.say(&told.reading("hall", json!(15)), 10).await; // late
    told.say(&told.reading("roof", json!(15)), 10).await; // late, too, by another source
    told.say(&told.reading("hall", json!(99)), -600).await; // of a clock that is wrong
    told.minutes(20);
    told.say(&reading, 0).await;
    told.minutes(20); // 45 after the first one
    assert_eq!(told.values(KEY).await, [(Value::Null, json!(21))]);
    let mut tx = told.story.hub.begin(&told.story.alice).await;
    let fact = crate::store::fact_newest(&mut tx, KEY).await.unwrap().unwrap();
    assert_eq!(fact.observed_at, told.clock.now() - TimeDelta::minutes(20));
    assert_eq!(fact.since, told.clock.now() - TimeDelta::minutes(45));
    assert_eq!(told.now(KEY).await, Some(json!(21)));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_sources_the_surer_one_is_believed_until_it_falls_silent() {
    let told = told().await;
    let hall = told.reading("hall", json!(21));
    let roof = ReadingReported {
        confidence: 0.4,
        valid_for_s: None,
        ..told.reading("roof", json!(15))
    };
    told.say(&hall, 0).await;
    told.minutes(10);
    told.say(&roof, 0).await;
    assert_eq!(told.now(KEY).await, Some(json!(21)));
    told.minutes(25);
    let fallen = async || told.now(KEY).await.filter(|value| *value == json!(15));
    told.story.hub.eventually("the roof is believed", fallen).await;
    told.story.hub.settle().await;
    assert_eq!(
        told.values(KEY).await,
        [(Value::Null, json!(21)), (json!(21), json!(15))]
    );
    assert!(
        told.events::<FactExpired>().await.is_empty(),
        "something is known all the time"
    );
    let mut tx = told.story.hub.begin(&told.story.alice).await;
    let history = crate::store::fact_history(&mut tx, KEY, ALL, 10).await.unwrap();
    let spans: Vec<_> = history
        .iter()
        .map(|past| {
            (
                past.source.as_str(),
                past.since.to_rfc3339(),
                past.until.map(|until| until.to_rfc3339()),
            )
        })
        .collect();
    let fell = "2026-10-25T01:00:00+00:00".to_owned();
    let began = "2026-10-25T00:30:00+00:00".to_owned();
    assert_eq!(spans, [("roof", fell.clone(), None), ("hall", began, Some(fell))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_says_that_it_is_not_so_and_how_long_readings_hold() {
    let told = told().await;
    let reading = |value: Value| ReadingReported {
        valid_for_s: None,
        ..told.reading("hall", value)
    };
    let retracted = NewEvent::of(&FactRetracted { key: KEY.to_owned() }).unwrap();
    told.publish(retracted.clone()).await;
    assert_eq!(
        told.now(KEY).await,
        None,
        "of what isn't known nothing can be taken back"
    );
    told.say(&reading(json!(21)), 1).await;
    told.publish(NewEvent {
        id: contracts::EventId::new(),
        ..retracted
    })
    .await;
    assert_eq!(told.now(KEY).await, Some(Value::Null));
    told.say(&told.reading("roof", json!(20)), 2).await;
    assert_eq!(
        told.now(KEY).await,
        Some(Value::Null),
        "what is older doesn't speak against it"
    );
    let hour = ValidityChanged {
        key: KEY.to_owned(),
        valid_for_s: Some(3_600),
    };
    told.publish(NewEvent::of(&hour).unwrap()).await;
    told.minutes(1);
    told.say(&reading(json!(22)), 0).await;
    told.minutes(59);
    assert_eq!(told.now(KEY).await, Some(json!(22)));
    told.minutes(1);
    assert_eq!(told.now(KEY).await, Some(Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_active_until_it_ends_or_for_four_hours() {
    let told = told().await;
    let party = Party {
        id: None,
        name: None,
        address: "+15550100".to_owned(),
        relations: Vec::new(),
    };
    let started = |call| {
        NewEvent::of(&CallStarted {
            call,
            connection: ConnectionId::new(),
            direction: "in".to_owned(),
            from: party.clone(),
            to: party.clone(),
            answered: false,
        })
        .unwrap()
    };
    let changed = |call, status: &str| {
        NewEvent::of(&CallStatusChanged {
            call,
            status: status.to_owned(),
            duration_s: None,
        })
        .unwrap()
    };
    let (first, second) = (EntityId::new(), EntityId::new());
    for (event, expected) in [
        (started(first), true),
        (changed(first, "in-progress"), true),
        (started(second), true),
        (changed(first, "completed"), true),
        (changed(second, "no-answer"), false),
        (started(EntityId::new()), true),
    ] {
        told.publish(event).await;
        assert_eq!(told.now("call.active").await, Some(json!(expected)));
    }
    assert_eq!(told.values("call.active").await.len(), 3);
    told.minutes(240);
    assert_eq!(
        told.now("call.active").await,
        Some(Value::Null),
        "its end never came"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_a_connector_brings_into_the_graph_is_a_fact_and_anything_else_there_is_none() {
    let told = told().await;
    for (kind, props) in [
        (
            "Reading",
            json!({ "kind": "weather.outdoor", "value": { "wind": 3 }, "connection": "c1" }),
        ),
        ("Reading", json!({ "kind": "position", "value": 1 })),
        ("Reading", json!({ "kind": "home.humidity" })),
        ("Person", json!({ "kind": "home.noise", "value": 1 })),
    ] {
        let id = EntityId::new();
        told.story.entity(kind, id, "x", props).await;
        let created = EntityCreated {
            entity: id,
            kind: kind.to_owned(),
            version: 1,
        };
        told.publish(NewEvent::of(&created).unwrap().about(id)).await;
    }
    let mut tx = told.story.hub.begin(&told.story.alice).await;
    let facts = crate::store::fact_list(&mut tx, "", "", 100).await.unwrap();
    let seen: Vec<_> = facts
        .iter()
        .map(|fact| (fact.key.as_str(), fact.source.as_str(), &fact.value))
        .collect();
    assert_eq!(
        seen,
        [("weather.outdoor", "connection/c1", &json!({ "wind": 3 }))]
    );
    assert!(
        crate::store::fact_list(&mut tx, "home.", "", 100)
            .await
            .unwrap()
            .is_empty()
    );
}

/// A day with everything in it.
async fn eventful() -> Told {
    let told = told().await;
    told.say(&told.reading("hall", json!(21)), 0).await;
    told.minutes(20);
    told.say(&told.reading("hall", json!(21)), 0).await;
    told.minutes(45);
    told.expired().await;
    told.say(&told.reading("roof", json!(3)), 0).await;
    let week = ValidityChanged {
        key: "me.place".to_owned(),
        valid_for_s: Some(604_800),
    };
    told.publish(NewEvent::of(&week).unwrap()).await;
    told.story.phone_at(HOME, 0).await;
    told.publish(NewEvent::of(&FactRetracted { key: KEY.to_owned() }).unwrap())
        .await;
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_the_log_again_gives_the_same_facts_with_the_tables_and_without() {
    let told = eventful().await;
    let before = told.dump().await;
    assert!(before.len() >= 6, "{before:?}");
    let replay = async || {
        told.story.replay().await;
        told.story.hub.settle().await;
    };
    let told_before = told.story.hub.events(&told.story.alice).await.len();
    replay().await;
    assert_eq!(told.dump().await, before);
    assert_eq!(
        told.story.hub.events(&told.story.alice).await.len(),
        told_before,
        "nothing is told again"
    );
    let mut admin = told.story.hub.database.superuser().await;
    let emptied = TABLES.map(|table| format!("TRUNCATE state.{table};")).concat();
    sqlx::raw_sql(&emptied).execute(&mut admin).await.unwrap();
    replay().await;
    assert_eq!(told.dump().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_sees_none_of_it_in_sql_either() {
    let told = eventful().await;
    told.say(&told.reading("hall", json!(1)), 0).await; // leaves a deadline
    let mallory = told.story.hub.somebody();
    for table in TABLES {
        let count = format!("SELECT count(*) FROM state.{table}");
        let mut tx = told.story.hub.begin(&mallory).await;
        let theirs: i64 = sqlx::query_scalar(&count).fetch_one(tx.conn()).await.unwrap();
        let mut tx = told.story.hub.begin(&told.story.alice).await;
        let own: i64 = sqlx::query_scalar(&count).fetch_one(tx.conn()).await.unwrap();
        assert_eq!((theirs, own > 0), (0, true), "state.{table}");
    }
    let mut tx = told.story.hub.begin(&mallory).await;
    assert!(crate::store::fact_newest(&mut tx, KEY).await.unwrap().is_none());
    assert!(
        crate::store::fact_history(&mut tx, KEY, ALL, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let forged = format!(
        "INSERT INTO state.deadline (account, key, at) VALUES ('{}', 'a.b', now())",
        told.story.alice.account()
    );
    assert!(sqlx::raw_sql(&forged).execute(tx.conn()).await.is_err());
}
