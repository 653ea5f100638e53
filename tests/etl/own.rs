//! What was exported here and comes back, in each format.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_by_hand_comes_back_as_itself_in_every_format() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    alice.write("Person", "Grandma", &[]).await;
    let mut tx = hub.begin(&alice.scope).await;
    let entities = [
        ("Task", json!({"due_at": "2026-05-01"})),
        ("Event", json!({"start_at": "2026-05-01"})),
    ]
    .map(|(kind, props)| EntityChange {
        target: Target::New(contracts::EntityId::new()),
        kind: kind.to_owned(),
        title: Some(kind.to_owned()),
        props: props.as_object().unwrap().clone(),
        identifiers: Vec::new(),
        starts_at: None,
    })
    .to_vec();
    let change = Change {
        by: AssertedBy::User,
        source: "user".to_owned(),
        raw: None,
        entities,
        relations: Vec::new(),
    };
    hub.context
        .ports
        .graph_write()
        .apply(&mut tx, change)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    for format in ["vcard", "csv", "ical"] {
        let export = alice.export(format).await;
        for _ in 0..2 {
            assert_eq!(
                alice.import(format, export.clone()).await["parked"],
                0,
                "{format}"
            );
        }
    }
    for (kind, count) in [("Person", 2), ("Task", 1), ("Event", 1)] {
        assert_eq!(alice.entities(kind).await, count, "{kind}");
    }
    // What another program changed in the card meanwhile is taken.
    let card = alice
        .export("vcard")
        .await
        .replace("FN:Grandma\r\n", "FN:Grandma\r\nTEL:+4930901820\r\n");
    alice.import("vcard", card).await;
    assert_eq!(alice.entities("Person").await, 2);
    assert!(alice.export("vcard").await.contains("tel:+4930901820"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_two_tables_are_not_the_same_people() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    alice.import("csv", "id,Name\n1,Sam\n2,Kim\n").await;
    alice.import("csv", "id,Name\n1,Ann\n2,Bob\n").await;
    assert_eq!(alice.entities("Person").await, 5, "four, and Alice");
}
