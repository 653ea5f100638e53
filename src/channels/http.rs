//! Messages over HTTP: queue one, look at one.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use contracts::jobs::SendOutgoingMessage;
use contracts::{ConnectionId, EntityId, Problem};
use serde::{Deserialize, Serialize};
use serde_json::json;
use spine::edge::{Caller, Json};
use spine::ports::{AssertedBy, Change, ChannelError, Entity, EntityChange, Identifier, Target};
use spine::queue::JobOptions;
use spine::{Cause, Context, ScopedTx};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::model::{Attempt, text_check};
use crate::settle::{SOURCE, object};
use crate::store;

/// Longer keys and addresses are nobody's.
const KEY_CHARS: usize = 255;

pub(crate) fn routes(context: &Context) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(message_queue))
        .routes(routes!(message_get))
        .with_state(context.clone())
}

/// A message to send. Either `to` or `to_person`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
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

/// Queues a message. With an `Idempotency-Key`, the same request a second time answers with the same message.
#[utoipa::path(post, path = "/messages", tag = "messages", request_body = NewMessage,
    params(("Idempotency-Key" = Option<String>, Header, description = "Any text of at most 255 characters")),
    responses((status = ACCEPTED, body = QueuedMessage), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn message_queue(
    State(context): State<Context>,
    Caller(scope): Caller,
    headers: HeaderMap,
    Json(request): Json<NewMessage>,
) -> Result<(StatusCode, Json<QueuedMessage>), Problem> {
    channel_check(&request.channel)?;
    text_check(&request.channel, &request.text).map_err(Problem::unprocessable)?;
    let key = idempotency_key(&headers)?;
    let mut tx = context.access.begin(&scope, Cause::outside()).await?;
    let to = recipient(&context, &mut tx, &request).await?;
    let id = match key {
        None => EntityId::new(),
        Some(key) => {
            let id = message_id(&tx, key);
            if !tx.claim("channels.messages", key.as_bytes()).await? {
                return same_again(&context, &mut tx, id, &request, &to).await;
            }
            id
        }
    };
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
    tx.audit("act", format!("message/{id}"), None)?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(QueuedMessage { id })))
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

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .filter(|key| !key.is_empty() && key.len() <= KEY_CHARS);
    key.map(Some)
        .ok_or_else(|| Problem::bad_request("the Idempotency-Key has 1 to 255 visible ASCII characters"))
}

/// The id that belongs to an idempotency key of this account, so that a second request finds the first one's message.
fn message_id(tx: &ScopedTx, key: &str) -> EntityId {
    let bytes = tx.pseudonym(
        "channels.message-id",
        format!("{}:{key}", tx.account()).as_bytes(),
    );
    let (half, _) = bytes.split_at(16);
    EntityId(
        uuid::Builder::from_slice(half)
            .map(|id| {
                id.with_version(uuid::Version::Custom)
                    .with_variant(uuid::Variant::RFC4122)
                    .into_uuid()
            })
            .unwrap_or_default(),
    )
}

/// Answers a request whose key was used before.
async fn same_again(
    context: &Context,
    tx: &mut ScopedTx,
    id: EntityId,
    request: &NewMessage,
    to: &str,
) -> Result<(StatusCode, Json<QueuedMessage>), Problem> {
    let first = context.ports.graph_read().entity(tx, id).await?;
    let same = first.is_some_and(|first| {
        let is = |name: &str, value: &str| first.props.get(name).is_some_and(|held| held == value);
        is("to", to) && is("text", &request.text) && is("channel", &request.channel)
    });
    if same {
        return Ok((StatusCode::ACCEPTED, Json(QueuedMessage { id })));
    }
    Err(
        Problem::conflict("this Idempotency-Key was used for another message")
            .hint("use a new key for each message"),
    )
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
    if address.is_empty() || address.len() > KEY_CHARS || address.chars().any(char::is_control) {
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
    if is_e164(&party.address) {
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

fn is_e164(address: &str) -> bool {
    address.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
    })
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
