//! A provider speaks: `/hooks/{plugin}/{connection}/{webhook}…`.
//!
//! In this order: known address, size, known connection, signature; then the pack's function says what it means, which
//! commits as raw record, entities and event; only then the provider gets its answer.
//! Events out: those of `intake.rs`; `audit.WebhooksRefused` by way of the spine's counts.
//! Invariant: without a right signature nothing is written but a count; a 2xx means that everything is on disk.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{OriginalUri, Path, Request, State};
use axum::response::{IntoResponse, Response};
use contracts::{ConnectionId, Problem};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use sandbox::Budget;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use spine::access::{AccessError, Cause, Scope, ScopedTx};
use spine::edge::Peer;
use spine::ports::RawRecord;
use url::form_urlencoded;

use crate::intake::Received;
use crate::manager::{Manager, Ready, health_of, shape_problem};
use crate::manifest::{BodyForm, Webhook};
use crate::model::Health;
use crate::record::Record;
use crate::signature::Signed;
use crate::{store, xml};

/// A paused connection asks the provider to come again after this.
const PAUSED_RETRY_S: u64 = 600;
/// Providers wait for some 15 s; what takes longer here is better asked for again.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// When to come again after that.
const AWAY_RETRY_S: u64 = 5;
/// A caller is waiting: a function that takes longer is given up.
const BUDGET: Budget = Budget {
    operations: 200_000,
    time: Duration::from_millis(500),
};
/// Records that one webhook may bring.
const RECORDS_MAX: usize = 200;

/// Begins the stream of what no record could be made of; the webhook's name follows.
pub(crate) const PARKED_STREAM: &str = "webhook/";

/// The address of a webhook.
#[derive(Debug, Deserialize)]
pub(crate) struct Address {
    plugin: String,
    connection: String,
    rest: String,
}

/// What a pack's function returns.
#[derive(Debug, Default, Deserialize)]
struct Told {
    #[serde(default)]
    records: Vec<Value>,
    #[serde(default)]
    response: Option<Answer>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default = "ok")]
    status: u16,
    content_type: String,
    body: String,
}

fn ok() -> u16 {
    200
}

/// Why a webhook was not taken in.
enum Refused {
    /// Nothing can be taken in now.
    Away(AccessError),
    /// The request is to blame, or the owner wants it so.
    Told(Problem),
}

impl From<AccessError> for Refused {
    fn from(error: AccessError) -> Self {
        Self::Away(error)
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Told(problem)
    }
}

/// Takes a webhook in. What can't be taken in now is asked for later, since not every provider says it again.
pub(crate) async fn on_webhook(
    State(manager): State<Manager>,
    Path(address): Path<Address>,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Result<Response, Problem> {
    match tokio::time::timeout(ANSWER_MAX, take(&manager, address, uri, request)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(Refused::Told(problem))) => Err(problem),
        Ok(Err(Refused::Away(error))) => {
            if error.is_transient() {
                manager.webhook_missed();
            }
            Err(error.into())
        }
        Err(_) => {
            manager.webhook_missed();
            Err(Problem::unavailable(
                "this took too long and was given up",
                AWAY_RETRY_S,
            ))
        }
    }
}

