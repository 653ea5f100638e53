//! A stand-in for Twilio's REST API (2010-04-01), after its public description: Messages and Calls with lists, filters,
//! pages and Basic authentication; and ways in which a network or a provider fails.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What becomes of the next message that is posted.
#[derive(Debug, Clone)]
pub(super) enum Next {
    /// It is taken, and the answer is lost on the way.
    LoseAnswer,
    /// It is refused.
    Refuse(StatusCode, Value, Option<u32>),
}

#[derive(Clone)]
pub(super) struct StandIn {
    address: SocketAddr,
    state: Arc<Mutex<Inner>>,
}

struct Inner {
    authorization: String,
    sid: String,
    messages: Vec<Value>,
    calls: Vec<Value>,
    posts: usize,
    next: Option<Next>,
}

type Fields = HashMap<String, String>;

impl StandIn {
    pub(super) async fn start(sid: &str, token: &str) -> Self {
        let authorization = format!("Basic {}", STANDARD.encode(format!("{sid}:{token}")));
        let inner = Inner { authorization, sid: sid.into(), messages: vec![], calls: vec![], posts: 0, next: None };
        let state = Arc::new(Mutex::new(inner));
        let router = Router::new()
            .route("/2010-04-01/Accounts/{sid}/Messages.json", get(messages).post(message))
            .route("/2010-04-01/Accounts/{sid}/Calls.json", get(calls))
            .route("/2010-04-01/Accounts/{sid}", get(account))
            .with_state(state.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, state }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn next(&self, next: Next) {
        self.state.lock().unwrap().next = Some(next);
    }

    /// How many messages were posted, and what was taken.
    pub(super) fn posts(&self) -> usize {
        self.state.lock().unwrap().posts
    }

    pub(super) fn taken(&self) -> Vec<Value> {
        self.state.lock().unwrap().messages.clone()
    }

    pub(super) fn change_token(&self, token: &str) {
        let mut inner = self.state.lock().unwrap();
        inner.authorization = format!("Basic {}", STANDARD.encode(format!("{}:{token}", inner.sid)));
    }

    /// Something in the provider's records that no webhook told.
    pub(super) fn add_call(&self, call: Value) {
        self.state.lock().unwrap().calls.push(call);
    }

    pub(super) fn add_message(&self, message: Value) {
        self.state.lock().unwrap().messages.push(message);
    }
}

type Shared = State<Arc<Mutex<Inner>>>;

fn refuse(inner: &Inner, sid: &str, headers: &HeaderMap) -> Option<Response> {
    let signed_in = headers.get("authorization").is_some_and(|value| value.as_bytes() == inner.authorization.as_bytes());
    if !signed_in {
        let body = json!({ "code": 20003, "message": "Authenticate", "status": 401 });
        return Some((StatusCode::UNAUTHORIZED, axum::Json(body)).into_response());
    }
    let known = sid.trim_end_matches(".json") == inner.sid;
    (!known).then(|| (StatusCode::NOT_FOUND, axum::Json(json!({ "code": 20404 }))).into_response())
}

async fn account(State(state): Shared, Path(sid): Path<String>, headers: HeaderMap) -> Response {
    let inner = state.lock().unwrap();
    refuse(&inner, &sid, &headers).unwrap_or_else(|| axum::Json(json!({ "sid": inner.sid, "status": "active" })).into_response())
}

async fn message(State(state): Shared, Path(sid): Path<String>, headers: HeaderMap, Form(fields): Form<Fields>) -> Response {
    let mut inner = state.lock().unwrap();
    inner.posts += 1;
    if let Some(refusal) = refuse(&inner, &sid, &headers) {
        return refusal;
    }
    let next = inner.next.take();
    if let Some(Next::Refuse(status, body, retry_after)) = &next {
        let mut response = (*status, axum::Json(body.clone())).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert("retry-after", (*seconds).into());
        }
        return response;
    }
    let taken = json!({
        "sid": format!("SM{:032x}", inner.messages.len() + 1), "status": "queued", "direction": "outbound-api",
        "to": fields.get("To"), "from": fields.get("From"), "body": fields.get("Body"),
        "date_created": now(), "date_sent": null, "date_updated": now(), "error_code": null,
        "x_callback": fields.get("StatusCallback"),
    });
    inner.messages.push(taken.clone());
    if matches!(next, Some(Next::LoseAnswer)) {
        let broken = futures::stream::once(async { Err::<axum::body::Bytes, _>(std::io::Error::other("gone")) });
        return (StatusCode::CREATED, Body::from_stream(broken)).into_response();
    }
    (StatusCode::CREATED, axum::Json(taken)).into_response()
}

async fn messages(State(state): Shared, Path(sid): Path<String>, headers: HeaderMap, Query(query): Query<Fields>) -> Response {
    let inner = state.lock().unwrap();
    list(&inner, &sid, &headers, &query, "messages", &inner.messages)
}

async fn calls(State(state): Shared, Path(sid): Path<String>, headers: HeaderMap, Query(query): Query<Fields>) -> Response {
    let inner = state.lock().unwrap();
    list(&inner, &sid, &headers, &query, "calls", &inner.calls)
}

/// Newest first, in pages; here of two, so that every list has some.
fn list(inner: &Inner, sid: &str, headers: &HeaderMap, query: &Fields, key: &str, all: &[Value]) -> Response {
    if let Some(refusal) = refuse(inner, sid, headers) {
        return refusal;
    }
    let fits = |item: &&Value| {
        ["To", "From"].iter().all(|name| query.get(*name).is_none_or(|wanted| item[name.to_lowercase()] == **wanted))
    };
    let found: Vec<&Value> = all.iter().rev().filter(fits).collect();
    let page: usize = query.get("Page").map_or(0, |page| page.parse().unwrap());
    let items: Vec<&Value> = found.iter().skip(page * 2).take(2).copied().collect();
    let more = found.len() > (page + 1) * 2;
    let mut filters = url::form_urlencoded::Serializer::new(String::new());
    filters.extend_pairs(query.iter().filter(|(name, _)| *name != "Page")).append_pair("Page", &(page + 1).to_string());
    let file = if key == "calls" { "Calls.json" } else { "Messages.json" };
    let next = more.then(|| format!("/2010-04-01/Accounts/{sid}/{file}?{}", filters.finish()));
    axum::Json(json!({ key: items, "next_page_uri": next, "page": page })).into_response()
}

/// RFC 2822, as the API writes it.
pub(super) fn now() -> String {
    use contracts::Clock;
    contracts::SystemClock.now().to_rfc2822()
}
