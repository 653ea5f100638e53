//! Messages over HTTP: queue one, look at one.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use contracts::jobs::SendOutgoingMessage;
use contracts::{ConnectionId, EntityId, Problem};
use serde::{Deserialize, Serialize};
use serde_json::json;
use spine::edge::{Caller, Json, Once, REPLAYED, once};
use spine::ports::{AssertedBy, Change, ChannelError, Entity, EntityChange, Identifier, Target};
use spine::queue::JobOptions;
use spine::{Cause, Context, ScopedTx};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::model::{Attempt, text_check};
use crate::settle::{SOURCE, object};
use crate::store;

/// Longer addresses are nobody's.
const ADDRESS_CHARS: usize = 255;

pub(crate) fn routes(context: &Context) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(message_queue))
        .routes(routes!(message_get))
        .with_state(context.clone())
}

/// A message to send. Either `to` or `to_person`.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewMessage {
    /// The recipient's address: for `sms` a phone number with its country code.
    to: Option<String>,
    /// The Person in the graph whose address is looked up.
    to_person: Option<EntityId>,
    /// `sms`, `log` …
    channel: String,
    /// The text, plain.
    text: String,
    /// The connection to use; without it the channel's oldest active one.
    connection: Option<ConnectionId>,
}

/// A message that waits to be sent.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct QueuedMessage {
    /// The Message in the graph.
    id: EntityId,
}

/// A message with what was tried for it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct MessageView {
    /// The Message in the graph.
    message: Entity,
    /// Attempts to hand it to its provider, oldest first.
    attempts: Vec<Attempt>,
}

/// Queues a message. With an `Idempotency-Key`, the same request a second time, within a day, answers with the same
/// message and the header `idempotency-replayed`; another request under the key is refused.
#[utoipa::path(post, path = "/messages", tag = "messages", request_body = NewMessage,
    params(("Idempotency-Key" = Option<String>, Header, description = "Any text of at most 255 characters")),
    responses((status = ACCEPTED, body = QueuedMessage), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn message_queue(
    State(context): State<Context>,
    Caller(scope): Caller,
    headers: HeaderMap,
    Json(request): Json<NewMessage>,
) -> Result<Response, Problem> {
    channel_check(&request.channel)?;
    text_check(&request.channel, &request.text).map_err(Problem::unprocessable)?;
    let mut tx = context.access.begin(&scope, Cause::outside()).await?;
    let key = match once(&mut tx, &headers, "channels", "", &request).await? {
        Once::First(key) => key,
        Once::Again(id) => {
            let id = EntityId(id);
            return Ok((StatusCode::ACCEPTED, REPLAYED, Json(QueuedMessage { id })).into_response());
        }
    };
    let id = EntityId::new();
    let to = recipient(&context, &mut tx, &request).await?;
    context
        .ports
        .channel_driver()
        .route(&mut tx, &request.channel, request.connection)
        .await
        .map_err(channel_problem)?;
    context
        .ports
        .graph_write()
        .apply(&mut tx, queued_change(id, &request, &to))
        .await?;
    tx.enqueue(&SendOutgoingMessage { message: id }, JobOptions::default())
        .await?;
    key.answer(&mut tx, id.0).await?;
    tx.audit("act", format!("message/{id}"), None)?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(QueuedMessage { id })).into_response())
}

/// A message and the attempts to send it.
#[utoipa::path(get, path = "/messages/{id}", tag = "messages",
    params(("id" = EntityId, Path, description = "The Message in the graph")),
    responses((status = OK, body = MessageView), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 503, body = Problem)))]
async fn message_get(
    State(context): State<Context>,
    Caller(scope): Caller,
    Path(id): Path<EntityId>,
) -> Result<Json<MessageView>, Problem> {
    let mut tx = context.access.begin(&scope, Cause::outside()).await?;
    let found = context
        .ports
        .graph_read()
        .entity(&mut tx, id)
        .await?
        .filter(|found| found.kind == "Message");
    let message = found.ok_or_else(|| Problem::not_found(format!("there is no message {id}")))?;
    let attempts = store::attempt_list(&mut tx, id).await?;
    tx.audit("read", format!("message/{id}"), Some(1))?;
    tx.commit().await?;
    Ok(Json(MessageView { message, attempts }))
}

/// The recipient's address, normalised.
async fn recipient(context: &Context, tx: &mut ScopedTx, request: &NewMessage) -> Result<String, Problem> {
    let scheme = if request.channel == "email" {
        "email"
    } else {
        "tel"
    };
    let address = match (&request.to, request.to_person) {
        (Some(to), None) => to.trim().to_owned(),
        (None, Some(person)) => {
            let known = context.ports.graph_read().identifiers(tx, person).await?;
            let found = known.into_iter().find(|identifier| identifier.scheme == scheme);
            found.map(|identifier| identifier.value).ok_or_else(|| {
                Problem::unprocessable(format!(
                    "the graph knows no address of the scheme {scheme} for {person}"
                ))
            })?
        }
        _ => return Err(Problem::unprocessable("say either `to` or `to_person`")),
    };
    if address.is_empty() || address.len() > ADDRESS_CHARS || address.chars().any(char::is_control) {
        return Err(Problem::unprocessable(
            "the address is empty, too long, or holds control characters",
        ));
    }
    if request.channel != "sms" {
        return Ok(address);
    }
    let party = context
        .ports
        .graph_read()
        .party(tx, &Identifier::new(scheme, address))
        .await?;
    if contracts::tel::is_e164(&party.address) {
        return Ok(party.address);
    }
    Err(Problem::unprocessable("the address is not a phone number")
        .hint("write it with its country code: +41 …"))
}

fn channel_check(channel: &str) -> Result<(), Problem> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=32).contains(&channel.len()) && channel.bytes().all(plain) {
        return Ok(());
    }
    Err(Problem::unprocessable("the channel is not a channel's name").hint("such as sms or log"))
}

fn channel_problem(error: ChannelError) -> Problem {
    match error {
        ChannelError::Access(error) => error.into(),
        ChannelError::Configuration(reason) => Problem::unprocessable(reason),
        ChannelError::Transient(reason) => Problem::unavailable(reason, 5),
        error @ ChannelError::Bug(_) => Problem::internal(&error),
    }
}

/// The statuses that follow replace the first one, so all are asserted by the same source; who asked for the message
/// stands in the event's actor and in the audit.
fn queued_change(id: EntityId, request: &NewMessage, to: &str) -> Change {
    let mut props = object(json!({
        "direction": "out", "channel": request.channel, "status": "queued", "to": to, "text": request.text,
    }));
    if let Some(connection) = request.connection {
        props.insert("connection".to_owned(), json!(connection));
    }
    let entity = EntityChange {
        target: Target::New(id),
        kind: "Message".to_owned(),
        title: None,
        props,
        identifiers: Vec::new(),
        starts_at: None,
    };
    Change {
        by: AssertedBy::Connector,
        source: SOURCE.to_owned(),
        raw: None,
        entities: vec![entity],
        relations: Vec::new(),
    }
}
