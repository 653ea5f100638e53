//! The APIs of Stripe, Gumroad and GitHub, as their public documentation describes them: pages, an order, a token, and
//! "come again later". Each remembers what it has and what it was asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::{DateTime, SecondsFormat, Utc};
use contracts::{Clock, SystemClock};
use serde_json::{Value, json};

use super::{Alice, hub};

const TOKEN: &str = "the-right-token";

#[derive(Clone)]
struct Api {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    /// Oldest first.
    items: Vec<Value>,
    /// The fields of each question that was answered.
    answered: Vec<HashMap<String, String>>,
    /// After so many answers it is busy for two hours.
    busy_after: Option<usize>,
}

impl Api {
    async fn start(items: Vec<Value>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inner = Inner {
            items,
            ..Inner::default()
        };
        let api = Self {
            address: listener.local_addr().unwrap(),
            inner: Arc::new(Mutex::new(inner)),
        };
        let router = Router::new()
            .route("/v1/charges", get(charges))
            .route("/v2/sales", get(sales))
            .route("/repos/octo/hub/issues", get(issues))
            .with_state(api.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        api
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn answered(&self) -> Vec<HashMap<String, String>> {
        self.inner.lock().unwrap().answered.clone()
    }

    /// The items, unless the question is refused.
    fn ask(
        &self,
        headers: &HeaderMap,
        fields: &HashMap<String, String>,
    ) -> Result<Vec<Value>, Box<Response>> {
        if headers.get("authorization").and_then(|value| value.to_str().ok())
            != Some(&format!("Bearer {TOKEN}"))
        {
            let body = axum::Json(json!({ "message": "Bad credentials" }));
            return Err(Box::new((StatusCode::UNAUTHORIZED, body).into_response()));
        }
        let mut inner = self.inner.lock().unwrap();
        if inner.busy_after.is_some_and(|most| inner.answered.len() >= most) {
            let busy = (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7200")]);
            return Err(Box::new(busy.into_response()));
        }
        inner.answered.push(fields.clone());
        Ok(inner.items.clone())
    }
}

type Fields = Query<HashMap<String, String>>;

/// "List all charges": newest first, at most 100, from the one after `starting_after`.
async fn charges(State(api): State<Api>, headers: HeaderMap, Query(fields): Fields) -> Response {
    let mut items = match api.ask(&headers, &fields) {
        Ok(items) => items,
        Err(refused) => return *refused,
    };
    items.reverse();
    if let Some(since) = fields.get("created[gte]") {
        let since: i64 = since.parse().unwrap();
        items.retain(|one| one["created"].as_i64().unwrap() >= since);
    }
    if let Some(after) = fields.get("starting_after") {
        let Some(at) = items.iter().position(|one| one["id"] == **after) else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        items.drain(..=at);
    }
    let limit = fields.get("limit").map_or(10, |limit| limit.parse().unwrap());
    assert!(limit <= 100);
    let has_more = items.len() > limit;
    items.truncate(limit);
    axum::Json(json!({ "object": "list", "url": "/v1/charges", "has_more": has_more, "data": items }))
        .into_response()
}

/// "Sales": newest first, ten a page, the next by `page_key`; `after` is a day.
async fn sales(State(api): State<Api>, headers: HeaderMap, Query(fields): Fields) -> Response {
    let mut items = match api.ask(&headers, &fields) {
        Ok(items) => items,
        Err(refused) => return *refused,
    };
    items.reverse();
    if let Some(after) = fields.get("after") {
        assert_eq!(after.len(), 10, "a day");
        items.retain(|one| one["created_at"].as_str().unwrap() >= after.as_str());
    }
    let from: usize = fields
        .get("page_key")
        .map_or(0, |key| key.strip_prefix("k-").unwrap().parse().unwrap());
    let page: Vec<&Value> = items.iter().skip(from).take(10).collect();
    let mut answer = json!({ "success": true, "sales": page });
    if from + 10 < items.len() {
        answer["next_page_key"] = json!(format!("k-{}", from + 10));
    }
    axum::Json(answer).into_response()
}

/// "List repository issues": sorted as asked for, by pages from 1; `since` is the moment of the last change.
async fn issues(State(api): State<Api>, headers: HeaderMap, Query(fields): Fields) -> Response {
    let mut items = match api.ask(&headers, &fields) {
        Ok(items) => items,
        Err(refused) => return *refused,
    };
    let is = |name: &str, wanted: &str| fields.get(name).is_some_and(|value| value == wanted);
    assert!(is("state", "all") && is("sort", "updated") && is("direction", "asc"));
    items.sort_by_key(|one| one["updated_at"].as_str().unwrap().to_owned());
    if let Some(since) = fields.get("since") {
        items.retain(|one| at(&one["updated_at"]) >= at(&json!(since)));
    }
    let number = |name: &str| fields[name].parse::<usize>().unwrap();
    let (page, most) = (number("page"), number("per_page"));
    let page: Vec<&Value> = items.iter().skip((page - 1) * most).take(most).collect();
    axum::Json(page).into_response()
}

fn at(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

fn moment(at: i64) -> String {
    let at = DateTime::from_timestamp(at, 0).unwrap();
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn charge(number: i64, created: i64) -> Value {
    json!({
        "id": format!("ch_{number}"), "object": "charge", "amount": 100 + number, "currency": "eur", "created": created,
        "status": "succeeded", "refunded": false, "disputed": false, "amount_refunded": 0, "customer": null,
        "description": null, "receipt_email": format!("buyer{}@example.org", number % 7), "receipt_url": null,
        "billing_details": { "email": null, "name": null },
    })
}

fn sale(number: i64, created: i64) -> Value {
    json!({
        "id": format!("sale{number}=="), "created_at": moment(created), "price": 500 + number, "email": format!("buyer{}@example.org", number % 7),
        "full_name": format!("Buyer {}", number % 7), "product_name": "A book", "product_id": "p1", "refunded": false,
        "disputed": false, "currency_symbol": "$",
    })
}

fn issue(number: i64, updated: i64) -> Value {
    json!({
        "number": number, "title": format!("Issue {number}"), "body": null, "state": "open", "user": { "login": "sam" },
        "html_url": format!("https://github.com/octo/hub/issues/{number}"), "updated_at": moment(updated), "closed_at": null,
    })
}

/// A vendor's pack against its stand-in.
struct Vendor {
    plugin: &'static str,
    secret: &'static str,
    settings: Value,
    secrets: Value,
    item: fn(i64, i64) -> Value,
    items: i64,
    pages: usize,
    /// What becomes of each.
    kind: &'static str,
    /// The field that names what comes after a moment.
    since: &'static str,
}

/// A wrong token, a provider that is busy in the middle, the rest of it, and then only what is new or changed.
async fn is_read(vendor: Vendor) {
    let hub = hub().await;
    let now = SystemClock.now().timestamp();
    let begins = now - 90 * 86_400;
    let items = (0..vendor.items).map(|n| (vendor.item)(n + 1, begins + n * 60));
    let api = Api::start(items.collect()).await;
    api.inner.lock().unwrap().busy_after = Some(1);
    let alice = Alice::new(&hub);
    let mut settings = vendor.settings.clone();
    settings["base_url"] = json!(api.url());
    let mut secrets = vendor.secrets.clone();
    secrets[vendor.secret] = json!("a-wrong-token");
    let connection = alice.connect(vendor.plugin, settings, secrets).await;
    alice
        .until("the token is refused", &connection, |shown| {
            shown["health"] == "needs-reauthorisation"
        })
        .await;
    assert_eq!(api.answered().len(), 0);

    let path = format!("/connections/{connection}/secrets");
    let (status, _) = alice.call("PUT", &path, json!({ (vendor.secret): TOKEN })).await;
    assert_eq!(status, 200);
    let shown = alice
        .until("it is busy", &connection, |shown| {
            shown["streams"][0]["class"] == "transient"
        })
        .await;
    let stream = &shown["streams"][0];
    let wait = at(&stream["next_at"]).timestamp() - now;
    assert!((7000..=7260).contains(&wait), "when it said: {wait}");
    assert!(stream["done"].as_i64().unwrap() < vendor.items);

    api.inner.lock().unwrap().busy_after = None;
    alice.act(&connection, "sync").await;
    let shown = alice.until_read(&connection).await;
    assert_eq!(shown["health"], "active");
    assert_eq!(
        api.answered().len(),
        vendor.pages,
        "no page twice: {:?}",
        api.answered()
    );
    let all = usize::try_from(vendor.items).unwrap();
    assert_eq!(alice.count(vendor.kind).await, all);
    assert_eq!(alice.parked().await, Vec::<String>::new());

    let later = SystemClock.now().timestamp() + 60;
    let new = (vendor.item)(vendor.items + 1, later);
    api.inner.lock().unwrap().items.push(new);
    let asked = api.answered().len();
    alice.act(&connection, "sync").await;
    hub.eventually("what is new is in", async || {
        (alice.count(vendor.kind).await == all + 1).then_some(())
    })
    .await;
    let questions = api.answered();
    assert_eq!(questions.len(), asked + 1, "only what is new is asked for");
    assert!(
        questions[asked].contains_key(vendor.since),
        "{:?}",
        questions[asked]
    );
    assert_eq!(alice.parked().await, Vec::<String>::new());
}

#[tokio::test]
async fn charges_of_stripe_are_read_newest_first_and_then_those_since() {
    is_read(Vendor {
        plugin: "stripe",
        secret: "api_key",
        settings: json!({}),
        secrets: json!({ "signing_secret": "whsec_0123456789abcdef" }),
        item: charge,
        items: 250,
        pages: 3,
        kind: "Transaction",
        since: "created[gte]",
    })
    .await;
}

#[tokio::test]
async fn sales_of_gumroad_are_read_by_page_keys_and_then_those_since_the_day() {
    is_read(Vendor {
        plugin: "gumroad",
        secret: "access_token",
        settings: json!({}),
        secrets: json!({ "word": "0123456789abcdef" }),
        item: sale,
        items: 34,
        pages: 4,
        kind: "Transaction",
        since: "after",
    })
    .await;
}

#[tokio::test]
async fn issues_of_github_are_read_from_the_oldest_change_on_and_then_those_changed_since() {
    is_read(Vendor {
        plugin: "github",
        secret: "token",
        settings: json!({ "repository": "octo/hub" }),
        secrets: json!({ "webhook_secret": "a secret" }),
        item: issue,
        items: 230,
        pages: 3,
        kind: "Task",
        since: "since",
    })
    .await;
}