async fn take(manager: &Manager, address: Address, uri: Uri, request: Request) -> Result<Response, Refused> {
    let unknown = || Problem::not_found("there is no webhook at this address");
    let name = address.rest.split('/').next().unwrap_or_default();
    let pack = manager
        .registry()
        .pack(&address.plugin)
        .cloned()
        .ok_or_else(unknown)?;
    let webhook = pack.manifest.webhook(name).ok_or_else(unknown)?;
    let connection: ConnectionId = address.connection.parse().map_err(|_| unknown())?;
    if !webhook.methods.contains(request.method()) {
        let problem = Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "this webhook takes another method",
        );
        return Err(problem.into());
    }
    let (parts, body) = request.into_parts();
    let body = read(body, &parts.headers, webhook.body_max_bytes).await?;
    let access = &manager.context().access;
    let scope = access
        .scope_by_connection(&address.plugin, connection)
        .await?
        .ok_or_else(unknown)?;
    let mut tx = match access.begin(&scope, Cause::outside()).await {
        Err(AccessError::Erased) => return Err(unknown().into()), // just now
        begun => begun?,
    };
    let found = store::connection_by_id(&mut tx, connection).await?;
    if found.is_none() {
        access.forget_connection(connection);
    }
    let ready = found.and_then(|found| manager.ready(found)).ok_or_else(unknown)?;
    if ready.connection.paused {
        let problem = Problem::unavailable("this connection is paused by its owner", PAUSED_RETRY_S);
        return Err(problem.into());
    }
    let form = form_of(&parts.headers, &body);
    let signed = Signed {
        public_url: ready.connection.public_url(manager.hub_url()),
        path_and_query: uri.path_and_query().map_or("/", |path| path.as_str()),
        headers: &parts.headers,
        body: &body,
        now: manager.context().clock.now(),
        form: form.as_deref(),
    };
    if let Some(token) = webhook.signature.handshake(&signed) {
        return Ok(([(header::CONTENT_TYPE, "text/plain")], token).into_response());
    }
    let secrets = ready.connection.open(&manager.context().vault);
    if !webhook
        .signature
        .verify(&signed, |name| secrets.get(name).map(|secret| secret.as_slice()))
    {
        let peer = Peer::of(&parts.extensions);
        access.webhook_refused(&scope, connection, &peer.to_string());
        return Err(Problem::forbidden("the signature is missing or wrong").into());
    }
    let query: Vec<(String, String)> = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
        .into_owned()
        .collect();
    let asked = json!({
        "method": parts.method.as_str(),
        "path": address.rest.split('/').collect::<Vec<_>>(),
        "query": fields(&query),
        // A GET carries its fields in the address.
        "params": fields(if parts.method == http::Method::GET { &query } else { form.as_deref().unwrap_or_default() }),
        "json": if webhook.body == BodyForm::Json { serde_json::from_slice(&body).ok() } else { None::<Value> },
        "content_type": media_type(&parts.headers),
    });
    Delivery {
        manager,
        scope: &scope,
        ready: &ready,
        webhook,
        name,
    }
    .take(tx, asked, &parts.headers, &body)
    .await
}

/// A webhook whose signature was right.
struct Delivery<'a> {
    manager: &'a Manager,
    scope: &'a Scope,
    ready: &'a Ready,
    webhook: &'a Webhook,
    name: &'a str,
}

impl Delivery<'_> {
    /// Goes on in the transaction in which the connection was looked up.
    async fn take(
        &self,
        tx: ScopedTx,
        asked: Value,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Response, Refused> {
        let received = Received {
            media_type: media_type(headers),
            body,
        };
        let (records, answer) = match interpret(self.manager, self.ready, self.webhook, asked).await {
            Ok(understood) => understood,
            Err(not) => {
                drop(tx); // what follows begins its own
                if let Some((health, reason)) = not.health {
                    self.manager
                        .note_health(self.scope, &self.ready.connection, health, &reason)
                        .await;
                }
                self.park(&received, &not.reason).await?;
                contracts::failpoint::hit("accepted");
                return Ok(self.default_answer());
            }
        };
        self.manager
            .intake(self.ready)
            .take_in_begun(tx, &records, &received)
            .await?;
        contracts::failpoint::hit("accepted");
        Ok(answer
            .and_then(|answer| respond(&answer))
            .unwrap_or_else(|| self.default_answer()))
    }

    /// What the pack could not make sense of is kept as it came.
    async fn park(&self, received: &Received<'_>, reason: &str) -> Result<(), AccessError> {
        let record = RawRecord {
            connection: Some(self.ready.connection.id),
            stream: format!("{PARKED_STREAM}{}", self.name),
            remote_id: String::new(),
            revision: String::new(),
            media_type: received.media_type.to_owned(),
            body: received.body.to_vec(),
        };
        let mut tx = self
            .manager
            .context()
            .access
            .begin(self.scope, Cause::outside())
            .await?;
        self.manager
            .intake(self.ready)
            .park(&mut tx, record, reason)
            .await?;
        tx.commit().await
    }

    fn default_answer(&self) -> Response {
        let content_type = HeaderValue::from_str(&self.webhook.answer_content_type);
        let content_type = content_type.unwrap_or_else(|_| HeaderValue::from_static("text/plain"));
        (
            [(header::CONTENT_TYPE, content_type)],
            self.webhook.answer_body.clone(),
        )
            .into_response()
    }
}

