//! What is erased is gone from every table of the database, also where it only stood by its name.
//!
//! Begin with [`everything_but_the_receipt_forgets_a_place_and_a_person`].

use std::collections::BTreeSet;

use contracts::events::communication::{MessageReceived, Party};
use contracts::events::data::EntityErased;
use contracts::events::device::PositionReported;
use contracts::jobs::EraseEntity;
use contracts::{AccountId, ConnectionId, EntityId, Event, EventPayload, NewEvent, Position};
use serde_json::{Value, json};
use spine::Scope;
use spine::ports::{AssertedBy, Change, EntityChange, Identifier, Target};
use spine::queue::JobOptions;
use spine::testing::TestHub;

const GYM: &str = "Blue Heron Gym";
const SAM: &str = "Samantha O'Neil-Wolfe (née Ng)";
const TEL: &str = "+4930901820";

async fn hub() -> TestHub {
    spine::testing::hub(|context| {
        vec![
            accounts::service(context),
            graph::service(context),
            state::service(context),
            intentions::service(context),
            channels::service(context),
            rules::service(context),
            etl::service(context),
        ]
    })
    .await
}

async fn write(hub: &TestHub, scope: &Scope, kind: &str, name: &str, props: Value) -> EntityId {
    let mut tx = hub.begin(scope).await;
    let tel = (kind == "Person").then(|| Identifier::new("tel", TEL));
    let entity = EntityChange {
        target: Target::New(EntityId::new()),
        kind: kind.to_owned(),
        title: Some(name.to_owned()),
        props: serde_json::from_value(props).unwrap(),
        identifiers: tel.into_iter().collect(),
        starts_at: None,
    };
    let change = Change {
        by: AssertedBy::User,
        source: "user".to_owned(),
        raw: None,
        entities: vec![entity],
        relations: Vec::new(),
    };
    let applied = hub.context.ports.graph_write().apply(&mut tx, change).await;
    tx.commit().await.unwrap();
    applied.unwrap().entities[0].id
}

/// Alice's phone is seen at a latitude so many seconds ago.
async fn seen(hub: &TestHub, scope: &Scope, phone: EntityId, latitude: f64, age_s: i64) {
    let report = PositionReported {
        reading: EntityId::new(),
        device: phone,
        latitude,
        longitude: 8.0,
        accuracy_m: Some(10.0),
        battery_percent: None,
    };
    let taken_at = hub.context.clock.now() - chrono::TimeDelta::seconds(age_s);
    let mut tx = hub.begin(scope).await;
    tx.publish(NewEvent::of(&report).unwrap().about(phone).occurred(taken_at))
        .unwrap();
    tx.commit().await.unwrap();
    hub.settle().await;
}

/// Somebody writes; of the sender only her name is known, and Bob speaks of others.
async fn message_from(hub: &TestHub, scope: &Scope, name: &str, text: &str) {
    let party = |name: &str| Party {
        id: None,
        name: Some(name.to_owned()),
        address: "somebody".to_owned(),
        relations: Vec::new(),
    };
    let received = MessageReceived {
        message: EntityId::new(),
        connection: ConnectionId::new(),
        channel: "log".to_owned(),
        from: party(name),
        to: party("Alice"),
        text: text.to_owned(),
    };
    let mut tx = hub.begin(scope).await;
    tx.publish_about(received.message, &received).unwrap();
    tx.commit().await.unwrap();
}

/// A rule once asked where Alice is; its journal holds the answer, which no id stands beside.
async fn journal(hub: &TestHub, scope: &Scope, value: &str) {
    let mut superuser = hub.database.superuser().await;
    let run = uuid::Uuid::now_v7();
    sqlx::query(
        "INSERT INTO rules.run (id, account, rule, version, event, event_position, correlation, key, status, actions,
            started_at) VALUES ($1, $2, 'r', '1', $1, 1, $1, '', 'completed', 0, now())",
    )
    .bind(run)
    .bind(scope.account().0)
    .execute(&mut superuser)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO rules.journal_entry (run, account, seq, kind, name, args_hash, args, value, line, at)
         VALUES ($1, $2, 0, 'read', 'state', '', '[\"me.place\"]', $3, 1, now())",
    )
    .bind(run)
    .bind(scope.account().0)
    .bind(json!(value))
    .execute(&mut superuser)
    .await
    .unwrap();
}

async fn erase(hub: &TestHub, scope: &Scope, entity: EntityId) {
    let mut tx = hub.begin(scope).await;
    let order = EraseEntity {
        entity,
        with_timeline: true,
    };
    tx.enqueue(&order, JobOptions::default()).await.unwrap();
    tx.commit().await.unwrap();
    hub.eventually("the receipt", async || {
        let events = hub.events(scope).await;
        let erased = |event: &Event| event.payload::<EntityErased>()?.ok();
        events
            .iter()
            .filter_map(erased)
            .find(|told| told.entity == entity)
    })
    .await;
    hub.settle().await;
}

