//! Who shares an address and is somebody else all the same.

use super::*;
use contracts::EntityId;
use contracts::events::data::MergeSuggested;

const OFFICE: &str = "+4930901820";

/// A card with an id of its own.
fn card(kind: &str, name: &str, scheme: &str, value: &str) -> Change {
    let mut entity = identified(kind, "vcard.uid", name, json!({ "name": name }));
    entity.identifiers.push(Identifier::new(scheme, value));
    change(AssertedBy::Connector, "dav/1", vec![entity])
}

async fn take_in(hub: &TestHub, alice: &Scope, change: Change) -> EntityId {
    apply(hub, alice, change).await.unwrap().entities[0].id
}

async fn shown(hub: &TestHub, alice: &Scope, id: EntityId) -> (EntityId, Option<String>) {
    let mut tx = hub.begin(alice).await;
    let found = hub.context.ports.graph_read().entity(&mut tx, id).await.unwrap();
    let found = found.unwrap();
    (found.id, found.title)
}

/// The pairs that the owner is asked about.
async fn asked(hub: &TestHub, alice: &Scope) -> Vec<[EntityId; 2]> {
    let events = told(hub, alice).await;
    let suggested = events
        .iter()
        .filter_map(|event| event.payload::<MergeSuggested>()?.ok());
    suggested
        .map(|one| {
            let mut pair = [one.first, one.second];
            pair.sort_by_key(|id| id.0);
            pair
        })
        .collect()
}

fn pair(one: EntityId, other: EntityId) -> [EntityId; 2] {
    let mut pair = [one, other];
    pair.sort_by_key(|id| id.0);
    pair
}

#[tokio::test(flavor = "multi_thread")]
async fn a_family_that_shares_a_mailbox_stays_two_people_though_a_mail_came_first() {
    let hub = hub().await;
    let alice = hub.somebody();
    let mailbox = identified("Person", "email", "family@example.org", json!({}));
    let mailbox = change(AssertedBy::Connector, "import/mbox", vec![mailbox]);
    let nobody = take_in(&hub, &alice, mailbox).await;
    let ann = take_in(
        &hub,
        &alice,
        card("Person", "Ann Smith", "email", "family@example.org"),
    )
    .await;
    assert_eq!(ann, nobody);
    let bob = take_in(
        &hub,
        &alice,
        card("Person", "Bob Smith", "email", "family@example.org"),
    )
    .await;
    assert_eq!(
        (shown(&hub, &alice, ann).await.1, shown(&hub, &alice, bob).await.1),
        (Some("Ann Smith".to_owned()), Some("Bob Smith".to_owned()))
    );
    assert_eq!(asked(&hub, &alice).await, [pair(ann, bob)]);

    // Both cards come again, and the mailbox writes again.
    take_in(
        &hub,
        &alice,
        card("Person", "Bob Smith", "email", "family@example.org"),
    )
    .await;
    let again = take_in(
        &hub,
        &alice,
        card("Person", "Ann Smith", "email", "family@example.org"),
    )
    .await;
    assert_eq!(again, ann);
    assert_ne!(shown(&hub, &alice, ann).await.0, shown(&hub, &alice, bob).await.0);
    assert_eq!(asked(&hub, &alice).await.len(), 1, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_annas_of_one_office_are_not_joined_by_a_third_who_has_no_surname() {
    let hub = hub().await;
    let alice = hub.somebody();
    let anna = take_in(&hub, &alice, card("Person", "Anna", "tel", OFFICE)).await;
    let schmidt = take_in(&hub, &alice, card("Person", "Anna Schmidt", "tel", OFFICE)).await;
    assert_eq!(schmidt, anna, "as long as nobody else is there to be meant");
    let weber = take_in(&hub, &alice, card("Person", "Anna Weber", "tel", OFFICE)).await;
    assert_ne!(shown(&hub, &alice, weber).await.0, anna);
    assert_eq!(asked(&hub, &alice).await, [pair(anna, weber)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_fits_two_is_asked_about_and_merged_with_neither() {
    let hub = hub().await;
    let alice = hub.somebody();
    let schmidt = take_in(&hub, &alice, card("Person", "Anna Schmidt", "tel", OFFICE)).await;
    let weber = take_in(&hub, &alice, card("Person", "Anna Weber", "tel", OFFICE)).await;
    let anna = take_in(&hub, &alice, card("Person", "Anna", "tel", OFFICE)).await;
    let roots = [
        shown(&hub, &alice, schmidt).await.0,
        shown(&hub, &alice, weber).await.0,
    ];
    assert!(!roots.contains(&shown(&hub, &alice, anna).await.0));
    let mut pairs = asked(&hub, &alice).await;
    pairs.sort_by_key(|pair| (pair[0].0, pair[1].0));
    let mut all = [pair(schmidt, weber), pair(schmidt, anna), pair(weber, anna)];
    all.sort_by_key(|pair| (pair[0].0, pair[1].0));
    assert_eq!(pairs, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_one_host_makes_neither_two_people_one_nor_two_firms() {
    let hub = hub().await;
    let alice = hub.somebody();
    for (kind, one, other, mailbox) in [
        ("Organization", "Acme", "Acme Berlin", "info@host.example"),
        ("Organization", "Globe", "Globe Travel", "bounces-7@host.example"),
        ("Person", "Sam", "Sam Miller", "newsletter@host.example"),
        ("Person", "Kim", "Kim Jones", "jobs-noreply@host.example"),
    ] {
        let first = take_in(&hub, &alice, card(kind, one, "email", mailbox)).await;
        let second = take_in(&hub, &alice, card(kind, other, "email", mailbox)).await;
        assert_ne!(
            shown(&hub, &alice, first).await.0,
            shown(&hub, &alice, second).await.0,
            "{one}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_source_says_who_the_owner_is() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (me, _) = alice_and_sam(&hub, &alice).await;
    let claim = identified("Person", "allod", "me", json!({"name": "Mallory"}));
    let refused = apply(
        &hub,
        &alice,
        change(AssertedBy::Connector, "import/jsonld", vec![claim]),
    )
    .await;
    assert!(matches!(refused, Err(GraphError::Invalid(_))));
    assert_eq!(shown(&hub, &alice, me).await.1.as_deref(), Some("Alice"));
}
