//! A long reading lets others through, and stands in a queue with an import of the same people.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use spine::edge::Caller;

use super::{Alice, MAPPING, Shop, answered, hub};

impl Alice<'_> {
    /// The shop with pages of 400 orders.
    async fn connect_in_large_pages(&self, shop: &Shop) -> String {
        let settings = json!({
            "url": format!("{}/orders", shop.url()), "query": "{\"limit\": 400}", "mapping": MAPPING, "paging": "cursor",
            "page_field": "after", "next": "next", "since_field": "since",
        });
        self.connect("poller", settings, json!({})).await
    }

    async fn one(&self, sql: &str) -> i64 {
        let mut behind = self.hub.database.superuser().await;
        sqlx::query_scalar(sql).fetch_one(&mut behind).await.unwrap()
    }
}

#[tokio::test]
async fn a_page_is_taken_in_by_short_commits_while_somebody_waits() {
    let (hub, shop) = (hub().await, Shop::start(400).await);
    let alice = Alice::new(&hub);
    shop.hold_after(0);
    let connection = alice.connect_in_large_pages(&shop).await;
    let mut waiting = hub.database.superuser().await;
    let waits = tokio::spawn(async move {
        loop {
            sqlx::query("SELECT FROM plugins.stream FOR UPDATE")
                .execute(&mut waiting)
                .await
                .unwrap();
        }
    });
    shop.go_on();
    alice.until_read(&connection).await;
    waits.abort();
    assert_eq!(alice.count("Transaction").await, 400);
    let commits = "SELECT count(DISTINCT xmin::text) FROM graph.raw_record";
    assert!(
        alice.one(commits).await >= 4,
        "a page without anybody waiting is one"
    );
}

#[tokio::test]
async fn an_import_and_a_first_reading_of_the_same_people_wait_for_each_other_and_not_in_a_ring() {
    let (hub, shop) = (hub().await, Shop::start(400).await);
    let alice = Alice::new(&hub);
    let mut held = hub.begin(&alice.scope).await;
    held.lock_intake().await.unwrap();
    let connection = alice.connect_in_large_pages(&shop).await;
    // The buyers in the other order, at the end.
    let cards: String = (0..100)
        .rev()
        .map(|n| {
            format!(
                "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:card-{n}\r\nFN:Buyer {n}\r\nEMAIL:buyer{n}@example.org\r\nEND:VCARD\r\n"
            )
        })
        .collect();
    let api = etl::service(&hub.context).api.split_for_parts().0;
    let request = Request::post("/imports?type=vcard")
        .extension(Caller(alice.scope.clone()))
        .body(Body::from(cards))
        .unwrap();
    let (status, import) = answered(api.clone(), request).await;
    assert_eq!(status, 202, "{import}");
    let queued = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    hub.eventually("both wait for their turn", async || {
        (alice.one(queued).await == 2).then_some(())
    })
    .await;
    held.commit().await.unwrap();
    alice.until_read(&connection).await;
    let path = format!("/imports/{}", import["id"].as_str().unwrap());
    let done = hub
        .eventually("the import ends", async || {
            let request = Request::get(&path).extension(Caller(alice.scope.clone()));
            let (_, now) = answered(api.clone(), request.body(Body::empty()).unwrap()).await;
            now["finished_at"].is_string().then_some(now)
        })
        .await;
    assert_eq!(
        (&done["state"], &done["taken"]),
        (&json!("finished"), &json!(100))
    );
    assert_eq!(
        (alice.count("Transaction").await, alice.count("Person").await),
        (400, 100)
    );
    assert_eq!(alice.parked().await, Vec::<String>::new());
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(alice.one(deadlocks).await, 0);
    let shown: Value = alice.stream(&connection).await;
    assert_eq!((&shown["taken"], &shown["failures"]), (&json!(400), &json!(0)));
}
