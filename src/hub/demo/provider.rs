//! A stand-in for Twilio's REST API, after its public description: takes messages, keeps them, lists them, and tells
//! their status to the address that the sender gave.
//! Source: Twilio, "Message resource" and "Track the message status".
//!
//! Invariant: what it accepted it remembers for as long as the command runs, through kills of the hub.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use contracts::Clock;
use serde_json::{Value, json};

use super::{DemoError, wire};

/// What the hub's connection needs to know of the provider.
#[derive(Debug, Clone)]
pub(super) struct Credentials {
    pub(super) account_sid: String,
    pub(super) auth_token: String,
    /// The address that the hub's connection was told to be known by.
    pub(super) public_url: String,
}

/// A message that was accepted.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) sid: String,
    pub(super) to: String,
    pub(super) from: String,
    pub(super) body: String,
    pub(super) created: chrono::DateTime<chrono::Utc>,
    status: String,
}

/// The stand-in, running until it is dropped.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) base_url: String,
    pub(super) credentials: Credentials,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    credentials: Credentials,
    hub: Mutex<SocketAddr>,
    /// Its status callbacks get lost on the way.
    silent: AtomicBool,
    messages: Mutex<Vec<Message>>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Provider {
    /// Starts on a free port of this machine.
    pub(super) async fn start(credentials: Credentials, hub: SocketAddr) -> Result<Self, DemoError> {
        let failed = |error: std::io::Error| DemoError::new(format!("the stand-in can't listen: {error}"));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Arc::new(Shared {
            credentials: credentials.clone(),
            hub: Mutex::new(hub),
            silent: AtomicBool::new(false),
            messages: Mutex::default(),
        });
        let path = format!("/2010-04-01/Accounts/{}/Messages.json", credentials.account_sid);
        let calls = format!("/2010-04-01/Accounts/{}/Calls.json", credentials.account_sid);
        let app = Router::new()
            .route(&path, get(list).post(create))
            .route(
                &calls,
                get(|| async { Json(json!({ "calls": [], "next_page_uri": null })) }),
            )
            .with_state(shared.clone());
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self {
            base_url: format!("http://{address}"),
            credentials,
            shared,
            server,
        })
    }

    /// The hub was started again, somewhere else.
    pub(super) fn hub_moved(&self, hub: SocketAddr) {
        *self.shared.hub.lock().unwrap_or_else(PoisonError::into_inner) = hub;
    }

    /// From now on its status callbacks get lost on the way.
    #[cfg(feature = "failpoints")]
    pub(super) fn fall_silent(&self) {
        self.shared.silent.store(true, Ordering::SeqCst);
    }

    /// What was accepted so far, oldest first.
    pub(super) fn messages(&self) -> Vec<Message> {
        self.shared
            .messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Shared {
    fn knows(&self, headers: &HeaderMap) -> bool {
        use base64::Engine as _;
        let pair = format!("{}:{}", self.credentials.account_sid, self.credentials.auth_token);
        let wanted = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
        headers
            .get("authorization")
            .is_some_and(|sent| sent.as_bytes() == wanted.as_bytes())
    }
}

fn refused(status: StatusCode, code: u32, message: &str) -> Response {
    (
        status,
        Json(json!({ "code": code, "message": message, "status": status.as_u16() })),
    )
        .into_response()
}

fn resource(message: &Message) -> Value {
    json!({
        "sid": message.sid,
        "to": message.to,
        "from": message.from,
        "body": message.body,
        "status": message.status,
        "direction": "outbound-api",
        "date_created": message.created.to_rfc2822(),
        "error_code": null,
    })
}

async fn create(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    if !shared.knows(&headers) {
        return refused(StatusCode::UNAUTHORIZED, 20003, "Authenticate");
    }
    let field = |name: &str| {
        form.iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    let (Some(to), Some(from), Some(body)) = (field("To"), field("From"), field("Body")) else {
        return refused(
            StatusCode::BAD_REQUEST,
            21602,
            "Message body, To and From are required",
        );
    };
    let message = Message {
        sid: format!("SM{}", uuid::Uuid::new_v4().simple()),
        to,
        from,
        body,
        created: contracts::SystemClock.now(),
        status: "queued".to_owned(),
    };
    let answer = resource(&message);
    shared
        .messages
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(message.clone());
    if let Some(callback) = field("StatusCallback").filter(|_| !shared.silent.load(Ordering::SeqCst)) {
        tokio::spawn(tell(shared, message, callback));
    }
    (StatusCode::CREATED, Json(answer)).into_response()
}

async fn list(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    if !shared.knows(&headers) {
        return refused(StatusCode::UNAUTHORIZED, 20003, "Authenticate");
    }
    let asked = |name: &str| {
        query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    let (to, from) = (asked("To"), asked("From"));
    let messages = shared.messages.lock().unwrap_or_else(PoisonError::into_inner);
    let found: Vec<Value> = messages
        .iter()
        .rev()
        .filter(|message| to.as_ref().is_none_or(|to| *to == message.to))
        .filter(|message| from.as_ref().is_none_or(|from| *from == message.from))
        .map(resource)
        .collect();
    Json(json!({ "messages": found, "next_page_uri": null })).into_response()
}

/// Tells the hub what becomes of a message, and tries again while the hub is down, as the real one does.
async fn tell(shared: Arc<Shared>, message: Message, callback: String) {
    let Some(path) = callback
        .strip_prefix(&shared.credentials.public_url)
        .map(ToOwned::to_owned)
    else {
        return;
    };
    for status in ["sent", "delivered"] {
        {
            let mut messages = shared.messages.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(kept) = messages.iter_mut().find(|kept| kept.sid == message.sid) {
                status.clone_into(&mut kept.status);
            }
        }
        let parameters = [
            ("AccountSid", shared.credentials.account_sid.clone()),
            ("From", message.from.clone()),
            ("MessageSid", message.sid.clone()),
            ("MessageStatus", status.to_owned()),
            ("To", message.to.clone()),
        ];
        for _ in 0..60 {
            let hub = *shared.hub.lock().unwrap_or_else(PoisonError::into_inner);
            let token = &shared.credentials.auth_token;
            let Ok(request) = wire::signed_form(&shared.credentials.public_url, &path, token, &parameters)
            else {
                return;
            };
            if wire::send(hub, request)
                .await
                .is_ok_and(|answer| answer.status.is_success())
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}