async fn place(hub: &TestHub, scope: &Scope, as_of: Position) -> Option<Value> {
    let mut tx = hub.begin(scope).await;
    let fact = hub
        .context
        .ports
        .state_read()
        .fact(&mut tx, "me.place", as_of)
        .await;
    fact.unwrap().map(|fact| fact.value)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_but_the_receipt_forgets_a_place_and_a_person() {
    let hub = hub().await;
    let (alice, bob) = (hub.somebody(), hub.somebody());
    let circle = |latitude: f64| json!({ "latitude": latitude, "longitude": 8.0, "radius_m": 100 });
    let phone = write(&hub, &alice, "Device", "Phone", json!({})).await;
    write(&hub, &alice, "Place", "Home", circle(47.0)).await;
    let gym = write(&hub, &alice, "Place", GYM, circle(47.1)).await;
    let sam = write(&hub, &alice, "Person", SAM, json!({ "nickname": "Wolfie" })).await;
    write(&hub, &bob, "Place", GYM, circle(47.1)).await;
    seen(&hub, &alice, phone, 47.0, 40).await;
    let at_home = hub.events(&alice).await.last().unwrap().position;
    seen(&hub, &alice, phone, 47.1, 30).await;
    assert_eq!(place(&hub, &alice, Position::MAX).await, Some(json!(GYM)));
    message_from(&hub, &alice, "Wolfie", "hi").await;
    message_from(&hub, &alice, "Bob", &format!("greetings from {SAM}.")).await;
    message_from(&hub, &alice, "Bob", "Wolfie's is a nice bar").await;
    message_from(&hub, &bob, SAM, "hi").await;
    journal(&hub, &alice, GYM).await;
    journal(&hub, &alice, "Home").await;
    hub.settle().await;
    let mine = |found: Vec<String>| found.into_iter().collect::<BTreeSet<_>>();
    let before = mine(hub.database.finds(&[GYM]).await.remove(GYM).unwrap());
    for table in [
        "graph.entity",
        "state.fact",
        "state.signal",
        "rules.journal_entry",
        "spine.event_body",
    ] {
        assert!(before.contains(table), "{table} holds it before: {before:?}");
    }

    erase(&hub, &alice, gym).await;
    erase(&hub, &alice, sam).await;

    // Bob's own gym and friend stay as they were; his rows are put aside, so that only Alice's are looked through.
    assert_eq!(rows_of(&hub, &bob, "spine.event_body", SAM).await, 1);
    assert_eq!(rows_of(&hub, &bob, "graph.entity", GYM).await, 1);
    hub.admin
        .erase_account(&hub.gate.operator(AccountId::INSTANCE), bob.account())
        .await
        .unwrap();
    let (gym, sam) = (gym.to_string(), sam.to_string());
    let found = hub.database.finds(&[GYM, SAM, TEL, &gym, &sam]).await;
    for text in [GYM, SAM, TEL] {
        assert_eq!(found.get(text), None, "{text:?} is left");
    }
    // By design: the log's envelopes, the receipt, and the orders, which are pruned like all jobs.
    let by_design = |table: &String| {
        table.starts_with("spine.event_log") || table == "spine.event_body" || table.starts_with("pgboss.job")
    };
    let left: Vec<_> = found
        .iter()
        .filter(|(_, tables)| !tables.iter().all(by_design))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    for event in hub.events(&alice).await {
        let body = event.body.as_ref().map(ToString::to_string).unwrap_or_default();
        let names = body.contains(&gym) || body.contains(&sam);
        assert!(!names || event.kind == EntityErased::TYPE, "{body}");
    }
    // What only looks like it is no victim: Bob's bar, the other journal, and the time at home.
    assert_eq!(
        rows_of(&hub, &alice, "spine.event_body", "Wolfie's is a nice bar").await,
        1
    );
    assert_eq!(rows_of(&hub, &alice, "rules.journal_entry", "Home").await, 1);
    assert_eq!(place(&hub, &alice, at_home).await, Some(json!("Home")));
    assert_eq!(
        place(&hub, &alice, Position::MAX).await,
        Some(Value::Null),
        "unknown, not home again"
    );
}

/// How many rows of an account's hold a text.
async fn rows_of(hub: &TestHub, scope: &Scope, table: &str, text: &str) -> i64 {
    let text = serde_json::to_string(text).unwrap();
    let look = format!(
        "SELECT count(*) FROM {table} t WHERE account = $1 AND (strpos(to_jsonb(t)::text, $2) > 0
            OR strpos(t::text, encode(convert_to($2, 'UTF8'), 'hex')) > 0)"
    );
    sqlx::query_scalar(&look)
        .bind(scope.account().0)
        .bind(text.trim_matches('"'))
        .fetch_one(&mut hub.database.superuser().await)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_nobody_has_read_goes_with_its_account() {
    let hub = hub().await;
    let (alice, bob) = (hub.somebody(), hub.somebody());
    let file = |scope: &Scope| {
        let folder = hub.context.settings.data_dir.join("imports");
        folder.join(scope.account().0.simple().to_string()).join("1")
    };
    for scope in [&alice, &bob] {
        std::fs::create_dir_all(file(scope).parent().unwrap()).unwrap();
        std::fs::write(file(scope), "BEGIN:VCARD").unwrap();
    }
    hub.admin
        .erase_account(&hub.gate.operator(AccountId::INSTANCE), alice.account())
        .await
        .unwrap();
    let folder = file(&alice).parent().unwrap().to_owned();
    hub.eventually("the folder is gone", async || (!folder.exists()).then_some(()))
        .await;
    assert!(file(&bob).exists(), "Bob's waits on");
}
