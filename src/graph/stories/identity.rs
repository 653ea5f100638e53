//! Who is one with whom, and how that is taken back.

use super::*;
use contracts::EntityId;
use contracts::events::data::{EntityMerged, EntityUnmerged, MergeSuggested};
use spine::ports::Entity;

const SAM_MAIL: &str = "sam@example.org";

/// A card of an address book, as a connector writes it.
fn card(uid: &str, name: &str, identifiers: &[(&str, &str)]) -> Change {
    let mut entity = identified("Person", "vcard.uid", uid, json!({ "name": name }));
    entity.identifiers.extend(
        identifiers
            .iter()
            .map(|(scheme, value)| Identifier::new(*scheme, *value)),
    );
    change(AssertedBy::Connector, "dav/1", vec![entity])
}

async fn said_by_user(hub: &TestHub, scope: &Scope, id: EntityId, said: Value) {
    let edit = entity("Person", Target::Existing(id), said);
    apply(hub, scope, change(AssertedBy::User, "user", vec![edit]))
        .await
        .unwrap();
}

async fn read(hub: &TestHub, scope: &Scope, id: EntityId) -> Option<Entity> {
    let mut tx = hub.begin(scope).await;
    hub.context.ports.graph_read().entity(&mut tx, id).await.unwrap()
}

async fn take_in(hub: &TestHub, scope: &Scope, change: Change) -> EntityId {
    apply(hub, scope, change).await.unwrap().entities[0].id
}

async fn merge(
    hub: &TestHub,
    scope: &Scope,
    survivor: EntityId,
    absorbed: EntityId,
) -> Result<EntityId, GraphError> {
    let mut tx = hub.begin(scope).await;
    let merged = graph(hub).merge(&mut tx, survivor, absorbed).await;
    tx.commit().await.unwrap();
    merged
}

