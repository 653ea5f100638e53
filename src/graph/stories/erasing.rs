//! Erasing somebody for good.

use super::around::{get, message};
use super::*;
use axum::body::Body;
use axum::http::Request;
use contracts::events::data::EntityErased;
use tower::ServiceExt;

/// Everything of the graph and of events, as text, as a thief with the whole database would read it.
async fn everything(hub: &TestHub) -> String {
    let mut behind = hub.database.superuser().await;
    let mut all = String::new();
    for table in [
        "graph.entity",
        "graph.claim",
        "graph.identifier",
        "graph.entity_identifier",
        "graph.relation",
        "graph.timeline",
        "graph.name_sound",
        "graph.merge_decision",
        "graph.raw_record",
        "spine.request",
        "pgboss.job",
    ] {
        let rows: Vec<String> = sqlx::query_scalar(&format!("SELECT t::text FROM {table} t"))
            .fetch_all(&mut behind)
            .await
            .unwrap();
        all.push_str(&rows.join("\n"));
    }
    let bodies: Vec<String> = sqlx::query_scalar("SELECT convert_from(body, 'UTF8') FROM spine.event_body")
        .fetch_all(&mut behind)
        .await
        .unwrap();
    all + &bodies.join("\n")
}

async fn order(hub: &TestHub, scope: &Scope, id: contracts::EntityId, body: &'static str) -> u16 {
    let (router, _) = crate::http::router(graph(hub)).split_for_parts();
    let mut request = Request::post(format!("/entities/{id}/erase"))
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap();
    request
        .extensions_mut()
        .insert(spine::edge::Caller(scope.clone()));
    router.oneshot(request).await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_sam_leaves_nothing_of_her_but_a_receipt_and_touches_nobody_else() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (me, sam) = alice_and_sam(&hub, &alice).await;
    apply(&hub, &alice, call("CA1", "ringing")).await.unwrap();
    for minute in 0..3 {
        apply(&hub, &alice, message(&format!("SM{minute}"), SAM_TEL, minute))
            .await
            .unwrap();
    }
    let bobs = apply(&hub, &alice, message("SM9", "+442079460958", 9))
        .await
        .unwrap()
        .entities[0]
        .id;
    let card = identified(
        "Person",
        "vcard.uid",
        "1",
        json!({"name": "Sam", "nickname": "Sammy"}),
    );
    let mut card = change(AssertedBy::Connector, "dav/1", vec![card]);
    card.entities[0].identifiers.push(Identifier::new("tel", SAM_TEL));
    apply(&hub, &alice, card).await.unwrap();
    hub.settle().await;
    let before = everything(&hub).await;
    for known in ["Sammy", SAM_TEL, &sam.to_string()] {
        assert!(before.contains(known), "{known} is there before");
    }

    let other = hub.somebody();
    assert_eq!(order(&hub, &other, sam, "{}").await, 404, "not another account's");
    assert_eq!(order(&hub, &alice, me, "{}").await, 422, "not herself");
    assert_eq!(order(&hub, &alice, sam, r#"{"with_timeline": true}"#).await, 202);
    let receipt = hub
        .eventually("the receipt", async || {
            let events = told(&hub, &alice).await;
            events
                .iter()
                .filter_map(|event| event.payload::<EntityErased>()?.ok())
                .find(|erased| erased.entity == sam)
        })
        .await;
    assert_eq!(
        receipt.merged.len(),
        1,
        "the card that had been merged into her went, too"
    );
    assert!(receipt.rows["graph.claim"] >= 2, "{receipt:?}");

    let after = everything(&hub).await;
    for gone in ["Sammy", SAM_TEL, "CA1", "SM0"] {
        assert!(!after.contains(gone), "{gone} is left");
    }
    assert_eq!(get(&hub, &alice, &format!("/entities/{sam}")).await.0, 404);
    assert_eq!(get(&hub, &alice, &format!("/entities/{bobs}")).await.0, 200);
    assert_eq!(get(&hub, &alice, &format!("/entities/{me}")).await.0, 200);
    assert_eq!(
        order(&hub, &alice, sam, "{}").await,
        404,
        "a second time there is nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_hidden_before_goes_with_her_timeline_and_joanns_address_is_not_anns() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (_, sam) = alice_and_sam(&hub, &alice).await;
    let mut mail = identified(
        "Message",
        "mail.message-id",
        "1",
        json!({"direction": "in", "status": "received", "from": "ann@example.org", "text": "secretly"}),
    );
    mail.starts_at = Some(at(1));
    mail.props.insert("channel".to_owned(), "email".into());
    let mut change = change(AssertedBy::Connector, "import/mbox", vec![mail]);
    change.raw = Some(record("mails", "1", "a"));
    let hidden = apply(&hub, &alice, change).await.unwrap().entities[0].id;
    let mut address = entity("Person", Target::Existing(sam), json!({}));
    address
        .identifiers
        .push(Identifier::new("email", "ann@example.org"));
    apply(
        &hub,
        &alice,
        super::change(AssertedBy::User, "user", vec![address]),
    )
    .await
    .unwrap();
    let mut tx = hub.begin(&alice).await;
    graph(&hub).delete(&mut tx, hidden).await.unwrap();
    for named in [
        "joann@example.org",
        "ann@example.org.uk",
        "x.ann@example.org",
        "to ann@example.org.",
    ] {
        tx.audit("read", named, None).unwrap();
    }
    tx.commit().await.unwrap();
    hub.settle().await;

    assert_eq!(order(&hub, &alice, sam, r#"{"with_timeline": true}"#).await, 202);
    hub.eventually("the erasure", async || {
        let all = everything(&hub).await;
        (!all.contains("secretly") && !all.contains(&hidden.to_string())).then_some(())
    })
    .await;
    hub.eventually("the receipt", async || {
        let events = told(&hub, &alice).await;
        let mut erased = events
            .iter()
            .filter_map(|event| event.payload::<EntityErased>()?.ok());
        erased.find(|erased| erased.entity == sam)
    })
    .await;
    let after = everything(&hub).await;
    for others in ["joann@example.org", "ann@example.org.uk", "x.ann@example.org"] {
        assert!(after.contains(others), "{others} is somebody else's");
    }
    assert!(!after.contains("to ann@example.org."));
    assert_eq!(count(&hub, "raw_record").await, 0);
}
