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
