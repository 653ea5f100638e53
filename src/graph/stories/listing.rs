//! Lists as people look through them: newest first, by a part of the name, what was deleted, what is related.

use super::routes::{call, with_me};
use super::*;

async fn made(hub: &TestHub, who: &Scope, body: Value) -> String {
    let answer = call(hub, who, "POST", "/entities", Some(body)).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body["id"].as_str().unwrap().to_owned()
}

async fn titles(hub: &TestHub, who: &Scope, path: &str) -> Vec<String> {
    let answer = call(hub, who, "GET", path, None).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    let items = answer.body["items"].as_array().unwrap();
    let title = |item: &Value| item["title"].as_str().unwrap().to_owned();
    items.iter().map(title).collect()
}

/// All titles of a list, page by page.
async fn paged(hub: &TestHub, who: &Scope, path: &str, title: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = call(hub, who, "GET", &format!("{path}{cursor}"), None).await;
        assert_eq!(page.status, 200, "{path}{cursor}: {}", page.body);
        for item in page.body["items"].as_array().unwrap() {
            found.push(item.pointer(title).unwrap().as_str().unwrap().to_owned());
        }
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entities_are_found_by_a_part_of_their_name_and_what_was_deleted_has_a_list_of_its_own() {
    let hub = hub().await;
    let alice = with_me(&hub).await;
    let person = |name: &str| json!({"type": "Person", "title": name});
    for name in ["Sam Miller", "Ann Schmidt", "100% Sam_my"] {
        made(&hub, &alice, person(name)).await;
    }
    made(&hub, &alice, json!({"type": "Place", "title": "Sam's bar"})).await;
    assert_eq!(
        titles(&hub, &alice, "/entities?name=sam").await,
        ["Sam's bar", "100% Sam_my", "Sam Miller"]
    );
    assert_eq!(
        titles(&hub, &alice, "/entities?name=sam&type=Person").await,
        ["100% Sam_my", "Sam Miller"]
    );
    // What means something in a pattern means itself in a name.
    assert_eq!(titles(&hub, &alice, "/entities?name=0%25").await, ["100% Sam_my"]);
    assert_eq!(titles(&hub, &alice, "/entities?name=m_m").await, ["100% Sam_my"]);
    assert!(titles(&hub, &alice, "/entities?name=a%25n").await.is_empty());

    let known =
        json!({"type": "Person", "title": "Kim", "identifiers": [{"scheme": "tel", "value": SAM_TEL}]});
    let kim = made(&hub, &alice, known).await;
    let (deleted, by_tel) = (
        "/entities?deleted=true",
        format!("/entities?identifier=tel:{SAM_TEL}"),
    );
    assert!(titles(&hub, &alice, deleted).await.is_empty());
    assert_eq!(
        call(&hub, &alice, "DELETE", &format!("/entities/{kim}"), None)
            .await
            .status,
        204
    );
    let gone = call(&hub, &alice, "GET", deleted, None).await.body;
    assert_eq!(gone["items"][0]["title"], "Kim");
    assert_eq!(gone["items"][0]["deleted_by"], "user");
    assert!(gone["items"][0]["deleted_at"].is_string(), "{gone}");
    assert!(titles(&hub, &alice, "/entities?name=kim").await.is_empty());
    assert!(titles(&hub, &alice, &by_tel).await.is_empty());
    assert_eq!(
        titles(&hub, &alice, &format!("{by_tel}&deleted=true")).await,
        ["Kim"]
    );

    // Whoever asks for what was deleted is told so, and how that is taken back.
    for path in ["", "/history", "/neighbours"] {
        let told = call(&hub, &alice, "GET", &format!("/entities/{kim}{path}"), None).await;
        assert_eq!(told.status, 404, "{path}: {}", told.body);
        let text = told.body.to_string();
        assert!(text.contains("Person Kim was deleted at 20"), "{path}: {text}");
        assert!(
            text.contains(&format!("POST /entities/{kim}/restore")),
            "{path}: {text}"
        );
    }
    let edge = json!({"from": "me", "predicate": "friend", "to": kim});
    let told = call(&hub, &alice, "POST", "/relations", Some(edge)).await;
    assert!(told.body.to_string().contains("was deleted at"), "{}", told.body);
    let bob = hub.somebody();
    let hidden = call(&hub, &bob, "GET", &format!("/entities/{kim}"), None).await;
    assert!(
        hidden.body.to_string().contains("there is no entity"),
        "{}",
        hidden.body
    );
    let path = format!("/entities/{kim}/restore");
    assert_eq!(
        call(&hub, &alice, "POST", &path, Some(json!({}))).await.status,
        200
    );
    assert_eq!(titles(&hub, &alice, "/entities?name=kim").await, ["Kim"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_ones_come_in_pages_the_latest_deletion_first() {
    let hub = hub().await;
    let alice = with_me(&hub).await;
    for number in 0..5 {
        let id = made(
            &hub,
            &alice,
            json!({"type": "Place", "title": format!("Place {number}")}),
        )
        .await;
        call(&hub, &alice, "DELETE", &format!("/entities/{id}"), None).await;
    }
    let pages = paged(&hub, &alice, "/entities?deleted=true&limit=2", "/title").await;
    assert_eq!(pages, ["Place 4", "Place 3", "Place 2", "Place 1", "Place 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_likeliest_question_is_asked_first_on_whichever_page() {
    let hub = hub().await;
    let alice = with_me(&hub).await;
    let mut tx = hub.begin(&alice).await;
    for (name, score) in [("a", 0.5), ("b", 0.9), ("c", 0.7), ("d", 0.9), ("e", 0.6)] {
        let mut ids = Vec::new();
        for half in ["one", "other"] {
            let change = entity(
                "Person",
                Target::New(contracts::EntityId::new()),
                json!({"name": format!("{name} {half}")}),
            );
            let change = Change {
                by: AssertedBy::User,
                source: "user".to_owned(),
                raw: None,
                entities: vec![change],
                relations: vec![],
            };
            let applied = hub
                .context
                .ports
                .graph_write()
                .apply(&mut tx, change)
                .await
                .unwrap();
            ids.push(applied.entities[0].id);
        }
        crate::store::decision_suggest(&mut tx, (ids[0], ids[1]), name, score)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let asked = paged(&hub, &alice, "/merges?limit=2", "/reason").await;
    assert_eq!(
        (asked.len(), asked[2..].join("")),
        (5, "cea".to_owned()),
        "{asked:?}"
    );
    assert!(
        asked[..2].contains(&"b".to_owned()) && asked[..2].contains(&"d".to_owned()),
        "{asked:?}"
    );
    for cursor in ["x", "_", "7fc00000_1_00000000000000000000000000000000", "none_0"] {
        let refused = call(&hub, &alice, "GET", &format!("/merges?cursor={cursor}"), None).await;
        assert_eq!(refused.status, 400, "{cursor}: {}", refused.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relations_of_an_entity_come_in_pages_in_both_directions() {
    let hub = hub().await;
    let alice = with_me(&hub).await;
    for number in 0..3 {
        let friend = json!({"type": "Person", "title": format!("Friend {number}"), "relation": {"predicate": "friend", "from": "me"}});
        made(&hub, &alice, friend).await;
    }
    let boss = made(&hub, &alice, json!({"type": "Person", "title": "Boss"})).await;
    let edge = json!({"from": boss, "predicate": "employee", "to": "me"});
    let edge = call(&hub, &alice, "POST", "/relations", Some(edge)).await;
    assert_eq!(edge.status, 201, "{}", edge.body);
    let all = paged(&hub, &alice, "/relations?entity=me&limit=2", "/other_title").await;
    assert_eq!(all, ["Boss", "Friend 2", "Friend 1", "Friend 0"]);
    let friends = paged(
        &hub,
        &alice,
        "/relations?entity=me&predicate=friend&limit=1",
        "/other_title",
    )
    .await;
    assert_eq!(friends, ["Friend 2", "Friend 1", "Friend 0"]);
    let path = format!("/relations/{}", edge.body["id"].as_str().unwrap());
    assert_eq!(call(&hub, &alice, "DELETE", &path, None).await.status, 204);
    let left = paged(
        &hub,
        &alice,
        "/relations?entity=me&predicate=employee",
        "/other_title",
    )
    .await;
    assert!(left.is_empty(), "{left:?}");
    let nobody = format!("/relations?entity={}", contracts::EntityId::new());
    assert_eq!(call(&hub, &alice, "GET", &nobody, None).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn relations_to_what_is_gone_or_one_with_her_by_now_hide_none_of_the_older_ones() {
    let hub = hub().await;
    let alice = with_me(&hub).await;
    let friend = |name: String| json!({"type": "Person", "title": name, "relation": {"predicate": "friend", "from": "me"}});
    for old in 0..3 {
        made(&hub, &alice, friend(format!("Old {old}"))).await;
    }
    let me = call(&hub, &alice, "GET", "/entities/me", None).await.body["id"].clone();
    let (me, mut gone) = (contracts::EntityId(me.as_str().unwrap().parse().unwrap()), None);
    for number in 0..12 {
        let id = made(&hub, &alice, friend(format!("Friend {number}"))).await;
        let id = contracts::EntityId(id.parse().unwrap());
        let into = if number % 2 == 0 {
            me
        } else {
            *gone.get_or_insert(id)
        };
        let mut tx = hub.begin(&alice).await;
        if into != id {
            graph(&hub).merge(&mut tx, into, id).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
    let mut tx = hub.begin(&alice).await;
    graph(&hub).delete(&mut tx, gone.unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    for limit in [1, 2] {
        let path = format!("/relations?entity=me&limit={limit}");
        let all = paged(&hub, &alice, &path, "/other_title").await;
        assert_eq!(all, ["Old 2", "Old 1", "Old 0"], "{limit} a page");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_its_field_is_refused_and_the_types_say_what_would() {
    let hub = hub().await;
    let alice = with_me(&hub).await;
    let sam = made(&hub, &alice, json!({"type": "Person", "title": "Sam"})).await;
    let path = format!("/entities/{sam}");
    for (patch, part) in [
        (
            json!({"props": {"birthday": "notadate"}}),
            "must be a day, such as 1990-05-01",
        ),
        (json!({"props": {"birthday": "3000-01-01"}}), "3000-01-01 hasn't"),
        (json!({"props": {"name": ""}}), "that isn't empty"),
        (
            json!({"props": {"birthdy": "1990-05-01"}}),
            "did you mean `birthday`?",
        ),
        (json!({"title": " "}), "title is empty"),
    ] {
        let refused = call(&hub, &alice, "PATCH", &path, Some(patch)).await;
        assert_eq!(refused.status, 422, "{}", refused.body);
        assert!(refused.body.to_string().contains(part), "{}", refused.body);
    }
    let set = json!({"props": {"birthday": "--05-01"}});
    assert_eq!(call(&hub, &alice, "PATCH", &path, Some(set)).await.status, 200);
    let unset = json!({"props": {"birthday": null}});
    let shown = call(&hub, &alice, "PATCH", &path, Some(unset)).await.body;
    assert!(shown["props"].get("birthday").is_none(), "{shown}");
    let itself = call(
        &hub,
        &alice,
        "POST",
        &format!("{path}/merge"),
        Some(json!({"other": sam})),
    )
    .await;
    assert_eq!(itself.status, 422, "{}", itself.body);

    let types = call(&hub, &alice, "GET", "/entity-types", None).await.body;
    let types = types["items"].as_array().unwrap();
    let person = types.iter().find(|one| one["name"] == "Person").unwrap();
    assert_eq!(person["properties"]["birthday"]["type"], "string");
    let expected = person["properties"]["birthday"]["expected"].as_str().unwrap();
    assert!(expected.starts_with("a day, such as"), "{expected}");
    let call = types.iter().find(|one| one["name"] == "Call").unwrap();
    assert_eq!(call["properties"]["direction"]["required"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_records_come_newest_first_and_by_their_source() {
    let hub = hub().await;
    let alice = with_me(&hub).await;
    for (number, source) in ["import/vcard", "twilio/1", "import/ical"]
        .into_iter()
        .enumerate()
    {
        let mut tx = hub.begin(&alice).await;
        let raw = RawRecord {
            connection: None,
            stream: "things".to_owned(),
            remote_id: number.to_string(),
            revision: "1".to_owned(),
            media_type: "text/plain".to_owned(),
            body: b"?".to_vec(),
        };
        let graph = hub.context.ports.graph_write();
        graph.park(&mut tx, source, raw, "not understood").await.unwrap();
        tx.commit().await.unwrap();
    }
    let all = paged(&hub, &alice, "/raw-records?limit=1", "/source").await;
    assert_eq!(all, ["import/ical", "twilio/1", "import/vcard"]);
    let imported = paged(&hub, &alice, "/raw-records?source=import/&limit=1", "/source").await;
    assert_eq!(imported, ["import/ical", "import/vcard"]);
}
