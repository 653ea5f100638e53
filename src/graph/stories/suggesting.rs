//! Who may be one: whom the owner is asked about, in which order, and how often.

use super::routes::call;
use super::*;
use contracts::EntityId;

async fn person(hub: &TestHub, alice: &Scope, name: &str, birthday: Option<&str>) -> EntityId {
    let mut said = json!({ "name": name });
    if let Some(birthday) = birthday {
        said["birthday"] = birthday.into();
    }
    let one = entity("Person", Target::New(EntityId::new()), said);
    let said = change(AssertedBy::User, "user", vec![one]);
    apply(hub, alice, said).await.unwrap().entities[0].id
}

/// Open questions: both names in order, the score, and why.
async fn asked(hub: &TestHub, alice: &Scope) -> Vec<(String, f64, String)> {
    hub.settle().await;
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = call(hub, alice, "GET", &format!("/merges?limit=2{cursor}"), None).await;
        assert_eq!(page.status, 200, "{}", page.body);
        for one in page.body["items"].as_array().unwrap() {
            let mut names = ["first", "second"].map(|end| one[end]["title"].as_str().unwrap());
            names.sort_unstable();
            let reason = one["reason"].as_str().unwrap().to_owned();
            all.push((names.join(" / "), one["score"].as_f64().unwrap(), reason));
        }
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_likeliest_are_asked_first_and_an_initial_stands_for_a_name_on_one_birthday() {
    let hub = hub().await;
    let alice = hub.somebody();
    person(&hub, &alice, "Jon Smith", Some("1980-01-02")).await;
    person(&hub, &alice, "John Smith", Some("1980-01-02")).await;
    person(&hub, &alice, "Sam Miller", Some("1990-05-01")).await;
    person(&hub, &alice, "S. Miller", Some("1990-05-01")).await;
    person(&hub, &alice, "S. Miller", Some("1991-06-02")).await;
    person(&hub, &alice, "Ann Miller", Some("1990-05-01")).await;
    person(&hub, &alice, "Zoe Jones", Some("--03-04")).await;
    person(&hub, &alice, "Jones, Zoë", Some("--03-04")).await;
    let asked = asked(&hub, &alice).await;
    let mut pairs: Vec<&str> = asked.iter().map(|one| one.0.as_str()).collect();
    assert_eq!(pairs[0], "Jones, Zoë / Zoe Jones", "{asked:?}");
    assert!(asked.is_sorted_by(|a, b| a.1 >= b.1), "{asked:?}");
    assert!(
        asked.iter().all(|one| one.2.contains("birthday is the same")),
        "{asked:?}"
    );
    pairs.sort_unstable();
    assert_eq!(
        pairs,
        [
            "John Smith / Jon Smith",
            "Jones, Zoë / Zoe Jones",
            "S. Miller / Sam Miller"
        ]
    );
    let bad = call(&hub, &alice, "GET", "/merges?cursor=x", None).await;
    assert_eq!(bad.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_differ_in_numbers_alone_are_no_question_and_nobody_stands_in_very_many() {
    let hub = hub().await;
    let alice = hub.somebody();
    for number in 10..14 {
        person(&hub, &alice, &format!("Test Person {number}"), Some("1990-05-01")).await;
    }
    assert_eq!(asked(&hub, &alice).await, []);
    // Thirty of one name and birthday would be 435 questions.
    let mut last = None;
    for _ in 0..30 {
        last = Some(person(&hub, &alice, "Kim Jones", Some("2000-01-01")).await);
    }
    let open = asked(&hub, &alice).await.len();
    assert!((10..=150).contains(&open), "{open}");
    let mut behind = hub.database.superuser().await;
    let most: i64 = sqlx::query_scalar(
        "SELECT max(n) FROM (SELECT count(*) AS n FROM graph.merge_decision d JOIN graph.entity e \
         ON e.id IN (d.first_entity, d.second_entity) GROUP BY e.id) counted",
    )
    .fetch_one(&mut behind)
    .await
    .unwrap();
    assert!(most <= 10, "{most} about one of them, such as {last:?}");
}

/// Waits until somebody waits for a lock.
async fn until_somebody_waits(hub: &TestHub) {
    let mut behind = hub.database.superuser().await;
    for _ in 0..600 {
        let waiting: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')",
        )
        .fetch_one(&mut behind)
        .await
        .unwrap();
        if waiting {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("nobody waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_erased_while_it_is_looked_at_is_asked_about_no_more() {
    let hub = spine::testing::hub(|context| {
        let mut service = crate::service(context);
        service.consumers.clear();
        vec![service]
    })
    .await;
    let alice = hub.somebody();
    for erased_is_looked_at in [false, true] {
        let one = person(&hub, &alice, "Sam Miller", Some("1990-05-01")).await;
        let other = person(&hub, &alice, "Miller, Sam", Some("1990-05-01")).await;
        let gone = if erased_is_looked_at { other } else { one };
        let event = told(&hub, &alice).await.pop().unwrap();
        assert_eq!(event.subject, Some(other.to_string()));

        let mut erasing = hub.begin(&alice).await;
        graph(&hub).erase(&mut erasing, gone, false, 0).await.unwrap();
        let looking = async {
            let consumer = crate::identity::on_somebody_changed::SuggestMerges { graph: graph(&hub) };
            let mut tx = hub.begin(&alice).await;
            spine::Consumer::handle(&consumer, &mut tx, &event).await.unwrap();
            tx.commit().await.unwrap();
        };
        let erased = async {
            until_somebody_waits(&hub).await;
            erasing.commit().await.unwrap();
        };
        tokio::join!(looking, erased);
        assert_eq!(count(&hub, "merge_decision").await, 0);
        let mut tx = hub.begin(&alice).await;
        let left = if erased_is_looked_at { one } else { other };
        graph(&hub).erase(&mut tx, left, false, 0).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(count(&hub, "name_sound").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn merges_that_cross_wait_for_each_other_in_a_line() {
    let hub = hub().await;
    let alice = hub.somebody();
    let mut all = Vec::new();
    for name in ["A", "B", "C", "D", "E"] {
        all.push(person(&hub, &alice, name, None).await);
    }
    // A stands for itself as D does, by being part of it; B, of C.
    let merge = async |survivor: EntityId, absorbed: EntityId| {
        let mut tx = hub.begin(&alice).await;
        graph(&hub).merge(&mut tx, survivor, absorbed).await.unwrap();
        tx.commit().await.unwrap();
    };
    merge(all[3], all[0]).await;
    merge(all[2], all[1]).await;
    // The one holds C and will want D, when the other one comes for both.
    let mut first = hub.begin(&alice).await;
    graph(&hub).merge(&mut first, all[2], all[4]).await.unwrap();
    let second = async { merge(all[0], all[1]).await };
    let first = async {
        until_somebody_waits(&hub).await;
        graph(&hub).merge(&mut first, all[2], all[3]).await.unwrap();
        first.commit().await.unwrap();
    };
    tokio::join!(second, first);
    let mut tx = hub.begin(&alice).await;
    for id in &all {
        let root = crate::store::entity_root(&mut tx, *id).await.unwrap();
        assert_eq!(root, Some(all[2]), "all of them are one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_merged_into_or_told_apart_from_themselves() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (_, sam) = alice_and_sam(&hub, &alice).await;
    let before = told(&hub, &alice).await.len();
    for (deed, word) in [
        ("merge", "merged into itself"),
        ("distinct", "told apart from itself"),
    ] {
        let path = format!("/entities/{sam}/{deed}");
        let answer = call(&hub, &alice, "POST", &path, Some(json!({ "other": sam }))).await;
        assert_eq!(answer.status, 422, "{}", answer.body);
        assert!(
            answer.body["detail"].as_str().unwrap().contains(word),
            "{}",
            answer.body
        );
    }
    let me = json!({"other": "me"});
    let answer = call(&hub, &alice, "POST", "/entities/me/merge", Some(me)).await;
    assert_eq!(answer.status, 422);
    assert_eq!(told(&hub, &alice).await.len(), before);
}
