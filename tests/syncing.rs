//! A connection's streams: read page by page, interrupted, refused, paused; by packs and by a connector in Rust. With the
//! real graph.
//!
//! Begin with [`Alice`], who connects a shop that is served here.

mod apis;
mod connector;
mod hostile;
mod interrupted;
mod pace;
mod shop;
mod trouble;
mod vendors;
mod webhook;

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use shop::Shop;
use spine::Scope;
use spine::edge::Caller;
use spine::testing::TestHub;
use tower::ServiceExt;

const MAPPING: &str = r#"{
    "each": "orders", "type": "Transaction", "id": "number", "at": "paid_at", "title": "Order {number}",
    "props": { "amount": "total", "currency": "=EUR", "counterparty": "buyer.name" },
    "relations": [
        { "predicate": "payer", "type": "Person", "title": "{buyer.name}", "identifiers": { "email": "buyer.email" } }
    ]
}"#;

fn services(context: &spine::Context) -> Vec<spine::Service> {
    vec![
        accounts::service(context),
        graph::service(context),
        media::service(context).unwrap(),
        etl::service(context),
        plugins::service(context),
    ]
}

async fn hub() -> TestHub {
    spine::testing::hub(services).await
}

/// With packs of the test's own.
async fn hub_with(packs: &Path) -> TestHub {
    spine::testing::hub(|context| services(&elsewhere(context, packs))).await
}

fn elsewhere(context: &spine::Context, packs: &Path) -> spine::Context {
    let mut settings = context.settings.as_ref().clone();
    settings.packs_dir = packs.to_owned();
    spine::Context {
        settings: Arc::new(settings),
        ..context.clone()
    }
}

/// Somebody with an account.
struct Alice<'a> {
    hub: &'a TestHub,
    scope: Scope,
    api: Router,
    public: Router,
}

impl<'a> Alice<'a> {
    fn new(hub: &'a TestHub) -> Self {
        Self::of(hub, hub.somebody())
    }

    fn of(hub: &'a TestHub, scope: Scope) -> Self {
        Self::with(hub, scope, &hub.context)
    }

    fn with(hub: &'a TestHub, scope: Scope, context: &spine::Context) -> Self {
        let mut service = plugins::service(context);
        let api = std::mem::take(&mut service.api).split_for_parts().0;
        let public = std::mem::take(&mut service.public).split_for_parts().0;
        Self {
            hub,
            scope,
            api,
            public,
        }
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .extension(Caller(self.scope.clone()));
        let request = request.body(Body::from(body.to_string())).unwrap();
        answered(self.api.clone(), request).await
    }

    /// The new connection's id.
    async fn connect(&self, plugin: &str, settings: Value, secrets: Value) -> String {
        let new = json!({
            "plugin": plugin, "name": plugin, "settings": settings, "secrets": secrets, "allowed_ranges": ["127.0.0.0/8"],
        });
        let (status, made) = self.call("POST", "/connections", new).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }

    /// The shop, by the generic poller.
    async fn connect_shop(&self, shop: &Shop) -> String {
        let settings = json!({
            "url": format!("{}/orders", shop.url()), "query": "{\"limit\": 50}", "mapping": MAPPING, "paging": "cursor",
            "page_field": "after", "next": "next", "since_field": "since", "total": "count",
        });
        self.connect("poller", settings, json!({})).await
    }

    async fn show(&self, connection: &str) -> Value {
        self.call("GET", &format!("/connections/{connection}"), json!({}))
            .await
            .1
    }

    async fn stream(&self, connection: &str) -> Value {
        self.show(connection).await["streams"][0].clone()
    }

    async fn act(&self, connection: &str, verb: &str) {
        let path = format!("/connections/{connection}/{verb}");
        let (status, answer) = self.call("POST", &path, json!({})).await;
        assert!(status < 300, "{verb}: {answer}");
    }

    async fn until(&self, what: &str, connection: &str, is: impl Fn(&Value) -> bool) -> Value {
        self.hub
            .eventually(what, async || {
                let shown = self.show(connection).await;
                is(&shown).then_some(shown)
            })
            .await
    }

    async fn until_read(&self, connection: &str) -> Value {
        let is_read = |shown: &Value| shown["streams"][0]["read_at"].is_string();
        self.until("the stream is read to its end", connection, is_read)
            .await
    }

    /// Type, title, properties and relations of all that is known, as sorted lines without ids.
    async fn graph(&self) -> Vec<String> {
        let mut behind = self.hub.database.superuser().await;
        sqlx::query_scalar(
            "SELECT e.type || ' ' || coalesce(e.title, '') || ' ' || (e.props)::text || coalesce(
                (SELECT string_agg(r.predicate || ' ' || coalesce(o.title, ''), ',' ORDER BY r.predicate, o.title)
                FROM graph.relation r JOIN graph.entity o ON o.id = r.to_entity WHERE r.from_entity = e.id AND r.removed_at IS NULL), '')
            FROM graph.entity e WHERE e.account = $1 AND e.deleted_at IS NULL AND e.merged_into IS NULL ORDER BY 1",
        )
        .bind(self.scope.account().0)
        .fetch_all(&mut behind)
        .await
        .unwrap()
    }

    async fn count(&self, kind: &str) -> usize {
        let begins = format!("{kind} ");
        let graph = self.graph().await;
        graph.iter().filter(|line| line.starts_with(&begins)).count()
    }

    /// Ids of the parked records.
    async fn parked_ids(&self) -> Vec<String> {
        let mut behind = self.hub.database.superuser().await;
        sqlx::query_scalar(
            "SELECT id::text FROM graph.raw_record WHERE account = $1 AND status = 'parked' ORDER BY 1",
        )
        .bind(self.scope.account().0)
        .fetch_all(&mut behind)
        .await
        .unwrap()
    }

    /// Reason of each parked record.
    async fn parked(&self) -> Vec<String> {
        let mut behind = self.hub.database.superuser().await;
        sqlx::query_scalar(
            "SELECT reason FROM graph.raw_record WHERE account = $1 AND status = 'parked' ORDER BY 1",
        )
        .bind(self.scope.account().0)
        .fetch_all(&mut behind)
        .await
        .unwrap()
    }

    /// What was told of the health of connections.
    async fn told(&self) -> Vec<String> {
        self.hub.settle().await;
        let events = self.hub.events(&self.scope).await;
        events
            .into_iter()
            .filter(|event| event.kind == "connector.ConnectionHealthChanged")
            .map(|event| event.body.unwrap()["health"].as_str().unwrap().to_owned())
            .collect()
    }
}

