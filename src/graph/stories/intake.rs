//! Records that come first and are understood later, and what a source no longer has.

use super::*;
use contracts::EntityId;
use spine::ports::{Received, Withdrawal};

async fn receive(hub: &TestHub, scope: &Scope, uid: &str, revision: &str) -> Received {
    let mut tx = hub.begin(scope).await;
    let mut card = record("cards", uid, revision);
    card.media_type = "text/vcard".to_owned();
    let received = hub
        .context
        .ports
        .record_intake()
        .receive(&mut tx, "dav/1", card)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    received
}

fn card(uid: &str, said: Value) -> Change {
    let entity = identified("Person", "vcard.uid", uid, said);
    change(AssertedBy::Connector, "dav/1", vec![entity])
}

async fn understand(
    hub: &TestHub,
    scope: &Scope,
    record: contracts::RawRecordId,
    change: Change,
) -> Result<Applied, GraphError> {
    let mut tx = hub.begin(scope).await;
    let applied = hub
        .context
        .ports
        .record_intake()
        .understand(&mut tx, record, change)
        .await;
    tx.commit().await.unwrap();
    applied
}

async fn withdraw(hub: &TestHub, scope: &Scope, source: &str, uid: &str) -> Option<EntityId> {
    let mut tx = hub.begin(scope).await;
    let withdrawal = Withdrawal {
        by: AssertedBy::Connector,
        source: source.to_owned(),
        kind: "Person".to_owned(),
        identifier: Identifier::new("vcard.uid", uid),
    };
    let applied = hub
        .context
        .ports
        .record_intake()
        .withdraw(&mut tx, withdrawal)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    applied.map(|applied| applied.id)
}

