//! A provider that is busy, away or refuses; records that can't be understood; an owner who pauses.

use chrono::{DateTime, Utc};
use contracts::{Clock, SystemClock};
use serde_json::{Value, json};

use super::{Alice, MAPPING, Shop, hub};

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_provider_that_is_away_is_told_once_tried_later_each_time_and_recovers_by_itself() {
    let (hub, shop) = (hub().await, Shop::start(10).await);
    shop.refuse(503, None);
    let alice = Alice::new(&hub);
    let connection = alice.connect_shop(&shop).await;
    let mut waits = Vec::new();
    for n in 1..=4 {
        let shown = alice
            .until("it failed", &connection, |shown| {
                // The connection is read a moment before its streams.
                shown["streams"][0]["failures"] == n && shown["health"] != "active"
            })
            .await;
        let stream = &shown["streams"][0];
        assert_eq!(
            (&stream["class"], &shown["health"]),
            (&json!("transient"), &json!("retrying"))
        );
        waits.push((time(&stream["next_at"]) - SystemClock.now()).num_seconds());
        if n < 4 {
            alice.act(&connection, "sync").await;
        }
    }
    assert!(
        waits.is_sorted() && waits[0] >= 15 && waits[3] >= 150,
        "{waits:?}"
    );
    assert_eq!(alice.told().await, ["retrying"], "once, not at each try");
    shop.welcome();
    let mut behind = hub.database.superuser().await;
    sqlx::query("UPDATE plugins.stream SET next_at = now()")
        .execute(&mut behind)
        .await
        .unwrap();
    let shown = alice.until_read(&connection).await;
    assert_eq!(
        (&shown["health"], &shown["streams"][0]["failures"]),
        (&json!("active"), &json!(0))
    );
    assert_eq!(alice.told().await, ["retrying", "active"]);
    assert_eq!(alice.count("Transaction").await, 10);
}

#[tokio::test]
async fn a_provider_that_says_when_to_come_again_is_left_alone_until_then() {
    let (hub, shop) = (hub().await, Shop::start(1).await);
    shop.refuse(429, Some(7200));
    let alice = Alice::new(&hub);
    let connection = alice.connect_shop(&shop).await;
    let shown = alice
        .until("it failed", &connection, |shown| {
            shown["streams"][0]["failures"] == 1
        })
        .await;
    let wait = time(&shown["streams"][0]["next_at"]) - SystemClock.now();
    assert!((7000..=7200).contains(&wait.num_seconds()), "{wait}");
}

#[tokio::test]
async fn a_refused_secret_waits_for_the_owner_and_a_new_one_is_tried_at_once() {
    let (hub, shop) = (hub().await, Shop::start(3).await);
    shop.refuse(401, None);
    let alice = Alice::new(&hub);
    let connection = alice.connect_shop(&shop).await;
    let shown = alice
        .until("it is refused", &connection, |shown| {
            shown["health"] == "needs-reauthorisation"
        })
        .await;
    let stream = &shown["streams"][0];
    assert_eq!(
        (&stream["class"], &stream["next_at"]),
        (&json!("configuration"), &Value::Null)
    );
    shop.welcome();
    let path = format!("/connections/{connection}/secrets");
    let (status, _) = alice.call("PUT", &path, json!({ "token": "new" })).await;
    assert_eq!(status, 200);
    assert_eq!(alice.until_read(&connection).await["health"], "active");
}

#[tokio::test]
async fn a_record_that_cant_be_understood_is_parked_with_its_reason_and_stops_nothing() {
    let (hub, shop) = (hub().await, Shop::start(60).await);
    shop.change(7, json!({ "total": "1.00", "buyer": { "name": "Nobody" } }));
    shop.change(
        20,
        json!({ "number": 20, "paid_at": "yesterday", "total": "1.00", "buyer": {} }),
    );
    shop.change(
        31,
        json!({ "number": 31, "paid_at": 1, "total": ["many"], "buyer": {} }),
    );
    let alice = Alice::new(&hub);
    let connection = alice.connect_shop(&shop).await;
    let shown = alice.until_read(&connection).await;
    assert_eq!(alice.count("Transaction").await, 57);
    let parked = alice.parked().await;
    assert_eq!(parked.len(), 3, "{parked:?}");
    for reason in ["no id of what it tells of", "a time that can't be read", "amount"] {
        assert!(
            parked.iter().any(|one| one.contains(reason)),
            "{reason}: {parked:?}"
        );
    }
    let stream = &shown["streams"][0];
    assert_eq!((&stream["taken"], &stream["parked"]), (&json!(57), &json!(3)));
    assert_eq!(shown["health"], "active");
}

