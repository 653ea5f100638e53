//! Feeds from a real HTTP server: what is new, what was edited, what costs nothing, what is refused. With the real graph.
//!
//! Begin with [`Site`], which has a feed.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use spine::Scope;
use spine::edge::Caller;
use spine::testing::TestHub;
use tower::ServiceExt;

/// Serves one feed at `/feed`.
#[derive(Clone)]
struct Site {
    kept: Arc<Mutex<Kept>>,
    url: String,
}

#[derive(Default)]
struct Kept {
    body: String,
    etag: Option<String>,
    status: Option<StatusCode>,
    /// Whether each question was answered with the feed.
    answers: Vec<bool>,
}

impl Site {
    async fn start(body: &str, etag: Option<&str>) -> Self {
        let kept = Arc::new(Mutex::new(Kept {
            body: body.to_owned(),
            etag: etag.map(ToOwned::to_owned),
            ..Kept::default()
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/feed", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/feed", axum::routing::get(serve))
            .with_state(kept.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { kept, url }
    }

    fn says(&self, body: &str, etag: Option<&str>) {
        let mut kept = self.kept.lock().unwrap();
        (kept.body, kept.etag, kept.status) = (body.to_owned(), etag.map(ToOwned::to_owned), None);
    }

    fn refuses(&self, status: StatusCode) {
        self.kept.lock().unwrap().status = Some(status);
    }

    fn answers(&self) -> Vec<bool> {
        self.kept.lock().unwrap().answers.clone()
    }
}

async fn serve(State(kept): State<Arc<Mutex<Kept>>>, headers: HeaderMap) -> Response {
    let mut kept = kept.lock().unwrap();
    if let Some(status) = kept.status {
        return status.into_response();
    }
    let asked = headers
        .get("if-none-match")
        .map(|value| value.to_str().unwrap().to_owned());
    let is_same = asked.is_some() && asked == kept.etag;
    kept.answers.push(!is_same);
    let etag: Vec<(&str, String)> = kept.etag.iter().map(|etag| ("etag", etag.clone())).collect();
    if is_same {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let mut answer = kept.body.clone().into_response();
    for (name, value) in etag {
        answer.headers_mut().insert(name, value.parse().unwrap());
    }
    answer
}

async fn hub() -> TestHub {
    spine::testing::hub(|context| {
        vec![
            accounts::service(context),
            graph::service(context),
            media::service(context).unwrap(),
            etl::service(context),
            connectors::service(context),
            plugins::service(context),
        ]
    })
    .await
}

struct Alice<'a> {
    hub: &'a TestHub,
    scope: Scope,
    api: Router,
}

impl<'a> Alice<'a> {
    fn new(hub: &'a TestHub) -> Self {
        let mut service = plugins::service(&hub.context);
        Self {
            hub,
            scope: hub.somebody(),
            api: std::mem::take(&mut service.api).split_for_parts().0,
        }
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .extension(Caller(self.scope.clone()));
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = self.api.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn connect(&self, site: &Site) -> String {
        let new = json!({ "plugin": "feeds", "name": "feed", "settings": { "url": site.url }, "secrets": {},
            "allowed_ranges": ["127.0.0.0/8"] });
        let (status, made) = self.call("POST", "/connections", new).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }

    async fn stream(&self, connection: &str) -> Value {
        let shown = self
            .call("GET", &format!("/connections/{connection}"), json!({}))
            .await
            .1;
        shown["streams"][0].clone()
    }

    /// Asks now, and waits until that is done.
    async fn ask(&self, connection: &str) {
        let before = self.stream(connection).await["read_at"].clone();
        let (status, _) = self
            .call("POST", &format!("/connections/{connection}/sync"), json!({}))
            .await;
        assert_eq!(status, 202);
        self.hub
            .eventually("the feed was asked", async || {
                (self.stream(connection).await["read_at"] != before).then_some(())
            })
            .await;
    }

    async fn documents(&self) -> Vec<(String, Value)> {
        let mut behind = self.hub.database.superuser().await;
        sqlx::query_as(
            "SELECT title, props FROM graph.entity
            WHERE account = $1 AND type = 'Document' AND deleted_at IS NULL ORDER BY title",
        )
        .bind(self.scope.account().0)
        .fetch_all(&mut behind)
        .await
        .unwrap()
    }

    async fn parked(&self) -> Vec<String> {
        let mut behind = self.hub.database.superuser().await;
        sqlx::query_scalar("SELECT reason FROM graph.raw_record WHERE account = $1 AND status = 'parked'")
            .bind(self.scope.account().0)
            .fetch_all(&mut behind)
            .await
            .unwrap()
    }
}

fn rss(items: &[(&str, &str)]) -> String {
    let items: Vec<String> = items
        .iter()
        .map(|(id, text)| {
            format!(
                "<item><guid isPermaLink=\"false\">{id}</guid><title>Item {id}</title><description>&lt;p&gt;{text}&lt;/p&gt;\
                 </description><enclosure url=\"https://example.org/{id}.mp3\" type=\"audio/mpeg\" length=\"7\"/></item>"
            )
        })
        .collect();
    format!(
        "<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>News</title>{}</channel></rss>",
        items.concat()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feeds_items_are_documents_once_an_edited_one_changes_and_an_unchanged_feed_costs_nothing() {
    let (hub, site) = (
        hub().await,
        Site::start(&rss(&[("1", "one"), ("2", "two")]), Some("\"a\"")).await,
    );
    let alice = Alice::new(&hub);
    let connection = alice.connect(&site).await;
    hub.eventually("the feed is read", async || {
        (alice.documents().await.len() == 2).then_some(())
    })
    .await;
    let (title, first) = alice.documents().await.remove(0);
    assert_eq!(
        (title.as_str(), &first["text"], &first["feed"]),
        ("Item 1", &json!("one"), &json!("News"))
    );
    assert_eq!(first["attachments"][0]["url"], "https://example.org/1.mp3");

    alice.ask(&connection).await;
    assert_eq!(
        site.answers(),
        [true, false],
        "the second time there was nothing to send"
    );

    site.says(
        &rss(&[("3", "three"), ("1", "one"), ("2", "two, edited")]),
        Some("\"b\""),
    );
    alice.ask(&connection).await;
    let documents = alice.documents().await;
    let texts: Vec<&str> = documents
        .iter()
        .map(|(_, props)| props["text"].as_str().unwrap())
        .collect();
    assert_eq!(texts, ["one", "two, edited", "three"]);
    let taken = alice.stream(&connection).await["taken"].clone();
    assert_eq!(taken, 4, "two, one that is new and one that was edited");

    // What is only older than the window stays; a feed is no archive.
    site.says(&rss(&[("3", "three")]), None);
    alice.ask(&connection).await;
    alice.ask(&connection).await;
    assert_eq!(alice.documents().await.len(), 3);
    assert_eq!(alice.stream(&connection).await["taken"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_says_nothing_new_is_asked_less_often() {
    let (hub, site) = (
        hub().await,
        Site::start(&rss(&[("1", "one")]), Some("\"a\"")).await,
    );
    let alice = Alice::new(&hub);
    let connection = alice.connect(&site).await;
    hub.eventually("the feed is read", async || {
        (alice.documents().await.len() == 1).then_some(())
    })
    .await;
    let wait = async || {
        let stream = alice.stream(&connection).await;
        let time = |name: &str| {
            stream[name]
                .as_str()
                .unwrap()
                .parse::<chrono::DateTime<chrono::Utc>>()
                .unwrap()
        };
        (time("next_at") - time("read_at")).num_minutes()
    };
    let mut waits = vec![wait().await];
    for _ in 0..3 {
        alice.ask(&connection).await;
        waits.push(wait().await);
    }
    assert_eq!(waits, [15, 22, 33, 50]);
    site.says(&rss(&[("2", "two"), ("1", "one")]), Some("\"b\""));
    alice.ask(&connection).await;
    assert_eq!(wait().await, 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_broken_feeds_and_web_pages_harm_nobody_and_are_named() {
    let bomb = "<?xml version=\"1.0\"?><!DOCTYPE rss [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;\">]><rss version=\"2.0\">\
        <channel><title>&b;</title><item><guid>1</guid><title>&b;</title></item></channel></rss>";
    let (hub, site) = (hub().await, Site::start(bomb, None).await);
    let alice = Alice::new(&hub);
    let connection = alice.connect(&site).await;
    let parked = hub
        .eventually("the bomb is kept with its reason", async || {
            let parked = alice.parked().await;
            (!parked.is_empty()).then_some(parked)
        })
        .await;
    assert!(
        parked[0].starts_with("the feed declares entities of its own"),
        "{parked:?}"
    );
    site.says("<rss version=\"2.0\"><channel><item>", None);
    alice.ask(&connection).await;
    let parked = alice.parked().await;
    assert!(
        parked
            .iter()
            .any(|reason| reason.starts_with("this is no feed, or a broken one")),
        "{parked:?}"
    );
    assert!(alice.documents().await.is_empty());

    site.says("<!doctype html><html><title>Welcome</title></html>", None);
    let failed = async |reason: &str| {
        let (status, _) = alice
            .call("POST", &format!("/connections/{connection}/sync"), json!({}))
            .await;
        assert_eq!(status, 202);
        hub.eventually("the owner is told", async || {
            let stream = alice.stream(&connection).await;
            stream["reason"]
                .as_str()
                .is_some_and(|said| said.starts_with(reason))
                .then_some(())
        })
        .await;
    };
    failed("the address leads to a web page").await;
    site.refuses(StatusCode::GONE);
    failed("the feed is no longer there").await;
    site.refuses(StatusCode::SERVICE_UNAVAILABLE);
    failed("the feed's server answered HTTP 503").await;

    site.says(&rss(&[("1", "one")]), None);
    alice.ask(&connection).await;
    assert_eq!(alice.documents().await.len(), 1, "it recovers");
}
