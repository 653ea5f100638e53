//! What sources deliver: once, twice, at once, wrongly.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn importing_the_same_record_twice_adds_nothing_and_tells_nobody() {
    let hub = hub().await;
    let alice = hub.somebody();
    let first = apply(&hub, &alice, call("CA1", "ringing")).await.unwrap();
    assert!(!first.duplicate && first.entities[0].created);
    let second = apply(&hub, &alice, call("CA1", "ringing")).await.unwrap();
    assert!(second.duplicate && second.entities.is_empty());
    assert_eq!(second.raw, first.raw);
    let events = told(&hub, &alice).await;
    assert_eq!(kinds(&events), ["connector.DataReceived", "data.EntityCreated"]);
    assert_eq!(events[1].subject, Some(first.entities[0].id.to_string()));
    assert_eq!(events[1].subject_version, Some(1));
    assert_eq!(
        (
            count(&hub, "raw_record").await,
            count(&hub, "entity").await,
            count(&hub, "claim").await
        ),
        (1, 1, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_revision_changes_the_call_and_says_what_changed() {
    let hub = hub().await;
    let alice = hub.somebody();
    let ringing = apply(&hub, &alice, call("CA1", "ringing")).await.unwrap();
    let completed = apply(&hub, &alice, call("CA1", "completed")).await.unwrap();
    assert_eq!(completed.entities[0].id, ringing.entities[0].id);
    assert_eq!(
        (completed.entities[0].version, completed.entities[0].created),
        (2, false)
    );
    let mut again = call("CA1", "completed");
    again.raw = None;
    assert_eq!(apply(&hub, &alice, again).await.unwrap().entities[0].version, 2);
    let events = told(&hub, &alice).await;
    assert_eq!(
        kinds(&events),
        [
            "connector.DataReceived",
            "data.EntityCreated",
            "connector.DataReceived",
            "data.EntityUpdated"
        ]
    );
    assert_eq!(events[3].body.as_ref().unwrap()["changed"], json!(["status"]));
    assert_eq!(events[3].subject_version, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_deliveries_at_once_give_one_call() {
    let hub = hub().await;
    let alice = hub.somebody();
    for round in 0..8 {
        let sid = format!("CA{round}");
        let (one, two) = tokio::join!(
            apply(&hub, &alice, call(&sid, "ringing")),
            apply(&hub, &alice, call(&sid, "ringing"))
        );
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_ne!(one.duplicate, two.duplicate, "exactly one of them is new");
        // Two different records about one call: both are kept, the call is one.
        let (one, two) = tokio::join!(
            apply(&hub, &alice, call(&sid, "busy")),
            apply(&hub, &alice, call(&sid, "canceled"))
        );
        assert_eq!(one.unwrap().entities[0].id, two.unwrap().entities[0].id);
    }
    for round in 8..16 {
        let sid = format!("CA{round}");
        let (one, two) = tokio::join!(
            apply(&hub, &alice, call(&sid, "busy")),
            apply(&hub, &alice, call(&sid, "canceled"))
        );
        let (one, two) = (one.unwrap().entities.remove(0), two.unwrap().entities.remove(0));
        assert_eq!(one.id, two.id);
        assert_ne!(one.created, two.created, "exactly one of them made it");
    }
    assert_eq!(count(&hub, "entity").await, 16);
    assert_eq!(
        count(&hub, "identifier").await,
        16 + 2,
        "and the two numbers, once each"
    );
    assert_eq!(count(&hub, "raw_record").await, 8 * 3 + 8 * 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_change_leaves_nothing_so_that_its_record_can_be_parked_beside_it() {
    let hub = hub().await;
    let alice = hub.somebody();
    let nobody = contracts::EntityId::new();
    let mut bad = call("CA1", "ringing");
    bad.relations.push(RelationChange {
        from: nobody,
        predicate: "caller".to_owned(),
        to: contracts::EntityId::new(),
    });
    let mut tx = hub.begin(&alice).await;
    let write = hub.context.ports.graph_write();
    assert!(matches!(write.apply(&mut tx, bad.clone()).await, Err(GraphError::NotFound(id)) if id == nobody));
    let id = write
        .park(&mut tx, "twilio/1", bad.raw.clone().unwrap(), "whose call is it?")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(count(&hub, "entity").await, 0);

    // The same again is the same record: the try is counted, and only a new reason is told.
    for reason in ["whose call is it?", "still nobody's"] {
        let mut tx = hub.begin(&alice).await;
        assert_eq!(
            write
                .park(&mut tx, "twilio/1", bad.raw.clone().unwrap(), reason)
                .await
                .unwrap(),
            id
        );
        tx.commit().await.unwrap();
    }
    let mut tx = hub.begin(&alice).await;
    let parked = hub.context.ports.raw_records().parked(&mut tx).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!(
        (
            parked[0].reason.as_str(),
            parked[0].tries,
            parked[0].stream.as_str()
        ),
        ("still nobody's", 3, "calls")
    );
    assert_eq!(
        kinds(&told(&hub, &alice).await),
        ["connector.RecordParked", "connector.RecordParked"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_record_is_read_back_as_received_and_processed_on_the_retry() {
    let hub = hub().await;
    let alice = hub.somebody();
    let raw = record("calls", "CA7", "ringing");
    let mut tx = hub.begin(&alice).await;
    let id = hub
        .context
        .ports
        .graph_write()
        .park(&mut tx, "twilio/1", raw.clone(), "no such field")
        .await
        .unwrap();
    tx.commit().await.unwrap();

    let mut tx = hub.begin(&alice).await;
    let kept = hub
        .context
        .ports
        .raw_records()
        .record(&mut tx, id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.parked.as_deref(), Some("no such field"));
    assert_eq!(
        (&kept.record.body, &kept.record.remote_id),
        (&raw.body, &raw.remote_id)
    );
    assert_eq!(kept.record.connection, raw.connection);

    let mut retry = call("CA7", "ringing");
    retry.raw = Some(kept.record);
    let applied = apply(&hub, &alice, retry.clone()).await.unwrap();
    assert_eq!((applied.raw, applied.duplicate), (Some(id), false));
    assert!(apply(&hub, &alice, retry).await.unwrap().duplicate);
    let mut tx = hub.begin(&alice).await;
    let write = hub.context.ports.graph_write();
    assert_eq!(
        write.park(&mut tx, "twilio/1", raw, "too late").await.unwrap(),
        id,
        "what is processed stays so"
    );
    assert!(
        hub.context
            .ports
            .raw_records()
            .parked(&mut tx)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(count(&hub, "raw_record").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_received_lies_sealed_in_the_table() {
    let hub = hub().await;
    let alice = hub.somebody();
    apply(&hub, &alice, call("CA-secret", "ringing")).await.unwrap();
    let mut behind = hub.database.superuser().await;
    let row: (Vec<u8>, Vec<u8>, Vec<u8>) =
        sqlx::query_as("SELECT body, remote_id, remote_key FROM graph.raw_record")
            .fetch_one(&mut behind)
            .await
            .unwrap();
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(!holds(&row.0, "CallSid") && !holds(&row.0, "CA-secret"));
    assert!(!holds(&row.1, "CA-secret") && !holds(&row.2, "CA-secret"));
    // Moved to another row, it doesn't open there.
    sqlx::query("UPDATE graph.raw_record SET body = remote_id")
        .execute(&mut behind)
        .await
        .unwrap();
    let mut tx = hub.begin(&alice).await;
    let id: uuid::Uuid = sqlx::query_scalar("SELECT id FROM graph.raw_record")
        .fetch_one(&mut behind)
        .await
        .unwrap();
    let opened = hub.context.ports.raw_records().record(&mut tx, id.into()).await;
    assert!(matches!(opened, Err(GraphError::Invalid(_))), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_of_a_kind_of_its_own_can_not_be_made_twice_or_changed_as_another_kind() {
    let hub = hub().await;
    let alice = hub.somebody();
    let id = contracts::EntityId::new();
    let message = json!({"direction": "out", "channel": "log", "status": "queued", "text": "Hi"});
    let make = || {
        change(
            AssertedBy::Rule,
            "rule/x",
            vec![entity("Message", Target::New(id), message.clone())],
        )
    };
    assert_eq!(apply(&hub, &alice, make()).await.unwrap().entities[0].id, id);
    let again = apply(&hub, &alice, make()).await.unwrap_err();
    assert!(again.to_string().contains("already"), "{again}");
    let other = change(
        AssertedBy::Rule,
        "rule/x",
        vec![entity("Place", Target::Existing(id), json!({}))],
    );
    let other = apply(&hub, &alice, other).await.unwrap_err();
    assert!(other.to_string().contains("is a Message, not a Place"), "{other}");
    let lacking = change(
        AssertedBy::Rule,
        "rule/x",
        vec![entity(
            "Message",
            Target::New(contracts::EntityId::new()),
            json!({"channel": "log"}),
        )],
    );
    let lacking = apply(&hub, &alice, lacking).await.unwrap_err();
    assert!(
        lacking
            .to_string()
            .starts_with("Message needs the property `direction`"),
        "{lacking}"
    );
    assert_eq!(count(&hub, "entity").await, 1);
}
