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
        (!all.contains("secretly")).then_some(())
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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_erased_is_hidden_at_once_and_does_not_come_back() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (_, sam) = alice_and_sam(&hub, &alice).await;
    let handler = crate::http::router(graph(&hub)).split_for_parts().0;
    let ask = async |method: &str, path: String| {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(Body::from(r#"{}"#))
            .unwrap();
        request
            .extensions_mut()
            .insert(spine::edge::Caller(alice.clone()));
        let answer = handler.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    let (status, receipt) = ask("POST", format!("/entities/{sam}/erase")).await;
    assert_eq!(status, 202);
    let job: Value = serde_json::from_str(&receipt).unwrap();
    let job = job["job"].as_str().unwrap().to_owned();
    for (method, path, status) in [
        ("GET", format!("/entities/{sam}"), 404),
        ("POST", format!("/entities/{sam}/restore"), 409),
    ] {
        let (answered, body) = ask(method, path.clone()).await;
        // The job may have ended meanwhile.
        assert!(answered == status || answered == 404, "{path}: {answered} {body}");
        assert!(
            body.contains("there is no entity") || body.contains("is being erased") && body.contains(&job),
            "{path}: {body}"
        );
    }
    for path in ["/entities?deleted=true", "/entities?type=Person"] {
        let (_, listed) = ask("GET", path.to_owned()).await;
        assert!(!listed.contains(&sam.to_string()), "{path}: {listed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_goes_with_its_moved_occurrences_and_a_contact_leaves_no_id_in_a_group() {
    let hub = hub().await;
    let alice = hub.somebody();
    let say = async |kind: &str, scheme: &str, value: &str, props: Value| {
        let one = change(
            AssertedBy::Connector,
            "dav/1",
            vec![identified(kind, scheme, value, props)],
        );
        apply(&hub, &alice, one).await.unwrap().entities[0].id
    };
    let weekly = json!({"name": "Choir", "start_at": "2026-05-01T18:00:00Z", "recurrence": "FREQ=WEEKLY"});
    let series = say("Event", "ical.uid", "e-1", weekly).await;
    let moved = json!({"name": "Choir, later", "recurrence_id": "2026-05-08T18:00:00Z"});
    let moved = say("Event", "ical.uid", "e-1#2026-05-08T18:00:00Z", moved).await;
    let other = say("Event", "ical.uid", "e-12", json!({"name": "Lunch"})).await;
    let kim = say("Person", "vcard.uid", "kim-uid", json!({"name": "Kim"})).await;
    let members = json!({"name": "Choir", "members": ["urn:uuid:kim-uid", "urn:uuid:sam-uid"]});
    let group = say("Group", "vcard.uid", "choir", members).await;
    for gone in [series, kim] {
        assert_eq!(order(&hub, &alice, gone, "{}").await, 202);
    }
    hub.eventually("both are gone", async || {
        let all = everything(&hub).await;
        (!all.contains("kim-uid") && !all.contains("e-1#")).then_some(())
    })
    .await;
    for (id, status) in [
        (moved, 404),
        (series, 404),
        (kim, 404),
        (other, 200),
        (group, 200),
    ] {
        assert_eq!(get(&hub, &alice, &format!("/entities/{id}")).await.0, status);
    }
    let (_, choir) = get(&hub, &alice, &format!("/entities/{group}")).await;
    assert!(choir.to_string().contains("sam-uid"), "{choir}");
}
