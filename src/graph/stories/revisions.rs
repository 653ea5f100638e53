//! What a source takes back, and what it says of things that the owner deleted.

use super::*;
use contracts::EntityId;

/// A revision of Sam's card, with all that the address book says of her.
fn card(said: Value, tels: &[&str]) -> Change {
    let mut entity = identified("Person", "vcard.uid", "1", said);
    entity.target = Target::Record;
    entity
        .identifiers
        .extend(tels.iter().map(|tel| Identifier::new("tel", *tel)));
    change(AssertedBy::Connector, "dav/1", vec![entity])
}

async fn party(hub: &TestHub, alice: &Scope, tel: &str) -> Option<EntityId> {
    let mut tx = hub.begin(alice).await;
    let tel = Identifier::new("tel", tel);
    hub.context
        .ports
        .graph_read()
        .party(&mut tx, &tel)
        .await
        .unwrap()
        .id
}

async fn shown(hub: &TestHub, alice: &Scope, id: EntityId) -> Value {
    let mut tx = hub.begin(alice).await;
    let found = hub.context.ports.graph_read().entity(&mut tx, id).await.unwrap();
    Value::Object(found.unwrap().props)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_sams_new_card_lacks_is_not_hers_any_more() {
    let hub = hub().await;
    let alice = hub.somebody();
    let old = card(
        json!({"name": "Sam", "note": "tall", "job_title": "Pilot"}),
        &[SAM_TEL],
    );
    let sam = apply(&hub, &alice, old.clone()).await.unwrap().entities[0].id;
    let nickname = entity("Person", Target::Existing(sam), json!({"nickname": "Sammy"}));
    apply(&hub, &alice, change(AssertedBy::User, "user", vec![nickname]))
        .await
        .unwrap();
    assert_eq!(party(&hub, &alice, SAM_TEL).await, Some(sam));

    let new = card(json!({"name": "Sam", "job_title": "Captain"}), &["+442079460958"]);
    assert_eq!(
        apply(&hub, &alice, new.clone()).await.unwrap().entities[0].version,
        3
    );
    assert_eq!(
        party(&hub, &alice, SAM_TEL).await,
        None,
        "whoever calls from it now is a stranger"
    );
    assert_eq!(party(&hub, &alice, "+442079460958").await, Some(sam));
    let said = json!({"name": "Sam", "job_title": "Captain", "nickname": "Sammy"});
    assert_eq!(shown(&hub, &alice, sam).await, said, "what the owner wrote stays");
    let again = apply(&hub, &alice, new).await.unwrap();
    assert_eq!(
        again.entities[0].version, 3,
        "the same card again changes nothing"
    );

    // She has her old number back.
    apply(&hub, &alice, old).await.unwrap();
    assert_eq!(party(&hub, &alice, SAM_TEL).await, Some(sam));
    assert_eq!(party(&hub, &alice, "+442079460958").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_another_source_or_the_owner_gave_her_stays_hers() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (_, sam) = alice_and_sam(&hub, &alice).await;
    apply(&hub, &alice, card(json!({"name": "Sam"}), &[SAM_TEL]))
        .await
        .unwrap();
    let before = told(&hub, &alice).await.len();
    apply(&hub, &alice, card(json!({"name": "Sam"}), &[]))
        .await
        .unwrap();
    assert_eq!(party(&hub, &alice, SAM_TEL).await, Some(sam));
    assert_eq!(
        told(&hub, &alice).await.len(),
        before,
        "nobody can see a difference"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_of_one_source_loses_its_recurrence_with_the_next_revision() {
    let hub = hub().await;
    let alice = hub.somebody();
    let meeting = |said| {
        let mut entity = identified("Event", "ical.uid", "1", said);
        entity.target = Target::Record;
        entity.starts_at = Some(at(0));
        change(AssertedBy::Connector, "dav/1", vec![entity])
    };
    let weekly = meeting(json!({"name": "Standup", "recurrence": "FREQ=WEEKLY"}));
    let id = apply(&hub, &alice, weekly).await.unwrap().entities[0].id;
    apply(&hub, &alice, meeting(json!({"name": "Standup"})))
        .await
        .unwrap();
    assert_eq!(shown(&hub, &alice, id).await, json!({"name": "Standup"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_meeting_of_a_series_that_was_deleted_is_not_back_in_its_old_place() {
    let hub = hub().await;
    let alice = hub.somebody();
    let meeting = |uid: &str, said, minute| {
        let mut entity = identified("Event", "ical.uid", uid, said);
        entity.starts_at = Some(at(minute));
        change(AssertedBy::Connector, "dav/1", vec![entity])
    };
    let daily = json!({"name": "Standup", "start_at": "2026-05-01T12:00:00Z", "recurrence": "FREQ=DAILY"});
    let series = apply(&hub, &alice, meeting("1", daily, 0))
        .await
        .unwrap()
        .entities[0]
        .id;
    let occurrence = "2026-05-01T12:00:00Z";
    let later = json!({"name": "Standup", "start_at": "2026-05-01T12:30:00Z", "recurrence_id": occurrence});
    let moved = meeting(&format!("1#{occurrence}"), later, 30);
    let moved = apply(&hub, &alice, moved).await.unwrap().entities[0].id;
    let shown = async || {
        let mut tx = hub.begin(&alice).await;
        let read = hub.context.ports.graph_read();
        let found = read.calendar(&mut tx, at(0), at(59)).await.unwrap();
        found
            .into_iter()
            .map(|one| (one.event.id, one.replaced))
            .collect::<Vec<_>>()
    };
    let in_its_place = (series, vec![occurrence.to_owned()]);
    assert_eq!(shown().await, [(moved, Vec::new()), in_its_place.clone()]);
    let mut tx = hub.begin(&alice).await;
    graph(&hub).delete(&mut tx, moved).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(shown().await, [in_its_place]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_of_somebody_at_a_firm_that_the_owner_deleted_is_taken_in_whole() {
    let hub = hub().await;
    let alice = hub.somebody();
    let acme = identified("Organization", "org.name", "acme", json!({"name": "Acme"}));
    let both = || {
        let mut change = card(json!({"name": "Sam"}), &[]);
        change.entities.push(acme.clone());
        change
    };
    let ids: Vec<_> = apply(&hub, &alice, both()).await.unwrap().entities;
    let (sam, firm) = (ids[0].id, ids[1].id);
    let works = |by, source: &str| {
        let mut change = change(by, source, vec![]);
        change.relations.push(RelationChange {
            from: sam,
            predicate: "works-for".to_owned(),
            to: firm,
        });
        change
    };
    let mut tx = hub.begin(&alice).await;
    graph(&hub).delete(&mut tx, firm).await.unwrap();
    tx.commit().await.unwrap();

    apply(&hub, &alice, both()).await.unwrap();
    let applied = apply(&hub, &alice, works(AssertedBy::Connector, "dav/1"))
        .await
        .unwrap();
    assert!(
        applied.relations.is_empty(),
        "it stays deleted, and nothing leads there"
    );
    let back = RelationChange {
        from: firm,
        predicate: "employs".to_owned(),
        to: sam,
    };
    let mut other_way = change(AssertedBy::Connector, "dav/1", vec![]);
    other_way.relations.push(back);
    assert!(apply(&hub, &alice, other_way).await.unwrap().relations.is_empty());
    assert_eq!(count(&hub, "relation").await, 0);
    let asked = apply(&hub, &alice, works(AssertedBy::User, "user")).await;
    assert!(matches!(asked, Err(GraphError::NotFound(_))), "the owner is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_withdrawn_while_it_was_merged_is_gone_once_it_stands_alone() {
    let hub = hub().await;
    let alice = hub.somebody();
    let one = |uid: &str| {
        let entity = identified("Person", "vcard.uid", uid, json!({"name": "Sam"}));
        change(AssertedBy::Connector, "dav/1", vec![entity])
    };
    let sam = apply(&hub, &alice, one("1")).await.unwrap().entities[0].id;
    let other = apply(&hub, &alice, one("2")).await.unwrap().entities[0].id;
    let mut tx = hub.begin(&alice).await;
    let ports = &hub.context.ports;
    graph(&hub).merge(&mut tx, sam, other).await.unwrap();
    let withdrawal = spine::ports::Withdrawal {
        by: AssertedBy::Connector,
        source: "dav/1".to_owned(),
        kind: "Person".to_owned(),
        identifier: Identifier::new("vcard.uid", "2"),
    };
    ports.record_intake().withdraw(&mut tx, withdrawal).await.unwrap();
    graph(&hub).unmerge(&mut tx, other).await.unwrap();
    let read = ports.graph_read();
    assert!(
        read.entity(&mut tx, other).await.unwrap().is_none(),
        "its source deleted it"
    );
    assert!(read.entity(&mut tx, sam).await.unwrap().is_some());
    tx.commit().await.unwrap();
    let events = told(&hub, &alice).await;
    assert_eq!(
        kinds(&events)[kinds(&events).len() - 2..],
        ["data.EntityUnmerged", "data.EntityDeleted"]
    );

    apply(&hub, &alice, one("2")).await.unwrap();
    let mut tx = hub.begin(&alice).await;
    let back = ports.graph_read().entity(&mut tx, other).await.unwrap();
    assert_eq!(
        back.map(|one| one.id),
        Some(other),
        "and it is back when the source has it again"
    );
}

/// Takes a revision of Sam's card in, and understands it unless it was known.
async fn import(hub: &TestHub, alice: &Scope, revision: &str, said: Value) -> spine::ports::Received {
    let mut tx = hub.begin(alice).await;
    let intake = hub.context.ports.record_intake();
    let record = record("cards", "1", revision);
    let received = intake.receive(&mut tx, "dav/1", record).await.unwrap();
    if !received.known {
        let mut change = card(said, &[]);
        let acme = identified("Organization", "org.name", "acme", json!({"name": "Acme"}));
        change.entities.push(acme);
        intake.understand(&mut tx, received.id, change).await.unwrap();
    }
    tx.commit().await.unwrap();
    received
}

#[tokio::test(flavor = "multi_thread")]
async fn a_title_that_is_set_back_is_back_and_only_the_last_word_is_read_again() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (a, b) = (json!({"name": "Sam"}), json!({"name": "Samantha"}));
    let first = import(&hub, &alice, "a", a.clone()).await;
    let second = import(&hub, &alice, "b", b).await;
    assert_eq!((first.before, second.before), (None, Some(first.id)));
    assert!(import(&hub, &alice, "b", json!({})).await.known, "twice is once");
    let third = import(&hub, &alice, "a", a).await;
    assert_eq!(
        (third.id, third.known, third.before),
        (first.id, false, Some(second.id))
    );
    let mut tx = hub.begin(&alice).await;
    let ports = &hub.context.ports;
    let sam = Identifier::new("vcard.uid", "1");
    let sam = ports
        .graph_read()
        .entity_by_identifier(&mut tx, "Person", &sam)
        .await
        .unwrap();
    assert_eq!(sam.unwrap().title.as_deref(), Some("Sam"));
    let kinds = ["application/x-www-form-urlencoded".to_owned()];
    let nil = contracts::RawRecordId(uuid::Uuid::nil());
    let page = ports
        .graph_export()
        .record_page(&mut tx, None, &kinds, nil, 9)
        .await
        .unwrap();
    assert_eq!(page, [first.id]);
    assert!(
        ports
            .raw_records()
            .record(&mut tx, second.id)
            .await
            .unwrap()
            .unwrap()
            .superseded
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_sam_takes_all_revisions_of_her_card_though_they_changed_nothing_and_name_her_firm() {
    let hub = hub().await;
    let alice = hub.somebody();
    for revision in ["a", "b", "c"] {
        import(&hub, &alice, revision, json!({"name": "Sam"})).await;
    }
    assert_eq!(count(&hub, "raw_record").await, 3);
    let mut tx = hub.begin(&alice).await;
    let read = hub.context.ports.graph_read();
    let sam = Identifier::new("vcard.uid", "1");
    let sam = read
        .entity_by_identifier(&mut tx, "Person", &sam)
        .await
        .unwrap()
        .unwrap();
    graph(&hub).erase(&mut tx, sam.id, false, 0).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        count(&hub, "raw_record").await,
        0,
        "nothing is left to raise her from"
    );
    assert_eq!(count(&hub, "record_entity").await, 0);
    let mut tx = hub.begin(&alice).await;
    let acme = Identifier::new("org.name", "acme");
    let acme = read
        .entity_by_identifier(&mut tx, "Organization", &acme)
        .await
        .unwrap();
    assert_eq!(
        acme.unwrap().title.as_deref(),
        Some("Acme"),
        "the firm is somebody else"
    );
}
