//! What happens when something happens.

use contracts::events::communication::{MessageSent, Party};
use contracts::{AttemptId, Clock, ConnectionId, EntityId, Lane, NewEvent, SystemClock};
use serde_json::{Value, json};
use spine::ports::{Entity, Identifier};

use super::world::{World, call, sam};

async fn partner_at_work() -> (World, spine::Scope) {
    let world = World::new().await;
    let alice = world.hub.somebody();
    world
        .ok(
            &alice,
            "POST",
            "/rules/partner-at-work/enable",
            json!({ "inputs": {} }),
        )
        .await;
    world.now_at("Work");
    (world, alice)
}

#[tokio::test(flavor = "multi_thread")]
async fn my_partner_is_texted_when_they_call_while_i_am_at_work() {
    let (world, alice) = partner_at_work().await;
    let event = world.sam_calls(&alice).await;
    let [message] = world.sent(1).await.try_into().unwrap();
    assert_eq!(
        message,
        json!({ "direction": "out", "channel": "sms", "status": "queued", "to": "+15550100",
            "text": "At work, I'll call you back." })
    );
    assert_eq!(*world.memory.sources.lock().unwrap(), ["rule/partner-at-work"]);

    let events = world.hub.events(&alice).await;
    let position = events.iter().find(|one| one.id == event).unwrap().position;
    assert_eq!(
        *world.memory.asked.lock().unwrap(),
        [("me.place".to_owned(), position)]
    );
    let finished = events.iter().find(|one| one.kind == "rules.RunFinished").unwrap();
    assert_eq!(
        (finished.causation, finished.actor.as_str()),
        (Some(event), "rule:partner-at-work")
    );
    assert_eq!(finished.body.as_ref().unwrap()["outcome"], "completed");
    let acted =
        |one: &&contracts::Event| one.kind == "audit.AccessRecorded" && one.actor.starts_with("rule:");
    assert_eq!(events.iter().filter(acted).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_shows_what_came_in_each_value_what_was_queued_and_what_was_answered() {
    let (world, alice) = partner_at_work().await;
    let event = world.sam_calls(&alice).await;
    world.sent(1).await;
    let trace = world.trace(&alice).await;
    assert_eq!(
        (&trace["status"], &trace["event"]["id"]),
        (&json!("completed"), &json!(event))
    );
    assert_eq!(trace["event"]["body"]["from"]["name"], "Sam");
    let steps: Vec<(&str, &Value)> = trace["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["what"].as_str().unwrap(), &step["value"]))
        .collect();
    let (effect, conditions) = steps.split_last().unwrap();
    assert_eq!(
        conditions,
        [
            ("where from.relations contains \"partner\"", &json!(["partner"])),
            ("state(\"me.place\")", &json!("Work")),
            ("state(\"me.place\") == \"Work\"", &json!(true)),
            ("!ev.answered  [ev.answered = false]", &json!(true)),
            ("limit 1 per 10m per from.id", &json!({ "used": 0 })),
        ]
    );
    assert_eq!(
        effect.0,
        "sms.send(Sam +15550100, \"At work, I'll call you back.\")"
    );
    assert_eq!(effect.1["status"], "queued");
    assert!(effect.1["job"].is_string());
    assert_eq!(trace["answers"], json!([]));

    let message: EntityId = effect.1["message"].as_str().unwrap().parse().unwrap();
    let sent = MessageSent {
        message,
        attempt: AttemptId::new(),
        connection: ConnectionId::new(),
        remote_id: "SM1".to_owned(),
        adopted: false,
    };
    let correlation = trace["correlation"].as_str().unwrap().parse().unwrap();
    world
        .publish_along(&alice, correlation, NewEvent::of(&sent).unwrap())
        .await;
    let other = MessageSent {
        message: EntityId::new(),
        ..sent
    };
    world
        .publish_along(&alice, correlation, NewEvent::of(&other).unwrap())
        .await;
    let trace = world.trace(&alice).await;
    let [answer] = trace["answers"].as_array().unwrap().as_slice() else {
        panic!("one answer: {trace}")
    };
    assert_eq!(
        (&answer["what"], &answer["detail"]["remote_id"]),
        (&json!("the provider accepted it"), &json!("SM1"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_call_twice_runs_the_rule_once() {
    let (world, alice) = partner_at_work().await;
    world.sam_calls(&alice).await;
    world.sent(1).await;
    assert!(world.replay().await);
    world.hub.settle().await;
    world.sent(1).await;
    assert_eq!(world.runs(&alice).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_does_not_act_on_what_happened_before_it_was_enabled() {
    let world = World::new().await;
    let alice = world.hub.somebody();
    world.now_at("Work");
    world.sam_calls(&alice).await;
    world
        .ok(&alice, "POST", "/rules/partner-at-work/enable", json!({}))
        .await;
    assert!(world.replay().await);
    world.hub.settle().await;
    assert_eq!(world.runs(&alice).await, Vec::<Value>::new());
    world.sam_calls(&alice).await;
    assert_eq!(world.runs(&alice).await.len(), 1);
    world.sent(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_when_i_am_elsewhere_or_somebody_else_calls() {
    let (world, alice) = partner_at_work().await;
    let stranger = Party {
        id: None,
        name: None,
        relations: Vec::new(),
        ..sam()
    };
    world.publish(&alice, Lane::Live, call(&stranger)).await;
    assert_eq!(
        *world.memory.asked.lock().unwrap(),
        [],
        "no script runs unless `where` matches"
    );
    world.now_at("Home");
    world.sam_calls(&alice).await;
    assert_eq!(world.runs(&alice).await, Vec::<Value>::new());
    world.sent(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_three_hours_late_is_traced_as_too_late_and_not_answered() {
    let (world, alice) = partner_at_work().await;
    let late = call(&sam()).occurred(SystemClock.now() - chrono::Duration::hours(3));
    world.publish(&alice, Lane::Live, late).await;
    let trace = world.trace(&alice).await;
    assert_eq!(trace["status"], "skipped");
    let reason = trace["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("too late: it happened 3h") && reason.ends_with("max_age is 10m"),
        "{reason}"
    );
    world.sent(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_an_import_brings_are_not_answered() {
    let (world, alice) = partner_at_work().await;
    world.publish(&alice, Lane::Backfill, call(&sam())).await;
    assert_eq!(world.runs(&alice).await, Vec::<Value>::new());
    world.sent(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_fails_is_traced_with_its_place_and_the_others_run() {
    let world = World::new().await;
    let alice = world.hub.somebody();
    world
        .rule(
            &alice,
            "const RULE = #{ id: \"a-bad\", on: \"communication.CallStarted\", grants: [\"log.write\"] };\n\
             fn then(ev) {\n    log.write(\"before\");\n    ev.from.name.nothing.more\n}",
        )
        .await;
    world
        .rule(
            &alice,
            "const RULE = #{ id: \"b-good\", on: \"communication.CallStarted\", grants: [\"log.write\"] };\n\
             fn then(ev) { log.write(`${ev.from.name} calls`) }",
        )
        .await;
    world.sam_calls(&alice).await;
    let [message] = world.sent(1).await.try_into().unwrap();
    assert_eq!(
        (&message["channel"], &message["text"]),
        (&json!("log"), &json!("Sam calls"))
    );
    let runs = world.runs(&alice).await;
    let by_rule = |id: &str| runs.iter().find(|run| run["rule"] == id).unwrap();
    assert_eq!(by_rule("b-good")["status"], "completed");
    assert_eq!(
        (&by_rule("a-bad")["status"], &by_rule("a-bad")["actions"]),
        (&json!("failed"), &json!(0))
    );
    let reason = by_rule("a-bad")["reason"].as_str().unwrap();
    assert!(reason.starts_with("a-bad.rhai:4:"), "{reason}");
    let parked = spine::log::consumer::parked_list(&mut world.hub.begin(&alice).await, (0, ""), 500)
        .await
        .unwrap();
    assert!(parked.is_empty(), "a rule's mistake is no poison: {parked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_from_outside_that_no_database_takes_fails_at_most_one_rule() {
    let (world, alice) = partner_at_work().await;
    world
        .rule(
            &alice,
            "const RULE = #{ id: \"a\", on: \"communication.CallStarted\", grants: [\"log.write\"] };\n\
             fn then(ev) { log.write(ev.from.name) }",
        )
        .await;
    let odd = Party {
        name: Some("S\0m".to_owned()),
        relations: vec!["partner".to_owned(), "\0".to_owned()],
        ..sam()
    };
    world.publish(&alice, Lane::Live, call(&odd)).await;
    assert_eq!(world.sent(1).await[0]["channel"], "sms");
    let runs = world.runs(&alice).await;
    let failed = runs.iter().find(|run| run["rule"] == "a").unwrap();
    assert_eq!(failed["status"], "failed");
    assert!(failed["reason"].as_str().unwrap().contains("NUL"), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_can_ask_the_graph_for_a_person() {
    let world = World::new().await;
    let alice = world.hub.somebody();
    let id = sam().id.unwrap();
    let at = SystemClock.now();
    let entity = Entity {
        id,
        kind: "Person".to_owned(),
        title: Some("Sam Doe".to_owned()),
        props: serde_json::Map::new(),
        version: 1,
        starts_at: None,
        created_at: at,
        updated_at: at,
    };
    world.memory.entities.lock().unwrap().insert(id, entity);
    world
        .memory
        .identifiers
        .lock()
        .unwrap()
        .insert(id, vec![Identifier::new("tel", "+15550177")]);
    world
        .rule(
            &alice,
            "const RULE = #{ id: \"a\", on: \"communication.CallStarted\", grants: [\"sms.send\"] };\n\
             fn then(ev) { let who = person(ev.from.id); sms.send(who, `Hello ${who.name}`) }",
        )
        .await;
    world.sam_calls(&alice).await;
    let [message] = world.sent(1).await.try_into().unwrap();
    assert_eq!(
        (&message["to"], &message["text"]),
        (&json!("+15550177"), &json!("Hello Sam Doe"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_bob_runs_no_rule_of_alices() {
    let (world, alice) = partner_at_work().await;
    let bob = world.hub.somebody();
    world.sam_calls(&bob).await;
    assert_eq!(world.runs(&bob).await, Vec::<Value>::new());
    world.sam_calls(&alice).await;
    let run = world.runs(&alice).await[0]["id"].clone();
    let path = format!("/runs/{}", run.as_str().unwrap());
    assert_eq!(world.call(&bob, "GET", &path, Value::Null).await.0, 404);
    assert_eq!(world.call(&alice, "GET", &path, Value::Null).await.0, 200);
}