async fn answered(router: Router, request: Request<Body>) -> (u16, Value) {
    let response = router.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    (status, serde_json::from_slice(&body).unwrap_or(Value::from(text)))
}

#[tokio::test]
async fn a_first_reading_says_how_far_it_is_and_is_history_and_what_comes_later_is_live() {
    let (hub, shop) = (hub().await, Shop::start(250).await);
    let alice = Alice::new(&hub);
    shop.hold_after(3);
    let connection = alice.connect_shop(&shop).await;
    let shown = alice
        .until("two pages are in", &connection, |shown| {
            shown["streams"][0]["done"] == 150
        })
        .await;
    let stream = &shown["streams"][0];
    assert!(
        stream["progress"]
            .as_str()
            .unwrap()
            .starts_with("150 of about 250, "),
        "{stream}"
    );
    assert_eq!(
        (&stream["mode"], &stream["under_way"]),
        (&json!("full"), &json!(true))
    );
    shop.go_on();
    let shown = alice.until_read(&connection).await;
    assert_eq!(alice.count("Transaction").await, 250);
    assert_eq!(alice.count("Person").await, 5, "five buyers, each once");
    let graph = alice.graph().await;
    let seventh = graph
        .iter()
        .find(|line| line.starts_with("Transaction Order 7 "))
        .unwrap();
    assert!(
        seventh.contains("7.00") && seventh.ends_with("payer Buyer 2"),
        "{seventh}"
    );
    assert_eq!(shown["streams"][0]["mode"], "incremental", "what comes next");

    shop.sell(1);
    alice.act(&connection, "sync").await;
    hub.eventually("the new order is in", async || {
        (alice.count("Transaction").await == 251).then_some(())
    })
    .await;
    hub.settle().await;
    let mut behind = hub.database.superuser().await;
    let lanes: Vec<(String, i64)> = sqlx::query_as(
        "SELECT lane::text, count(*) FROM spine.event_log WHERE account = $1 AND type = 'connector.DataReceived' GROUP BY 1 ORDER BY 1",
    )
    .bind(alice.scope.account().0)
    .fetch_all(&mut behind)
    .await
    .unwrap();
    assert_eq!(lanes, [("backfill".to_owned(), 250), ("live".to_owned(), 1)]);
}

#[tokio::test]
async fn reading_all_of_it_again_adds_nothing() {
    let (hub, shop) = (hub().await, Shop::start(120).await);
    let alice = Alice::new(&hub);
    let connection = alice.connect_shop(&shop).await;
    alice.until_read(&connection).await;
    let before = alice.graph().await;
    let path = format!("/connections/{connection}/sync");
    let (status, _) = alice.call("POST", &path, json!({ "whole": true })).await;
    assert_eq!(status, 202);
    let asked = shop.asked();
    hub.eventually("all pages were asked for again", async || {
        (shop.asked() >= asked + 3).then_some(())
    })
    .await;
    alice
        .until("it is at its end", &connection, |shown| {
            shown["streams"][0]["under_way"] == false
        })
        .await;
    assert_eq!(alice.graph().await, before);
    assert_eq!(alice.stream(&connection).await["taken"], 120);
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_named_with_the_nearest_that_is() {
    let (hub, shop) = (hub().await, Shop::start(1).await);
    let alice = Alice::new(&hub);
    let connection = alice.connect_shop(&shop).await;
    let path = format!("/connections/{connection}/sync");
    let (status, problem) = alice.call("POST", &path, json!({ "stream": "recods" })).await;
    assert_eq!(status, 422);
    assert!(
        problem.to_string().contains("did you mean `records`?"),
        "{problem}"
    );
}

#[tokio::test]
async fn what_is_given_to_a_helper_holds_no_secret_no_address_and_nothing_that_was_brought() {
    let (hub, shop) = (hub().await, Shop::start(3).await);
    let alice = Alice::new(&hub);
    let connection = alice.connect_shop(&shop).await;
    let path = format!("/connections/{connection}/secrets");
    alice.call("PUT", &path, json!({ "token": "top-secret" })).await;
    alice.until_read(&connection).await;
    let (status, told) = alice
        .call(
            "GET",
            &format!("/connections/{connection}/diagnostics"),
            json!({}),
        )
        .await;
    assert_eq!(status, 200);
    assert_eq!(
        (
            &told["secrets"],
            &told["settings"]["paging"],
            &told["streams"][0]["taken"]
        ),
        (&json!(["token"]), &json!("cursor"), &json!(3))
    );
    assert!(told["manifest"]["version"].is_string());
    let text = told.to_string();
    for hidden in ["top-secret", &shop.url(), "Buyer", "buyer.name"] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }
}
