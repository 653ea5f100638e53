//! What is around somebody: on her timeline, and next to her in the graph.

use super::*;
use crate::http::router;
use axum::body::Body;
use axum::http::Request;
use contracts::EntityId;
use http_body_util::BodyExt;
use tower::ServiceExt;

/// Asks a route as Alice would.
pub(super) async fn get(hub: &TestHub, scope: &Scope, path: &str) -> (u16, Value) {
    let (router, _) = router(graph(hub)).split_for_parts();
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    request
        .extensions_mut()
        .insert(spine::edge::Caller(scope.clone()));
    let response = router.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("items");
    items
        .iter()
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Reads a list to its end.
pub(super) async fn pages(hub: &TestHub, scope: &Scope, path: &str) -> Vec<Value> {
    let (mut items, mut next) = (Vec::new(), path.to_owned());
    for _ in 0..200 {
        let (status, page) = get(hub, scope, &next).await;
        assert_eq!(status, 200, "{page}");
        items.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("{path}&cursor={cursor}"),
            None => return items,
        }
    }
    panic!("the list has no end");
}

pub(super) fn message(sid: &str, from: &str, minute: u32) -> Change {
    let said =
        json!({"direction": "in", "channel": "sms", "status": "received", "from": from, "to": "+4930901820"});
    let mut entity = identified("Message", "twilio.message", sid, said);
    entity.starts_at = Some(at(minute));
    change(AssertedBy::Connector, "twilio/1", vec![entity])
}

