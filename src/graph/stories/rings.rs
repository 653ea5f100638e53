//! Wholes and parts, and what waits for what, never lead back to where they begin.

use super::routes::call;
use super::*;
use contracts::EntityId;

async fn things(hub: &TestHub, alice: &Scope, names: &[&str]) -> Vec<EntityId> {
    let thing = |name: &&str| {
        let mut goal = entity("Goal", Target::New(EntityId::new()), json!({}));
        goal.title = Some((*name).to_owned());
        goal
    };
    let said = change(AssertedBy::User, "user", names.iter().map(thing).collect());
    let made = apply(hub, alice, said).await.unwrap().entities;
    made.into_iter().map(|one| one.id).collect()
}

fn edge(from: EntityId, predicate: &str, to: EntityId) -> RelationChange {
    RelationChange {
        from,
        predicate: predicate.to_owned(),
        to,
    }
}

async fn post(hub: &TestHub, alice: &Scope, from: EntityId, predicate: &str, to: EntityId) -> (u16, String) {
    let body = json!({"from": from, "predicate": predicate, "to": to});
    let answer = call(hub, alice, "POST", "/relations", Some(body)).await;
    (answer.status, answer.body.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relation_that_would_close_a_ring_is_refused_with_the_way_that_leads_back() {
    let hub = hub().await;
    let alice = hub.somebody();
    let all = things(&hub, &alice, &["Oven", "Kitchen", "House"]).await;
    let (oven, kitchen, house) = (all[0], all[1], all[2]);
    for predicate in ["part-of", "depends-on"] {
        assert_eq!(post(&hub, &alice, oven, predicate, kitchen).await.0, 201);
        assert_eq!(post(&hub, &alice, kitchen, predicate, house).await.0, 201);
        let (status, text) = post(&hub, &alice, house, predicate, oven).await;
        assert_eq!(status, 422, "{text}");
        let way = format!("`Oven` {predicate} `Kitchen` {predicate} `House` holds already");
        assert!(text.contains(&way), "{text}");
        assert!(
            text.contains("DELETE /relations/{id}"),
            "it says what to do: {text}"
        );
        assert_eq!(post(&hub, &alice, kitchen, predicate, oven).await.0, 422);
        assert_eq!(post(&hub, &alice, oven, predicate, house).await.0, 201, "no ring");
    }
    assert_eq!(
        post(&hub, &alice, house, "friend", oven).await.0,
        201,
        "friends may be friends"
    );
    assert_eq!(count(&hub, "relation").await, 7);

    // A rule is refused, too.
    let mut rule = change(AssertedBy::Rule, "rule/x", vec![]);
    rule.relations.push(edge(house, "part-of", oven));
    assert!(matches!(
        apply(&hub, &alice, rule).await,
        Err(GraphError::Invalid(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_sources_record_only_the_relation_that_would_close_a_ring_is_left_out() {
    let hub = hub().await;
    let alice = hub.somebody();
    let all = things(&hub, &alice, &["Oven", "Kitchen", "House"]).await;
    let mut said = change(AssertedBy::Connector, "dav/1", vec![]);
    said.relations = vec![
        edge(all[0], "part-of", all[1]),
        edge(all[1], "part-of", all[0]),
        edge(all[1], "part-of", all[2]),
    ];
    for _ in 0..2 {
        let applied = apply(&hub, &alice, said.clone()).await.unwrap();
        assert_eq!(applied.relations.len(), 2);
        assert_eq!((applied.rings.len(), applied.rings[0].from), (1, all[1]));
    }
    // Things of the same change, which nobody else knows yet.
    let mut fresh = change(AssertedBy::Connector, "dav/1", vec![]);
    fresh.entities = ["1", "2"]
        .map(|uid| identified("Goal", "ical.uid", uid, json!({})))
        .to_vec();
    let ids = apply(&hub, &alice, fresh).await.unwrap().entities;
    let mut ring = change(AssertedBy::Connector, "dav/1", vec![]);
    ring.relations = vec![
        edge(ids[0].id, "depends-on", ids[1].id),
        edge(ids[1].id, "depends-on", ids[0].id),
    ];
    let applied = apply(&hub, &alice, ring).await.unwrap();
    assert_eq!((applied.relations.len(), applied.rings.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_that_comes_of_a_merge_hangs_nobody_who_walks_along_it() {
    let hub = hub().await;
    let alice = hub.somebody();
    let all = things(&hub, &alice, &["A", "B", "C", "D"]).await;
    for pair in all.windows(2) {
        assert_eq!(post(&hub, &alice, pair[0], "part-of", pair[1]).await.0, 201);
    }
    let mut tx = hub.begin(&alice).await;
    graph(&hub).merge(&mut tx, all[0], all[2]).await.unwrap();
    tx.commit().await.unwrap();
    // A (which is C now) is part of B, which is part of A.
    let (status, text) = post(&hub, &alice, all[3], "part-of", all[1]).await;
    assert_eq!(status, 422, "D is above all of them: {text}");
    let whole = things(&hub, &alice, &["Whole"]).await[0];
    assert_eq!(post(&hub, &alice, all[3], "part-of", whole).await.0, 201);
    let path = format!("/entities/{}/neighbours?depth=3", all[1]);
    let around = call(&hub, &alice, "GET", &path, None).await;
    let mut met: Vec<&str> = around.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["title"].as_str().unwrap())
        .collect();
    met.sort_unstable();
    met.dedup(); // each comes once a way
    assert_eq!(
        (around.status, met),
        (200, vec!["A", "D", "Whole"]),
        "{}",
        around.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_close_a_ring_together_are_not_both_heard() {
    let hub = hub().await;
    let alice = hub.somebody();
    let all = things(&hub, &alice, &["A", "B"]).await;
    let (one, other) = tokio::join!(
        post(&hub, &alice, all[0], "part-of", all[1]),
        post(&hub, &alice, all[1], "part-of", all[0])
    );
    let mut answers = [one.0, other.0];
    answers.sort_unstable();
    assert_eq!(answers, [201, 422]);
}
