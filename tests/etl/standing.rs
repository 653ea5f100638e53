//! What a newer revision of a record leaves standing, since it says nothing of it, or somebody else says it.

use super::*;

fn at(place: &str, summary: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:standup\r\nSUMMARY:{summary}\r\n\
         DTSTART:20260501T090000Z\r\nLOCATION:{place}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

/// The owner calls something otherwise.
async fn rename(alice: &Alice<'_>, id: contracts::EntityId, name: &str) {
    let mut tx = alice.hub.begin(&alice.scope).await;
    let entity = EntityChange {
        target: Target::Existing(id),
        kind: "Place".to_owned(),
        title: Some(name.to_owned()),
        props: json!({ "name": name }).as_object().unwrap().clone(),
        identifiers: Vec::new(),
        starts_at: None,
    };
    let change = Change {
        by: AssertedBy::User,
        source: "user".to_owned(),
        raw: None,
        entities: vec![entity],
        relations: Vec::new(),
    };
    let graph = alice.hub.context.ports.graph_write();
    graph.apply(&mut tx, change).await.unwrap();
    tx.commit().await.unwrap();
}

/// The two of a type become one.
async fn unite(alice: &Alice<'_>, kind: &str) {
    let mut tx = alice.hub.begin(&alice.scope).await;
    let ports = &alice.hub.context.ports;
    let all = ports.graph_read().entities(&mut tx, kind).await.unwrap();
    assert_eq!(all.len(), 2);
    let merge = ports.graph_merge();
    assert!(
        merge
            .unite(&mut tx, all[0].id, all[1].id, "the same")
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();
}

const THERE: &str = "relation WHERE predicate = 'location' AND removed_at IS NULL";

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stays_where_it_was_when_its_place_is_called_otherwise_and_leaves_it_when_it_moves() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let office = alice.write("Place", "Office", &[]).await;
    alice.import("ical", at("Office", "Standup")).await;
    assert_eq!(alice.count(THERE).await, 1);
    rename(&alice, office, "HQ").await;
    alice.import("ical", at("Office", "Standup, shorter")).await;
    assert_eq!(
        alice.count(THERE).await,
        1,
        "the calendar says what it said of the place"
    );
    alice.import("ical", at("The park", "Standup, shorter")).await;
    assert_eq!(alice.count(THERE).await, 0, "it is somewhere else now");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_groups_that_are_one_each_card_speaks_of_its_own_members() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let person =
        |uid: &str| format!("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:{uid}\r\nFN:{uid} Example\r\nEND:VCARD\r\n");
    let group = |uid: &str, members: &[&str]| {
        let members: String = members
            .iter()
            .map(|one| format!("MEMBER:urn:uuid:{one}\r\n"))
            .collect();
        format!(
            "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:{uid}\r\nKIND:group\r\nFN:Friends\r\n{members}END:VCARD\r\n"
        )
    };
    let file = [
        person("sam"),
        person("kim"),
        group("one", &["sam"]),
        group("two", &["kim"]),
    ];
    alice.import("vcard", file.concat()).await;
    unite(&alice, "Group").await;
    let members = "relation WHERE predicate = 'member-of' AND removed_at IS NULL";
    alice.import("vcard", group("one", &["sam", "nobody"])).await;
    assert_eq!(alice.count(members).await, 2, "Kim is in by the other card");
    alice.import("vcard", group("one", &[])).await;
    assert_eq!(alice.count(members).await, 1, "Sam has left");
}