async fn relate(hub: &TestHub, scope: &Scope, from: EntityId, predicate: &str, to: EntityId) {
    let mut change = change(AssertedBy::User, "user", vec![]);
    change.relations.push(RelationChange {
        from,
        predicate: predicate.to_owned(),
        to,
    });
    apply(hub, scope, change).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_becomes_sams_brings_its_old_messages_to_her_timeline() {
    let hub = hub().await;
    let alice = hub.somebody();
    let mut expected = Vec::new();
    for minute in 0..7 {
        let applied = apply(&hub, &alice, message(&format!("SM{minute}"), SAM_TEL, minute))
            .await
            .unwrap();
        expected.insert(0, applied.entities[0].id.to_string());
    }
    apply(&hub, &alice, message("SM9", "+442079460958", 9))
        .await
        .unwrap();
    let (_, sam) = alice_and_sam(&hub, &alice).await;
    let around = pages(&hub, &alice, &format!("/timeline?about={sam}&limit=3")).await;
    let found: Vec<&str> = around.iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(found, expected, "newest first, in pages without gap or double");

    let (_, all) = get(&hub, &alice, "/timeline").await;
    assert_eq!(all["items"].as_array().unwrap().len(), 8);
    let (_, calls) = get(&hub, &alice, "/timeline?type=Call").await;
    assert!(ids(&calls).is_empty());
    let within = "since=2026-05-01T12:02:00Z&until=2026-05-01T12:04:00Z";
    let (_, some) = get(
        &hub,
        &alice,
        &format!("/timeline?about={sam}&type=Message&{within}"),
    )
    .await;
    assert_eq!(
        ids(&some),
        expected[3..5],
        "from the first moment on, before the last"
    );
    let (status, _) = get(&hub, &alice, "/timeline?type=Nonsense").await;
    assert_eq!(status, 400);

    // Another account's owner sees nothing of it.
    let bob = hub.somebody();
    assert!(ids(&get(&hub, &bob, "/timeline").await.1).is_empty());
    assert_eq!(get(&hub, &bob, &format!("/timeline?about={sam}")).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moves_in_time_or_is_related_and_no_longer_related_moves_on_the_timeline() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (_, sam) = alice_and_sam(&hub, &alice).await;
    let mut party = identified("Event", "ical.uid", "1", json!({"name": "Party"}));
    party.starts_at = Some(at(5));
    let by = |entity| change(AssertedBy::Connector, "dav/1", vec![entity]);
    let event = apply(&hub, &alice, by(party.clone())).await.unwrap().entities[0].id;
    relate(&hub, &alice, event, "attendee", sam).await;
    apply(&hub, &alice, message("SM1", SAM_TEL, 7)).await.unwrap();
    let path = format!("/timeline?about={sam}");
    assert_eq!(ids(&get(&hub, &alice, &path).await.1)[1], event.to_string());

    party.starts_at = Some(at(9));
    apply(&hub, &alice, by(party)).await.unwrap();
    let (_, page) = get(&hub, &alice, &path).await;
    assert_eq!(ids(&page)[0], event.to_string(), "it was put off");

    let (_, detail) = get(&hub, &alice, &format!("/entities/{event}")).await;
    let relation = detail["relations"][0]["id"].as_str().unwrap();
    let (router, _) = router(graph(&hub)).split_for_parts();
    let mut request = Request::delete(format!("/relations/{relation}"))
        .body(Body::empty())
        .unwrap();
    request
        .extensions_mut()
        .insert(spine::edge::Caller(alice.clone()));
    assert_eq!(router.oneshot(request).await.unwrap().status(), 204);
    assert_eq!(
        ids(&get(&hub, &alice, &path).await.1).len(),
        1,
        "she isn't coming"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_sender_the_owner_corrects_stands_with_the_right_one_alone() {
    let hub = hub().await;
    let alice = hub.somebody();
    let applied = apply(&hub, &alice, message("SM1", "+14155552671", 1))
        .await
        .unwrap();
    let message = Target::Existing(applied.entities[0].id);
    let corrected = entity("Message", message, json!({"from": "+14155552672"}));
    for _ in 0..2 {
        let edit = change(AssertedBy::User, "user", vec![corrected.clone()]);
        apply(&hub, &alice, edit).await.unwrap();
        let mut behind = hub.database.superuser().await;
        let senders: Vec<String> = sqlx::query_scalar(
            "SELECT i.value FROM graph.timeline t JOIN graph.identifier i ON i.id = t.about WHERE t.role = 'from'",
        )
        .fetch_all(&mut behind)
        .await
        .unwrap();
        assert_eq!(senders, ["+14155552672"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_come_nearest_first_once_a_way_and_in_pages_that_miss_nobody() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (me, sam) = alice_and_sam(&hub, &alice).await;
    let mut people = Vec::new();
    for nth in 0..9 {
        let person = entity(
            "Person",
            Target::New(EntityId::new()),
            json!({"name": format!("P{nth}")}),
        );
        let applied = apply(&hub, &alice, change(AssertedBy::User, "user", vec![person]))
            .await
            .unwrap();
        people.push(applied.entities[0].id);
    }
    for friend in &people[..6] {
        relate(&hub, &alice, sam, "friend", *friend).await;
    }
    relate(&hub, &alice, people[6], "colleague", me).await;
    relate(&hub, &alice, people[6], "friend", people[7]).await;
    relate(&hub, &alice, people[6], "friend", sam).await;
    relate(&hub, &alice, people[7], "friend", people[8]).await;

    for limit in [1, 2, 3, 50] {
        let around = pages(
            &hub,
            &alice,
            &format!("/entities/me/neighbours?depth=3&limit={limit}"),
        )
        .await;
        let mut found: Vec<(u64, String)> = around
            .iter()
            .map(|item| {
                (
                    item["depth"].as_u64().unwrap(),
                    item["title"].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        assert!(found.is_sorted_by_key(|(depth, _)| *depth), "{found:?}");
        found.sort();
        found.dedup();
        let names = |depth| -> Vec<&str> {
            found
                .iter()
                .filter(|(at, _)| *at == depth)
                .map(|(_, name)| name.as_str())
                .collect()
        };
        assert_eq!(names(1), ["P6", "Sam"], "limit {limit}");
        assert_eq!(
            names(2),
            ["P0", "P1", "P2", "P3", "P4", "P5", "P7"],
            "limit {limit}"
        );
        assert!(names(3).contains(&"P8"), "limit {limit}");
    }
    let (_, near) = get(&hub, &alice, "/entities/me/neighbours").await;
    let sam_there = near["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["title"] == "Sam")
        .unwrap();
    assert_eq!(
        (&sam_there["outgoing"], &sam_there["incoming"]),
        (&json!(["partner"]), &json!([]))
    );
    assert_eq!(get(&hub, &alice, "/entities/me/neighbours?depth=4").await.0, 400);
    assert_eq!(get(&hub, &alice, "/entities/me/neighbours?cursor=x").await.0, 400);
    let bob = hub.somebody();
    assert_eq!(
        get(&hub, &bob, &format!("/entities/{me}/neighbours")).await.0,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_stays_on_timelines_through_merge_and_unmerge_and_when_its_time_comes_late() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (_, sam) = alice_and_sam(&hub, &alice).await;
    let meeting = |uid: &str, who: &str, minute| {
        let mut entity = identified(
            "Event",
            "ical.uid",
            uid,
            json!({"name": "Lunch", "attendees": [who]}),
        );
        entity.starts_at = minute;
        change(AssertedBy::Connector, "dav/1", vec![entity])
    };
    let ann = identified("Person", "email", "ann@example.org", json!({"name": "Ann"}));
    let ann = apply(&hub, &alice, change(AssertedBy::User, "user", vec![ann]))
        .await
        .unwrap()
        .entities[0]
        .id;
    let kept = apply(&hub, &alice, meeting("1", "bob@example.org", Some(at(1))))
        .await
        .unwrap()
        .entities[0]
        .id;
    let other = apply(&hub, &alice, meeting("2", "ann@example.org", Some(at(2))))
        .await
        .unwrap()
        .entities[0]
        .id;
    relate(&hub, &alice, other, "about", sam).await;
    let around = async |who: EntityId| {
        let (_, page) = get(&hub, &alice, &format!("/timeline?about={who}&type=Event")).await;
        ids(&page)
    };
    assert_eq!(around(ann).await, [other.to_string()]);

    let mut tx = hub.begin(&alice).await;
    graph(&hub).merge(&mut tx, kept, other).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        around(sam).await,
        [kept.to_string()],
        "what was said of the other is the survivor's"
    );
    assert!(
        around(ann).await.is_empty(),
        "as one, it has the survivor's attendees"
    );
    let mut tx = hub.begin(&alice).await;
    graph(&hub).unmerge(&mut tx, other).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        (around(sam).await, around(ann).await),
        (vec![other.to_string()], vec![other.to_string()])
    );

    let late = apply(&hub, &alice, meeting("3", "ann@example.org", None))
        .await
        .unwrap()
        .entities[0]
        .id;
    relate(&hub, &alice, late, "about", sam).await;
    apply(&hub, &alice, meeting("3", "ann@example.org", Some(at(3))))
        .await
        .unwrap();
    assert_eq!(around(sam).await, [late.to_string(), other.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_is_read_page_by_page_also_where_it_goes_back_before_1970() {
    let hub = hub().await;
    let alice = hub.somebody();
    for year in [1912, 1944, 1969, 1970, 2026] {
        let mut photo = identified("MediaObject", "photo.id", &year.to_string(), json!({}));
        photo.title = Some(year.to_string());
        photo.starts_at = format!("{year}-01-01T00:00:00Z").parse().ok();
        apply(
            &hub,
            &alice,
            change(AssertedBy::Connector, "photos/1", vec![photo]),
        )
        .await
        .unwrap();
    }
    let items = pages(&hub, &alice, "/timeline?limit=2").await;
    let years: Vec<_> = items.iter().map(|item| item["title"].as_str().unwrap()).collect();
    assert_eq!(years, ["2026", "1970", "1969", "1944", "1912"]);
    for bad in [
        "none_00000000000000000000000000000000",
        "x",
        "-8000000000000000000_00000000000000000000000000000000",
    ] {
        assert_eq!(
            get(&hub, &alice, &format!("/timeline?cursor={bad}")).await.0,
            400,
            "{bad}"
        );
    }
}
