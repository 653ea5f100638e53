//! The routes, called as the edge calls them.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use spine::edge::Caller;
use tower::ServiceExt;

use super::*;

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) replayed: bool,
    pub(super) body: Value,
}

pub(super) async fn call(
    hub: &TestHub,
    who: &Scope,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Answer {
    send(hub, who, method, path, body, None).await
}

pub(super) async fn call_with_key(
    hub: &TestHub,
    who: &Scope,
    method: &str,
    path: &str,
    body: Option<Value>,
    key: &str,
) -> Answer {
    send(hub, who, method, path, body, Some(key)).await
}

async fn send(
    hub: &TestHub,
    who: &Scope,
    method: &str,
    path: &str,
    body: Option<Value>,
    key: Option<&str>,
) -> Answer {
    let (router, _) = crate::service(&hub.context).api.split_for_parts();
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .extension(Caller(who.clone()));
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let response = router.oneshot(request.body(body).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let replayed = response.headers().contains_key("idempotency-replayed");
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    Answer {
        status,
        replayed,
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    }
}

fn sam() -> Value {
    json!({
        "type": "Person", "props": {"name": "Sam"}, "identifiers": [{"scheme": "tel", "value": "+1 (415) 555-2671"}],
        "relation": {"predicate": "partner", "from": "me"},
    })
}

pub(super) async fn with_me(hub: &TestHub) -> Scope {
    let alice = hub.somebody();
    let me = identified("Person", "allod", "me", json!({"name": "Alice"}));
    apply(hub, &alice, change(AssertedBy::User, "user", vec![me]))
        .await
        .unwrap();
    alice
}

#[tokio::test(flavor = "multi_thread")]
async fn alice_writes_down_her_partner_and_reads_where_everything_comes_from() {
    let hub = hub().await;
    let alice = with_me(&hub).await;
    let made = call(&hub, &alice, "POST", "/entities", Some(sam())).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(
        (&made.body["title"], &made.body["version"], &made.body["type"]),
        (&json!("Sam"), &json!(1), &json!("Person"))
    );
    assert_eq!(made.body["identifiers"][0]["value"], SAM_TEL);
    assert_eq!(made.body["relations"][0]["predicate"], "partner");
    assert_eq!(made.body["relations"][0]["other_title"], "Alice");
    assert_eq!(made.body["claims"][0]["asserted_by"], "user");

    let again = call(&hub, &alice, "POST", "/entities", Some(sam())).await;
    assert_eq!((again.status, &again.body["entity"]), (409, &made.body["id"]));

    let path = format!("/entities/{}", made.body["id"].as_str().unwrap());
    let patched = call(
        &hub,
        &alice,
        "PATCH",
        &path,
        Some(json!({"props": {"nickname": "S"}})),
    )
    .await;
    assert_eq!((patched.status, &patched.body["version"]), (200, &json!(2)));
    assert_eq!(
        patched.body["claims"].as_array().unwrap().len(),
        2,
        "what was said before is kept"
    );
    assert!(patched.body["claims"][1]["recorded_to"].is_string());
    let me = call(&hub, &alice, "GET", "/entities/me", None).await;
    assert_eq!((me.status, &me.body["title"]), (200, &json!("Alice")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_under_its_key_answers_the_same_and_does_nothing() {
    let hub = hub().await;
    let alice = with_me(&hub).await;
    let work = json!({"type": "Place", "title": "Work", "props": {"latitude": 52.5, "longitude": 13.4, "radius_m": 150}});
    let first = call_with_key(&hub, &alice, "POST", "/entities", Some(work.clone()), "one").await;
    let second = call_with_key(&hub, &alice, "POST", "/entities", Some(work.clone()), "one").await;
    assert_eq!((first.status, first.replayed), (201, false));
    assert_eq!((second.status, second.replayed), (200, true));
    assert_eq!(first.body["id"], second.body["id"]);
    let other = call_with_key(&hub, &alice, "POST", "/entities", Some(work.clone()), "two").await;
    assert_ne!(
        first.body["id"], other.body["id"],
        "without its key it is a second place"
    );
    let mut changed = work;
    changed["title"] = json!("Home");
    let clash = call_with_key(&hub, &alice, "POST", "/entities", Some(changed), "one").await;
    assert_eq!(clash.status, 422);
    // What was refused has not used its key up.
    let bad = call_with_key(
        &hub,
        &alice,
        "POST",
        "/entities",
        Some(json!({"type": "Plaice"})),
        "three",
    )
    .await;
    assert_eq!(bad.status, 422);
    assert!(
        bad.body["detail"]
            .as_str()
            .unwrap()
            .contains("did you mean Place?"),
        "{}",
        bad.body
    );
    assert_eq!(
        call_with_key(
            &hub,
            &alice,
            "POST",
            "/entities",
            Some(json!({"type": "Place"})),
            "three"
        )
        .await
        .status,
        201
    );

    let relation = json!({"from": "me", "predicate": "works-at", "to": first.body["id"]});
    let one = call_with_key(&hub, &alice, "POST", "/relations", Some(relation.clone()), "r").await;
    let two = call_with_key(&hub, &alice, "POST", "/relations", Some(relation), "r").await;
    assert_eq!((one.status, two.status, two.replayed), (201, 200, true));
    assert_eq!(one.body, two.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_at_once_under_one_key_make_one_place() {
    let hub = hub().await;
    let alice = with_me(&hub).await;
    let place = || Some(json!({"type": "Place", "title": "Work"}));
    let (one, two) = tokio::join!(
        call_with_key(&hub, &alice, "POST", "/entities", place(), "k"),
        call_with_key(&hub, &alice, "POST", "/entities", place(), "k")
    );
    assert_eq!(one.body["id"], two.body["id"]);
    assert_eq!(one.status + two.status, 401, "201 and 200");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_told_what_would_be_right() {
    let hub = hub().await;
    let alice = with_me(&hub).await;
    let unknown = contracts::EntityId::new();
    for (method, path, body, status, part) in [
        (
            "GET",
            format!("/entities/{unknown}"),
            None,
            404,
            "there is no entity",
        ),
        ("GET", "/entities/12".to_owned(), None, 400, "a UUID"),
        ("GET", "/entities?limit=0".to_owned(), None, 400, "1 to 200"),
        ("GET", "/entities?cursor=x".to_owned(), None, 400, "cursor"),
        (
            "GET",
            "/entities?type=Persn".to_owned(),
            None,
            400,
            "did you mean Person?",
        ),
        (
            "GET",
            "/entities?identifier=tel:12345".to_owned(),
            None,
            422,
            "internationally",
        ),
        (
            "GET",
            "/raw-records?status=lost".to_owned(),
            None,
            400,
            "`parked` or `processed`",
        ),
        (
            "POST",
            "/entities".to_owned(),
            Some(json!({"type": "Person", "props": {"nmae": "Sam"}})),
            422,
            "did you mean `name`?",
        ),
        (
            "POST",
            "/entities".to_owned(),
            Some(json!({"type": "Place", "props": {"latitude": 91}})),
            422,
            "from -90 to 90",
        ),
        (
            "POST",
            "/entities".to_owned(),
            Some(json!({"type": "Person", "identifiers": [{"scheme": "tel", "value": "12345"}]})),
            422,
            "internationally",
        ),
        (
            "POST",
            "/entities".to_owned(),
            Some(json!({"type": "Person", "identifiers": [{"scheme": "allod", "value": "me"}]})),
            422,
            "the hub's own",
        ),
        (
            "POST",
            "/entities".to_owned(),
            Some(json!({"kind": "Person"})),
            400,
            "unknown field",
        ),
        (
            "POST",
            "/entities".to_owned(),
            Some(json!({"type": "Place", "relation": {"predicate": "home", "from": unknown}})),
            404,
            "there is no entity",
        ),
        (
            "PATCH",
            format!("/entities/{unknown}"),
            Some(json!({})),
            404,
            "there is no entity",
        ),
        (
            "POST",
            "/relations".to_owned(),
            Some(json!({"from": "me", "predicate": "friend", "to": "me"})),
            422,
            "itself",
        ),
        (
            "POST",
            "/relations".to_owned(),
            Some(json!({"from": "me", "predicate": "My Friend", "to": unknown})),
            422,
            "lower-case",
        ),
        (
            "DELETE",
            format!("/relations/{}", contracts::RelationId::new()),
            None,
            404,
            "no relation",
        ),
    ] {
        let answer = call(&hub, &alice, method, &path, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        let text = answer.body.to_string();
        assert!(text.contains(part), "{method} {path}: {text}");
    }
    assert_eq!(count(&hub, "entity").await, 1, "only Alice herself is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_comes_in_pages_without_gap_or_double_and_each_read_is_in_the_audit() {
    let hub = hub().await;
    let alice = with_me(&hub).await;
    for number in 0..5 {
        let place = json!({"type": "Place", "title": format!("Place {number}")});
        assert_eq!(
            call(&hub, &alice, "POST", "/entities", Some(place)).await.status,
            201
        );
    }
    let mut titles = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = call(
            &hub,
            &alice,
            "GET",
            &format!("/entities?type=Place&limit=2{cursor}"),
            None,
        )
        .await;
        assert_eq!(page.status, 200, "{}", page.body);
        let items = page.body["items"].as_array().unwrap();
        titles.extend(
            items
                .iter()
                .map(|item| item["title"].as_str().unwrap().to_owned()),
        );
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(titles, ["Place 4", "Place 3", "Place 2", "Place 1", "Place 0"]);
    let everything = call(&hub, &alice, "GET", "/entities", None).await;
    assert_eq!(everything.body["items"].as_array().unwrap().len(), 6);

    hub.settle().await;
    let audit: Vec<(String, Option<u64>)> = hub
        .events(&alice)
        .await
        .iter()
        .filter(|event| event.kind == "audit.AccessRecorded")
        .map(|event| event.body.clone().unwrap())
        .filter(|body| body["action"] == "read")
        .map(|body| (body["on"].as_str().unwrap().to_owned(), body["count"].as_u64()))
        .collect();
    let list = |on: &str, count| (on.to_owned(), Some(count));
    let places = "entities?type=Place&identifier=*";
    assert_eq!(
        audit,
        [
            list(places, 2),
            list(places, 2),
            list(places, 1),
            list("entities?type=*&identifier=*", 6)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_listed_by_her_number_and_what_is_parked_by_its_reason() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (_, sam) = alice_and_sam(&hub, &alice).await;
    for spelling in ["tel:%2B1%20415%20555%202671", "tel:+14155552671"] {
        let found = call(
            &hub,
            &alice,
            "GET",
            &format!("/entities?type=Person&identifier={spelling}"),
            None,
        )
        .await;
        assert_eq!(
            found.body["items"].as_array().unwrap().len(),
            1,
            "{spelling}: {}",
            found.body
        );
        assert_eq!(found.body["items"][0]["id"], sam.to_string());
    }
    let mut tx = hub.begin(&alice).await;
    let raw = record("calls", "CA9", "");
    hub.context
        .ports
        .graph_write()
        .park(&mut tx, "twilio/1", raw, "`tel` 12345\nis no number")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    apply(&hub, &alice, call_change()).await.unwrap();
    let parked = call(&hub, &alice, "GET", "/raw-records?status=parked", None).await;
    assert_eq!(parked.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(parked.body["items"][0]["reason"], "`tel` 12345is no number");
    assert!(parked.body["items"][0].get("body").is_none());
    let all = call(&hub, &alice, "GET", "/raw-records", None).await;
    assert_eq!(all.body["items"].as_array().unwrap().len(), 2);
}

fn call_change() -> Change {
    super::call("CA10", "ringing")
}