#[tokio::test]
async fn a_paused_connection_takes_nothing_in_not_even_a_page_that_was_on_its_way() {
    let (hub, shop) = (hub().await, Shop::start(200).await);
    shop.hold_after(2);
    let alice = Alice::new(&hub);
    let connection = alice.connect_shop(&shop).await;
    alice
        .until("two pages are in", &connection, |shown| {
            shown["streams"][0]["done"] == 100
        })
        .await;
    hub.eventually("the third is asked for", async || {
        (shop.asked() == 3).then_some(())
    })
    .await;
    alice.act(&connection, "pause").await;
    shop.go_on();
    let (status, _) = alice
        .call("POST", &format!("/connections/{connection}/sync"), json!({}))
        .await;
    assert_eq!(status, 409, "what is paused is not read");
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(alice.count("Transaction").await, 100);
    assert_eq!(alice.show(&connection).await["health"], "paused");
    alice.act(&connection, "resume").await;
    let shown = alice.until_read(&connection).await;
    assert_eq!(
        (alice.count("Transaction").await, &shown["streams"][0]["done"]),
        (200, &json!(200))
    );
}

#[tokio::test]
async fn what_a_removed_connection_brought_stays_and_its_checkpoints_go() {
    let (hub, shop) = (hub().await, Shop::start(5).await);
    let alice = Alice::new(&hub);
    let connection = alice.connect_shop(&shop).await;
    alice.until_read(&connection).await;
    let (status, _) = alice
        .call("DELETE", &format!("/connections/{connection}"), json!({}))
        .await;
    assert_eq!(status, 204);
    assert_eq!(alice.count("Transaction").await, 5);
    let mut behind = hub.database.superuser().await;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM plugins.stream")
        .fetch_one(&mut behind)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_was_parked_is_understood_by_a_retry_or_the_next_reading_once_the_mapping_is_mended() {
    let (hub, shop) = (hub().await, Shop::start(60).await);
    let alice = Alice::new(&hub);
    let wrong = MAPPING.replace("\"amount\": \"total\"", "\"amount\": \"buyer\"");
    assert_ne!(wrong, MAPPING);
    let settings = |mapping: &str| {
        json!({
            "url": format!("{}/orders", shop.url()), "query": "{\"limit\": 50}", "mapping": mapping, "paging": "cursor",
            "page_field": "after", "next": "next", "since_field": "since",
        })
    };
    let connection = alice.connect("poller", settings(&wrong), json!({})).await;
    alice.until_read(&connection).await;
    let parked = alice.parked_ids().await;
    assert_eq!((parked.len(), alice.count("Transaction").await), (60, 0));
    let path = format!("/connections/{connection}/records/{}/retry", parked[0]);
    let (status, answer) = alice.call("POST", &path, json!({})).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["parked"].as_str().unwrap().contains("amount"), "{answer}");

    let mended = json!({ "settings": { "mapping": MAPPING } });
    let (status, answer) = alice
        .call("PATCH", &format!("/connections/{connection}"), mended)
        .await;
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = alice.call("POST", &path, json!({})).await;
    assert_eq!((status, &answer), (200, &json!({})), "it is understood now");
    assert_eq!(
        (alice.count("Transaction").await, alice.parked_ids().await.len()),
        (1, 59)
    );
    let (status, _) = alice.call("POST", &path, json!({})).await;
    assert_eq!(status, 409, "it was understood before");

    alice.act(&connection, "sync").await;
    hub.eventually("all of it was read again", async || {
        (alice.count("Transaction").await == 60).then_some(())
    })
    .await;
    assert_eq!(alice.parked().await, Vec::<String>::new());
}
