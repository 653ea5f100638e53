//! What the owner adds by hand when somebody bears the number already.

use super::routes::{call, call_with_key};
use super::*;

fn person(name: &str) -> Value {
    json!({
        "type": "Person", "title": name, "props": {"name": name},
        "identifiers": [{"scheme": "tel", "value": "+1 (415) 555-2671"}],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn adding_somebody_with_sams_number_changes_nothing_of_sam_and_says_whose_it_is() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (_, sam) = alice_and_sam(&hub, &alice).await;
    let before = told(&hub, &alice).await.len();

    let refused = call(&hub, &alice, "POST", "/entities", Some(person("Kim"))).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert_eq!(refused.body["entity"], sam.to_string());
    let said = refused.body.to_string();
    for part in ["Sam", SAM_TEL, "PATCH /entities/{id}", "anyway"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let shown = call(&hub, &alice, "GET", &format!("/entities/{sam}"), None).await;
    assert_eq!(
        (&shown.body["title"], &shown.body["version"]),
        (&json!("Sam"), &json!(1))
    );
    assert_eq!(told(&hub, &alice).await.len(), before, "nothing was told");

    // She insists: Kim is somebody else, who answers the same telephone, and she is asked.
    let mut kim = person("Kim");
    kim["anyway"] = json!(true);
    let made = call_with_key(&hub, &alice, "POST", "/entities", Some(kim.clone()), "kim").await;
    assert_eq!(made.status, 201, "{}", made.body);
    let again = call_with_key(&hub, &alice, "POST", "/entities", Some(kim), "kim").await;
    assert_eq!((again.status, &again.body["id"]), (200, &made.body["id"]));
    let asked = call(&hub, &alice, "GET", "/merges", None).await;
    let asked = asked.body["items"].as_array().unwrap();
    assert_eq!(asked.len(), 1);
    let mut pair =
        [&asked[0]["first"]["title"], &asked[0]["second"]["title"]].map(|one| one.as_str().unwrap());
    pair.sort_unstable();
    assert_eq!(pair, ["Kim", "Sam"]);

    // Even under Sam's own name another Sam is made, and only asked about.
    let mut twin = person("Sam");
    twin["anyway"] = json!(true);
    let made = call(&hub, &alice, "POST", "/entities", Some(twin)).await;
    assert_eq!(made.status, 201);
    assert_ne!(made.body["id"], sam.to_string());
    assert_eq!(made.body["merged"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_with_anothers_id_is_another_place_only_if_she_says_so_and_a_deleted_one_stands_in_nobodys_way()
 {
    let hub = hub().await;
    let alice = hub.somebody();
    let place = json!({"type": "Place", "title": "Work", "identifiers": [{"scheme": "osm", "value": "1"}]});
    let work = call(&hub, &alice, "POST", "/entities", Some(place.clone())).await;
    assert_eq!(work.status, 201, "{}", work.body);
    let again = call(&hub, &alice, "POST", "/entities", Some(place.clone())).await;
    assert_eq!(
        (again.status, &again.body["entity"]),
        (409, &work.body["id"]),
        "said twice, it is refused"
    );
    // What bears it is of another type: that isn't the same.
    let mut firm = place.clone();
    firm["type"] = json!("Organization");
    assert_eq!(
        call(&hub, &alice, "POST", "/entities", Some(firm)).await.status,
        201
    );
    let path = format!("/entities/{}", work.body["id"].as_str().unwrap());
    assert_eq!(call(&hub, &alice, "DELETE", &path, None).await.status, 204);
    let new = call(&hub, &alice, "POST", "/entities", Some(place)).await;
    assert_eq!(new.status, 201);
    assert_ne!(new.body["id"], work.body["id"], "what she deleted stays deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_are_added_at_once_with_one_number_one_is_made() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (one, other) = tokio::join!(
        call(&hub, &alice, "POST", "/entities", Some(person("Sam"))),
        call(&hub, &alice, "POST", "/entities", Some(person("Kim")))
    );
    let mut answers = [one.status, other.status];
    answers.sort_unstable();
    assert_eq!(answers, [201, 409]);
    assert_eq!(count(&hub, "entity").await, 1);
}
