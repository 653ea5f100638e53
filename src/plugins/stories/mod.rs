//! The service against a database, a stand-in for Twilio and a graph that only remembers.

mod connections;
mod graph;
mod reach;
mod reconciling;
mod sending;
mod stand_in;
mod webhooks;

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::AccountId;
use serde_json::{Value, json};
use spine::access::{AccessError, Scope, ScopedTx};
use spine::edge::Caller;
use spine::ports::AccountDirectory;
use spine::testing::TestHub;
use tower::ServiceExt;
use url::form_urlencoded;

use crate::signature::Algorithm;
use graph::Memory;
use stand_in::StandIn;

const TOKEN: &str = "a-token-of-32-characters-or-so---";
const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
const OURS: &str = "+14155552671";
const SAM: &str = "+14158675309";

/// Whose the hub is; nobody's until it is said.
#[derive(Default)]
struct Owner(std::sync::OnceLock<AccountId>);

#[async_trait]
impl AccountDirectory for Owner {
    async fn account_by_name(&self, _: &str) -> Result<Option<AccountId>, AccessError> {
        Ok(None)
    }

    async fn account_by_default(&self) -> Result<Option<AccountId>, AccessError> {
        Ok(self.0.get().copied())
    }

    async fn zone(&self, _: &mut ScopedTx) -> Result<chrono_tz::Tz, AccessError> {
        Ok(chrono_tz::UTC)
    }
}

/// Alice's hub with one Twilio connection.
struct Story {
    hub: TestHub,
    api: Router,
    public: Router,
    alice: Scope,
    owner: Arc<Owner>,
    graph: Arc<Memory>,
    twilio: StandIn,
    connection: String,
}

struct Answer {
    status: StatusCode,
    content_type: String,
    retry_after: Option<String>,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }
}

async fn ask(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let header = |name| {
        response
            .headers()
            .get(name)
            .map(|value: &header::HeaderValue| value.to_str().unwrap().to_owned())
    };
    let (status, content_type, retry_after) = (
        response.status(),
        header(header::CONTENT_TYPE).unwrap_or_default(),
        header(header::RETRY_AFTER),
    );
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    Answer {
        status,
        content_type,
        retry_after,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

impl Story {
    async fn begin() -> Self {
        Self::with(json!({})).await
    }

    /// With settings beside the usual ones.
    async fn with(settings: Value) -> Self {
        let graph = Arc::new(Memory::default());
        let owner = Arc::new(Owner::default());
        let mut routers = None;
        let hub = spine::testing::hub(|context| {
            context.ports.provide_graph_write(graph.clone());
            context.ports.provide_graph_read(graph.clone());
            context.ports.provide_raw_records(graph.clone());
            context.ports.provide_sent_messages(graph.clone());
            context.ports.provide_account_directory(owner.clone());
            let mut service = crate::service(context);
            let api = std::mem::take(&mut service.api).split_for_parts().0;
            let public = std::mem::take(&mut service.public).split_for_parts().0;
            routers = Some((api, public));
            vec![service]
        })
        .await;
        let (api, public) = routers.unwrap();
        let alice = hub.somebody();
        let twilio = StandIn::start(ACCOUNT, TOKEN).await;
        let mut story = Self {
            hub,
            api,
            public,
            alice,
            owner,
            graph,
            twilio,
            connection: String::new(),
        };
        let mut all = json!({
            "account_sid": ACCOUNT, "from": OURS, "base_url": story.twilio.url(), "grace_s": 1,
        });
        for (name, value) in settings.as_object().unwrap() {
            all[name] = value.clone();
        }
        let new = json!({
            "plugin": "twilio", "name": "my number", "settings": all,
            "secrets": { "auth_token": TOKEN }, "allowed_ranges": ["127.0.0.0/8"],
        });
        let made = story.call(Method::POST, "/connections", new).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        story.connection = made.json()["id"].as_str().unwrap().to_owned();
        story
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        self.call_as(&self.alice, method, path, body).await
    }

    async fn call_as(&self, scope: &Scope, method: Method, path: &str, body: Value) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .extension(Caller(scope.clone()));
        ask(&self.api, request.body(Body::from(body.to_string())).unwrap()).await
    }

    async fn show(&self) -> Value {
        self.call(
            Method::GET,
            &format!("/connections/{}", self.connection),
            json!({}),
        )
        .await
        .json()
    }

    fn hook(&self, rest: &str) -> String {
        format!("/hooks/twilio/{}/{rest}", self.connection)
    }

    /// A webhook as Twilio sends it, over the address that the owner configured.
    async fn webhook(&self, rest: &str, fields: &[(&str, &str)]) -> Answer {
        let path = self.hook(rest);
        let signature = sign(&format!("https://hub.example{path}"), fields);
        ask(&self.public, form(&path, fields, Some(&signature))).await
    }

    async fn kinds(&self) -> Vec<String> {
        self.hub.settle().await;
        let events = self.hub.events(&self.alice).await;
        events
            .into_iter()
            .map(|event| event.kind)
            .filter(|kind| !kind.starts_with("audit."))
            .collect()
    }
}

fn sign(url: &str, fields: &[(&str, &str)]) -> String {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let message = sorted
        .iter()
        .fold(url.to_owned(), |message, (name, value)| message + *name + *value);
    STANDARD.encode(Algorithm::Sha1.mac(TOKEN.as_bytes(), message.as_bytes()))
}

/// As a proxy hands it on: with a Host and forwarding headers that are nobody's word.
fn form(path: &str, fields: &[(&str, &str)], signature: Option<&str>) -> Request<Body> {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("host", "10.0.0.7:8640")
        .header("x-forwarded-host", "mallory.example")
        .header("x-forwarded-proto", "http")
        .header("content-type", "application/x-www-form-urlencoded; charset=UTF-8");
    if let Some(signature) = signature {
        request = request.header("x-twilio-signature", signature);
    }
    request.body(Body::from(body)).unwrap()
}