async fn shown(hub: &TestHub, scope: &Scope, id: EntityId) -> Option<Value> {
    let mut tx = hub.begin(scope).await;
    let found = hub.context.ports.graph_read().entity(&mut tx, id).await.unwrap();
    found.map(|entity| Value::Object(entity.props))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_understood_again_after_its_mapping_improved_without_doubles() {
    let hub = hub().await;
    let alice = hub.somebody();
    let first = receive(&hub, &alice, "1", "a").await;
    assert_eq!(
        receive(&hub, &alice, "1", "a").await,
        Received {
            id: first.id,
            known: true,
            parked: false,
            before: None
        },
        "the same revision is not written twice"
    );
    let one = understand(&hub, &alice, first.id, card("1", json!({"name": "Sam"})))
        .await
        .unwrap();
    let better = card("1", json!({"name": "Sam", "nickname": "Sammy"}));
    let two = understand(&hub, &alice, first.id, better.clone()).await.unwrap();
    let three = understand(&hub, &alice, first.id, better).await.unwrap();
    assert_eq!((one.entities[0].created, two.entities[0].created), (true, false));
    assert_eq!((two.entities[0].version, three.entities[0].version), (2, 2));
    assert_eq!(count(&hub, "entity").await, 1);
    assert_eq!(
        kinds(&told(&hub, &alice).await),
        [
            "connector.DataReceived",
            "data.EntityCreated",
            "data.EntityUpdated"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_record_is_parked_with_its_reason_and_can_be_understood_later() {
    let hub = hub().await;
    let alice = hub.somebody();
    let bad = receive(&hub, &alice, "1", "a").await;
    let refused = understand(&hub, &alice, bad.id, card("1", json!({"name": 7})))
        .await
        .unwrap_err();
    assert!(matches!(refused, GraphError::Invalid(_)), "{refused}");
    for _ in 0..2 {
        let mut tx = hub.begin(&alice).await;
        hub.context
            .ports
            .record_intake()
            .park_received(&mut tx, bad.id, "the name is a number")
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
    let mut tx = hub.begin(&alice).await;
    let parked = hub.context.ports.raw_records().parked(&mut tx).await.unwrap();
    assert_eq!(
        (parked.len(), parked[0].reason.as_str(), parked[0].tries),
        (1, "the name is a number", 3)
    );
    drop(tx);
    understand(&hub, &alice, bad.id, card("1", json!({"name": "Sam"})))
        .await
        .unwrap();
    let mut tx = hub.begin(&alice).await;
    assert!(
        hub.context
            .ports
            .raw_records()
            .parked(&mut tx)
            .await
            .unwrap()
            .is_empty()
    );
    drop(tx);
    assert_eq!(
        kinds(&told(&hub, &alice).await),
        [
            "connector.DataReceived",
            "connector.RecordParked",
            "data.EntityCreated"
        ]
    );
    let bob = hub.somebody();
    assert!(
        understand(&hub, &bob, bad.id, card("1", json!({})))
            .await
            .is_err(),
        "not his record"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_source_deleted_is_gone_until_it_comes_back_and_what_the_owner_wrote_stays() {
    let hub = hub().await;
    let alice = hub.somebody();
    let record = receive(&hub, &alice, "1", "a").await;
    let applied = understand(&hub, &alice, record.id, card("1", json!({"name": "Sam"})))
        .await
        .unwrap();
    let sam = applied.entities[0].id;
    assert_eq!(
        withdraw(&hub, &alice, "dav/2", "1").await,
        None,
        "another source has no say in it"
    );
    assert_eq!(withdraw(&hub, &alice, "dav/1", "1").await, Some(sam));
    assert_eq!(
        withdraw(&hub, &alice, "dav/1", "1").await,
        None,
        "a second time changes nothing"
    );
    assert_eq!(shown(&hub, &alice, sam).await, None);

    let again = receive(&hub, &alice, "1", "b").await;
    let back = understand(&hub, &alice, again.id, card("1", json!({"name": "Sam"})))
        .await
        .unwrap();
    assert_eq!(back.entities[0].id, sam, "it is the same one");
    let note = entity("Person", Target::Existing(sam), json!({"note": "tall"}));
    apply(&hub, &alice, change(AssertedBy::User, "user", vec![note]))
        .await
        .unwrap();
    withdraw(&hub, &alice, "dav/1", "1").await;
    assert_eq!(shown(&hub, &alice, sam).await, Some(json!({"note": "tall"})));
    assert_eq!(
        kinds(&told(&hub, &alice).await),
        [
            "connector.DataReceived",
            "data.EntityCreated",
            "data.EntityDeleted",
            "connector.DataReceived",
            "data.EntityRestored",
            "data.EntityUpdated",
            "data.EntityUpdated"
        ]
    );
}

/// A card that is understood, with whom it says its person knows.
async fn knows(hub: &TestHub, scope: &Scope, uid: &str, revision: &str, whom: &[EntityId]) -> EntityId {
    let record = receive(hub, scope, uid, revision).await.id;
    let mut said = card(uid, json!({"name": uid}));
    let mail = Identifier::new("email", format!("{uid}@example.org"));
    said.entities[0].identifiers.push(mail);
    let one = understand(hub, scope, record, said.clone())
        .await
        .unwrap()
        .entities[0]
        .id;
    said.entities.clear();
    said.relations = whom.iter().map(|whom| friend(one, *whom)).collect();
    let mut tx = hub.begin(scope).await;
    let intake = hub.context.ports.record_intake();
    intake.relate(&mut tx, record, said, &[]).await.unwrap();
    tx.commit().await.unwrap();
    one
}

fn friend(from: EntityId, to: EntityId) -> RelationChange {
    let predicate = "friend".to_owned();
    RelationChange { from, predicate, to }
}

/// Who is somebody's friend, whose friend somebody is, and by what somebody is known.
async fn known_of(hub: &TestHub, scope: &Scope, id: EntityId) -> (Vec<String>, Vec<String>) {
    let detail = around::get(hub, scope, &format!("/entities/{id}")).await.1;
    let relation = |one: &Value| {
        let way = if one["from"] == json!(id) { "to" } else { "from" };
        format!("{way} {}", one["other_title"].as_str().unwrap())
    };
    let mut related: Vec<String> = detail["relations"]
        .as_array()
        .unwrap()
        .iter()
        .map(relation)
        .collect();
    let known_by = detail["identifiers"].as_array().unwrap().iter();
    let mut known_by: Vec<String> = known_by
        .map(|one| one["value"].as_str().unwrap().to_owned())
        .collect();
    for list in [&mut related, &mut known_by] {
        list.sort();
        list.dedup();
    }
    (related, known_by)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_source_takes_back_goes_with_its_relations_and_addresses_and_comes_back_with_them() {
    let hub = hub().await;
    let alice = hub.somebody();
    let kim = knows(&hub, &alice, "kim", "a", &[]).await;
    let ann = knows(&hub, &alice, "ann", "a", &[]).await;
    let sam = knows(&hub, &alice, "sam", "a", &[kim, ann]).await;
    knows(&hub, &alice, "kim", "b", &[sam]).await;
    let note = entity("Person", Target::Existing(sam), json!({"note": "tall"}));
    let mut said = change(AssertedBy::User, "user", vec![note]);
    said.relations.push(friend(sam, ann));
    apply(&hub, &alice, said).await.unwrap();
    let before = known_of(&hub, &alice, sam).await;
    assert_eq!(before.0, ["from kim", "to ann", "to kim"]);
    assert_eq!(before.1, ["sam", "sam@example.org"]);

    let told_before = told(&hub, &alice).await.len();
    assert_eq!(withdraw(&hub, &alice, "dav/1", "sam").await, Some(sam));
    let (related, known_by) = known_of(&hub, &alice, sam).await;
    assert_eq!(
        related,
        ["from kim", "to ann"],
        "by Kim's card, and by Alice's own word"
    );
    assert_eq!(known_by, ["sam"], "by this it is found when it comes back");
    let events = told(&hub, &alice).await;
    assert_eq!(
        kinds(&events[told_before..]),
        ["data.RelationRemoved", "data.EntityUpdated"]
    );
    assert_eq!(withdraw(&hub, &alice, "dav/1", "sam").await, None);
    assert_eq!(
        told(&hub, &alice).await.len(),
        told_before + 2,
        "a second time tells nobody"
    );

    assert_eq!(knows(&hub, &alice, "sam", "b", &[kim, ann]).await, sam);
    assert_eq!(known_of(&hub, &alice, sam).await, before);
}