async fn unmerge(hub: &TestHub, scope: &Scope, absorbed: EntityId) -> Result<(), GraphError> {
    let mut tx = hub.begin(scope).await;
    let parted = graph(hub).unmerge(&mut tx, absorbed).await;
    tx.commit().await.unwrap();
    parted.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_cards_with_one_address_and_agreeing_names_are_one_person() {
    let hub = hub().await;
    let alice = hub.somebody();
    let first = take_in(&hub, &alice, card("1", "Sam Miller", &[("email", SAM_MAIL)])).await;
    let second = card(
        "2",
        "Miller, Sam",
        &[("email", "SAM@example.org"), ("tel", SAM_TEL)],
    );
    assert_eq!(take_in(&hub, &alice, second.clone()).await, first);

    let events = told(&hub, &alice).await;
    assert_eq!(
        kinds(&events),
        ["data.EntityCreated", "data.EntityCreated", "data.EntityMerged"]
    );
    let merged = events[2].payload::<EntityMerged>().unwrap().unwrap();
    assert_eq!((merged.entity, merged.version), (first, 2));
    let sam = read(&hub, &alice, merged.absorbed).await.unwrap();
    assert_eq!((sam.id, sam.title.as_deref()), (first, Some("Sam Miller")));
    let mut tx = hub.begin(&alice).await;
    let ports = &hub.context.ports;
    let party = ports
        .graph_read()
        .party(&mut tx, &Identifier::new("tel", SAM_TEL))
        .await
        .unwrap();
    assert_eq!(
        party.id,
        Some(first),
        "the other card's number leads to the survivor"
    );
    assert_eq!(
        ports
            .graph_read()
            .entities(&mut tx, "Person")
            .await
            .unwrap()
            .len(),
        1
    );
    drop(tx);

    // Both come again, in the next sync: nothing is new.
    take_in(&hub, &alice, second).await;
    take_in(&hub, &alice, card("1", "Sam Miller", &[("email", SAM_MAIL)])).await;
    assert_eq!(told(&hub, &alice).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_card_that_lists_two_addresses_joins_who_bear_them() {
    let hub = hub().await;
    let alice = hub.somebody();
    let by_mail = identified("Person", "email", SAM_MAIL, json!({"name": "Sam"}));
    let by_tel = identified("Person", "tel", SAM_TEL, json!({}));
    let mail = take_in(
        &hub,
        &alice,
        change(AssertedBy::Connector, "imap/1", vec![by_mail]),
    )
    .await;
    let tel = take_in(
        &hub,
        &alice,
        change(AssertedBy::Connector, "twilio/1", vec![by_tel]),
    )
    .await;
    assert_ne!(mail, tel);
    let one = take_in(
        &hub,
        &alice,
        card("1", "Sam Miller", &[("email", SAM_MAIL), ("tel", SAM_TEL)]),
    )
    .await;
    for id in [mail, tel] {
        assert_eq!(read(&hub, &alice, id).await.unwrap().id, one);
    }
    assert_eq!(one, mail, "the eldest stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_merged_on_a_role_mailbox_a_short_code_or_a_shared_phone_under_another_name() {
    let hub = hub().await;
    let alice = hub.somebody();
    let info = [("email", "info@example.org"), ("tel.short", "12345")];
    let one = take_in(&hub, &alice, card("1", "Sam Miller", &info)).await;
    let other = take_in(&hub, &alice, card("2", "Sam Miller", &info)).await;
    assert_ne!(
        read(&hub, &alice, one).await.unwrap().id,
        read(&hub, &alice, other).await.unwrap().id
    );

    let home = [("tel", "+4930901820")];
    let ann = take_in(&hub, &alice, card("3", "Ann Smith", &home)).await;
    let bob = take_in(&hub, &alice, card("4", "Bob Smith", &home)).await;
    assert_ne!(ann, bob, "a household shares a phone");
    let events = told(&hub, &alice).await;
    assert!(!kinds(&events).contains(&"data.EntityMerged"));
    let asked: Vec<MergeSuggested> = events.iter().filter_map(|event| event.payload()?.ok()).collect();
    let pair = |one: &MergeSuggested| [one.first, one.second];
    assert!(
        asked
            .iter()
            .any(|one| pair(one).contains(&ann) && pair(one).contains(&bob))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_is_asked_once_about_alike_names_with_something_in_common_and_her_answer_is_remembered() {
    let hub = hub().await;
    let alice = hub.somebody();
    let born = |uid: &str, name: &str| {
        let mut change = card(uid, name, &[]);
        change.entities[0]
            .props
            .insert("birthday".to_owned(), "1980-02-01".into());
        change
    };
    let one = take_in(&hub, &alice, born("1", "Stephen Smith")).await;
    let other = take_in(&hub, &alice, born("2", "Steven Smith")).await;
    take_in(&hub, &alice, card("3", "Stephen Smith", &[])).await;
    let asked = |events: &[Event]| {
        kinds(events)
            .iter()
            .filter(|kind| **kind == "data.MergeSuggested")
            .count()
    };
    let events = hub
        .eventually("a suggestion", async || {
            let events = told(&hub, &alice).await;
            (asked(&events) > 0).then_some(events)
        })
        .await;
    assert_eq!(asked(&events), 1, "a name alone is not enough to ask");

    let mut tx = hub.begin(&alice).await;
    graph(&hub).tell_apart(&mut tx, one, other).await.unwrap();
    tx.commit().await.unwrap();
    let mut again = born("2", "Steven Smith");
    again.entities[0]
        .identifiers
        .push(Identifier::new("email", SAM_MAIL));
    take_in(&hub, &alice, again).await;
    let mut shared = born("1", "Stephen Smith");
    shared.entities[0]
        .identifiers
        .push(Identifier::new("email", SAM_MAIL));
    take_in(&hub, &alice, shared).await;
    let events = told(&hub, &alice).await;
    assert_eq!(asked(&events), 1);
    assert!(
        !kinds(&events).contains(&"data.EntityMerged"),
        "not even a shared address merges whom she told apart"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_unmerge_claims_follow_their_record_and_edits_stay_with_the_survivor() {
    let hub = hub().await;
    let alice = hub.somebody();
    let one = take_in(&hub, &alice, card("1", "Sam Miller", &[("email", SAM_MAIL)])).await;
    let other = take_in(&hub, &alice, card("2", "Sam Miller", &[("tel", SAM_TEL)])).await;
    said_by_user(&hub, &alice, other, json!({"nickname": "Sammy"})).await;
    assert_eq!(merge(&hub, &alice, one, other).await.unwrap(), one);
    assert_eq!(
        merge(&hub, &alice, one, other).await.unwrap(),
        one,
        "a second time changes nothing"
    );
    let both = read(&hub, &alice, other).await.unwrap();
    assert_eq!((both.id, both.props["nickname"].as_str()), (one, Some("Sammy")));

    // While they are one: she edits it by either id, and the second card's next revision comes.
    said_by_user(&hub, &alice, other, json!({"note": "tall"})).await;
    let mut revised = card("2", "Sam Miller", &[("tel", SAM_TEL)]);
    revised.entities[0]
        .props
        .insert("job_title".to_owned(), "Pilot".into());
    take_in(&hub, &alice, revised.clone()).await;
    let both = read(&hub, &alice, one).await.unwrap();
    assert_eq!(
        (both.props["note"].as_str(), both.props["job_title"].as_str()),
        (Some("tall"), Some("Pilot"))
    );

    unmerge(&hub, &alice, other).await.unwrap();
    let survivor = read(&hub, &alice, one).await.unwrap();
    let separated = read(&hub, &alice, other).await.unwrap();
    assert_eq!(separated.id, other);
    assert_eq!(
        Value::Object(survivor.props),
        json!({"name": "Sam Miller", "note": "tall"})
    );
    assert_eq!(
        Value::Object(separated.props),
        json!({"name": "Sam Miller", "nickname": "Sammy", "job_title": "Pilot"})
    );
    let events = told(&hub, &alice).await;
    let parted: EntityUnmerged = events.iter().find_map(|event| event.payload()?.ok()).unwrap();
    assert_eq!((parted.entity, parted.separated), (one, other));

    // The next sync, even with an address in common, leaves them apart; the same separation twice is refused.
    revised.entities[0]
        .identifiers
        .push(Identifier::new("email", SAM_MAIL));
    take_in(&hub, &alice, revised).await;
    assert_eq!(read(&hub, &alice, other).await.unwrap().id, other);
    let refused = unmerge(&hub, &alice, other).await.unwrap_err();
    assert!(refused.to_string().contains("not merged"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_of_merges_comes_apart_at_the_joint_that_is_named() {
    let hub = hub().await;
    let alice = hub.somebody();
    let mut ids = Vec::new();
    for (uid, name) in [("1", "A"), ("2", "B"), ("3", "C")] {
        ids.push(take_in(&hub, &alice, card(uid, name, &[])).await);
    }
    let [a, b, c] = ids[..] else { panic!("three") };
    merge(&hub, &alice, b, c).await.unwrap();
    merge(&hub, &alice, a, c).await.unwrap();
    for id in [a, b, c] {
        assert_eq!(read(&hub, &alice, id).await.unwrap().id, a);
    }
    unmerge(&hub, &alice, b).await.unwrap();
    assert_eq!(read(&hub, &alice, a).await.unwrap().title.as_deref(), Some("A"));
    assert_eq!(read(&hub, &alice, c).await.unwrap().id, b, "c stays with b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relation_of_the_absorbed_is_the_survivors_and_one_that_is_taken_away_stays_away() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (me, sam) = alice_and_sam(&hub, &alice).await;
    let other = take_in(&hub, &alice, card("1", "Sam", &[])).await;
    let friend = |to| {
        let mut change = change(AssertedBy::Connector, "dav/1", vec![]);
        change.relations.push(RelationChange {
            from: me,
            predicate: "friend".to_owned(),
            to,
        });
        change
    };
    apply(&hub, &alice, friend(other)).await.unwrap();
    merge(&hub, &alice, sam, other).await.unwrap();
    let mut tx = hub.begin(&alice).await;
    let party = hub
        .context
        .ports
        .graph_read()
        .party(&mut tx, &Identifier::new("tel", SAM_TEL))
        .await
        .unwrap();
    assert_eq!(party.relations, ["friend", "partner"]);
    drop(tx);
    let before = told(&hub, &alice).await.len();
    apply(&hub, &alice, friend(sam)).await.unwrap();
    assert_eq!(told(&hub, &alice).await.len(), before, "it is the same edge");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_owner_deleted_no_import_brings_back_and_restoring_shows_the_last_word() {
    let hub = hub().await;
    let alice = hub.somebody();
    let sam = take_in(&hub, &alice, card("1", "Sam", &[("tel", SAM_TEL)])).await;
    let graph = graph(&hub);
    for _ in 0..2 {
        let mut tx = hub.begin(&alice).await;
        graph.delete(&mut tx, sam).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert!(read(&hub, &alice, sam).await.is_none());
    assert_eq!(
        take_in(&hub, &alice, card("1", "Sam Miller", &[("tel", SAM_TEL)])).await,
        sam
    );
    assert!(read(&hub, &alice, sam).await.is_none());
    let edit = entity("Person", Target::Existing(sam), json!({"name": "S"}));
    let gone = apply(&hub, &alice, change(AssertedBy::User, "user", vec![edit]))
        .await
        .unwrap_err();
    assert!(matches!(gone, GraphError::NotFound(id) if id == sam));

    let mut tx = hub.begin(&alice).await;
    graph.restore(&mut tx, sam).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        read(&hub, &alice, sam).await.unwrap().title.as_deref(),
        Some("Sam Miller")
    );
    assert_eq!(
        kinds(&told(&hub, &alice).await),
        ["data.EntityCreated", "data.EntityDeleted", "data.EntityRestored"]
    );
    let (me, _) = alice_and_sam(&hub, &alice).await;
    let mut tx = hub.begin(&alice).await;
    assert!(
        graph.delete(&mut tx, me).await.is_err(),
        "her own Person goes with the account"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_accounts_people_can_be_neither_merged_nor_told_apart() {
    let hub = hub().await;
    let (alice, bob) = (hub.somebody(), hub.somebody());
    let hers = take_in(&hub, &alice, card("1", "Sam", &[("tel", SAM_TEL)])).await;
    let his = take_in(&hub, &bob, card("1", "Sam", &[("tel", SAM_TEL)])).await;
    assert_ne!(hers, his);
    assert!(matches!(merge(&hub, &bob, his, hers).await, Err(GraphError::NotFound(id)) if id == hers));
    assert!(matches!(
        merge(&hub, &bob, hers, his).await,
        Err(GraphError::NotFound(_))
    ));
    let mut tx = hub.begin(&bob).await;
    assert!(graph(&hub).tell_apart(&mut tx, his, hers).await.is_err());
    assert!(graph(&hub).delete(&mut tx, hers).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_the_absorbed_is_told_of_the_absorbed() {
    let hub = hub().await;
    let alice = hub.somebody();
    let one = take_in(&hub, &alice, card("1", "Sam Miller", &[])).await;
    let other = take_in(&hub, &alice, card("2", "Sam Miller", &[])).await;
    let friend = take_in(&hub, &alice, card("3", "Kim Jones", &[])).await;
    merge(&hub, &alice, one, other).await.unwrap();
    for (by, source) in [(AssertedBy::Connector, "dav/1"), (AssertedBy::User, "user")] {
        let mut said = change(by, source, vec![]);
        said.relations.push(RelationChange {
            from: other,
            predicate: format!("friend.{source}").replace('/', "-"),
            to: friend,
        });
        apply(&hub, &alice, said).await.unwrap();
    }
    let events = told(&hub, &alice).await;
    let added = events
        .iter()
        .filter_map(|event| event.payload::<contracts::events::data::RelationAdded>()?.ok());
    let from: Vec<EntityId> = added.map(|added| added.from).collect();
    assert_eq!(
        from,
        [other, one],
        "a source speaks of its card, the owner of what she sees"
    );
}