/// Why a pack's function made nothing of a request.
#[derive(Debug)]
pub(crate) struct NotUnderstood {
    /// What it says about the connection, if the pack is to blame.
    health: Option<(Health, String)>,
    pub(crate) reason: String,
}

/// What the pack's function makes of a request.
async fn interpret(
    manager: &Manager,
    ready: &Ready,
    webhook: &Webhook,
    asked: Value,
) -> Result<(Vec<Record>, Option<Answer>), NotUnderstood> {
    let args = [manager.script_context(ready), asked];
    let told = manager
        .call(&ready.pack, &webhook.function, &args, BUDGET, None)
        .await;
    let told = told.map_err(|failure| NotUnderstood {
        health: Some(health_of(&failure)),
        reason: failure.to_string(),
    })?;
    understand(told).map_err(|reason| NotUnderstood { health: None, reason })
}

/// What the pack makes of a body that was kept. What stood in the address is not known any more.
pub(crate) async fn interpret_kept(
    manager: &Manager,
    ready: &Ready,
    webhook: &Webhook,
    kept: &RawRecord,
) -> Result<Vec<Record>, NotUnderstood> {
    let form: Vec<(String, String)> = form_urlencoded::parse(&kept.body).into_owned().collect();
    let is_json = webhook.body == BodyForm::Json;
    let asked = json!({
        "method": "POST",
        "path": [webhook.name],
        "query": {},
        "params": if is_json { Map::new() } else { fields(&form) },
        "json": if is_json { serde_json::from_slice(&kept.body).ok() } else { None::<Value> },
        "content_type": kept.media_type,
    });
    Ok(interpret(manager, ready, webhook, asked).await?.0)
}

fn understand(value: Value) -> Result<(Vec<Record>, Option<Answer>), String> {
    let told = Told::deserialize(value).map_err(|error| {
        format!(
            "the pack's answer has not the expected shape: {}",
            shape_problem(&error)
        )
    })?;
    if told.records.len() > RECORDS_MAX {
        return Err(format!(
            "the pack made more than {RECORDS_MAX} records of one webhook"
        ));
    }
    let records = told.records.into_iter().map(|record| {
        Record::deserialize(record).map_err(|error| {
            format!(
                "the pack made a record without the expected shape: {}",
                shape_problem(&error)
            )
        })
    });
    Ok((records.collect::<Result<_, _>>()?, told.response))
}

/// The pack's answer, unless it is none that may leave: XML that isn't, a status or media type that doesn't exist.
fn respond(answer: &Answer) -> Option<Response> {
    let status = StatusCode::from_u16(answer.status)
        .ok()
        .filter(|status| status.as_u16() >= 200)?;
    let content_type = HeaderValue::from_str(&answer.content_type).ok()?;
    if let Some(problem) = xml::problem_of(&answer.content_type, &answer.body) {
        tracing::warn!(
            problem,
            "a pack answered with XML that is none; the webhook's default was sent"
        );
        return None;
    }
    Some(
        (
            status,
            [(header::CONTENT_TYPE, content_type)],
            answer.body.clone(),
        )
            .into_response(),
    )
}

/// The body, if it is within the limit; what is announced as larger is not even read.
async fn read(body: Body, headers: &HeaderMap, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a body may have {limit} bytes here"),
        )
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    match axum::body::to_bytes(body, limit).await {
        Ok(bytes) => Ok(bytes),
        Err(error) if is_length_limit(&error) => Err(too_large()),
        Err(_) => Err(Problem::bad_request("the body broke off")),
    }
}

fn is_length_limit(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.to_string().contains("length limit"))
}

fn media_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("application/octet-stream")
}

/// The form's fields in their order; none if the body is no form.
fn form_of(headers: &HeaderMap, body: &[u8]) -> Option<Vec<(String, String)>> {
    let media_type = media_type(headers)
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    (media_type == "application/x-www-form-urlencoded")
        .then(|| form_urlencoded::parse(body).into_owned().collect())
}

/// As scripts see them: of a name that comes twice, the first value.
fn fields(pairs: &[(String, String)]) -> Map<String, Value> {
    let mut fields = Map::new();
    for (name, value) in pairs {
        fields.entry(name).or_insert_with(|| Value::from(value.as_str()));
    }
    fields
}
