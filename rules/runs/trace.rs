//! What a run saw and did, for people: what came in, each condition's value, what was read, what was queued, what
//! was answered, with times.

use chrono::{DateTime, Utc};
use contracts::events::communication::{MessageFailed, MessageSent, MessageStatusChanged};
use contracts::{CorrelationId, EntityId, Event, EventId, EventPayload, JobId, Position, RunId};
use serde::Serialize;
use serde_json::{Map, Value, json};
use spine::access::{AccessError, ScopedTx};
use spine::log::reader::{self, Filter};
use spine::ports::{GraphError, Ports};

use super::model::{RunRow, Step};
use super::store::{self, StoredStep};
use crate::engine::host::Kind;

/// Events that are looked through for answers.
const EVENTS_MAX: i64 = 1_000;
/// A long text is cut in the middle of a sentence; the whole stands in `args`.
const WORDS_MAX: usize = 160;

/// The event that a run came from.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct TraceEvent {
    /// The event; none in a dry run with a body of one's own.
    pub(crate) id: Option<EventId>,
    /// Its type.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Its place in the log.
    pub(crate) position: Position,
    /// When it happened in the world.
    pub(crate) occurred_at: DateTime<Utc>,
    /// When the hub wrote it down.
    pub(crate) recorded_at: DateTime<Utc>,
    /// Its body; null once it was erased.
    #[schema(value_type = Object)]
    pub(crate) body: Value,
}

impl From<&Event> for TraceEvent {
    fn from(event: &Event) -> Self {
        Self {
            id: Some(event.id),
            kind: event.kind.clone(),
            position: event.position,
            occurred_at: event.occurred_at,
            recorded_at: event.recorded_at,
            body: event.body.clone().unwrap_or_default(),
        }
    }
}

/// One step of a run.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct TraceStep {
    /// Its number, from 1.
    pub(crate) seq: i32,
    /// `condition`, `read` or `effect`.
    pub(crate) kind: String,
    /// The step in words.
    pub(crate) what: String,
    /// The value that was seen; of an effect: the message, its status now, and the job.
    #[schema(value_type = Object)]
    pub(crate) value: Value,
    /// What was asked or ordered.
    #[schema(value_type = Object)]
    pub(crate) args: Value,
    /// The line in the rule's text; 0 where none is to blame.
    pub(crate) line: i32,
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// The message that the effect became.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<EntityId>,
    /// The job that sends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<JobId>,
}

/// What a provider said about a message of the run.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct TraceAnswer {
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// In a word or two.
    pub(crate) what: String,
    /// The rest of what it said.
    #[schema(value_type = Object)]
    pub(crate) detail: Value,
    /// The event that tells of it.
    pub(crate) event: EventId,
}

/// A run with everything about it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct Trace {
    /// The run; none in a dry run.
    pub(crate) id: Option<RunId>,
    /// The rule's id.
    pub(crate) rule: String,
    /// The version of the rule.
    pub(crate) version: String,
    /// As of a run; of a dry run `would-run`, `would-not-run`, `would-be-skipped` or `would-fail`.
    pub(crate) status: String,
    /// Why.
    pub(crate) reason: Option<String>,
    /// Shared by everything that the same occurrence set off.
    pub(crate) correlation: Option<CorrelationId>,
    /// When the run began and ended.
    pub(crate) started_at: DateTime<Utc>,
    /// See `started_at`.
    pub(crate) finished_at: Option<DateTime<Utc>>,
    /// What came in.
    pub(crate) event: Option<TraceEvent>,
    /// What the run saw and did, in order.
    pub(crate) steps: Vec<TraceStep>,
    /// What providers answered, in order.
    pub(crate) answers: Vec<TraceAnswer>,
}

/// The trace of a run.
pub(crate) async fn of_run(ports: &Ports, tx: &mut ScopedTx, run: RunRow) -> Result<Trace, GraphError> {
    let event = reader::event_by_id(tx, run.event).await?;
    let mut steps: Vec<TraceStep> = store::journal_list(tx, run.id)
        .await?
        .into_iter()
        .map(TraceStep::from)
        .collect();
    for step in &mut steps {
        if let Some(message) = step.message {
            let entity = ports.graph_read().entity(tx, message).await?;
            let status = entity
                .and_then(|entity| entity.props.get("status").cloned())
                .unwrap_or_default();
            step.value = json!({ "message": message, "status": status, "job": step.job });
        }
    }
    let messages: Vec<EntityId> = steps.iter().filter_map(|step| step.message).collect();
    let answers = answers(tx, &run, &messages).await?;
    Ok(Trace {
        id: Some(run.id),
        rule: run.rule,
        version: run.version,
        status: run.status,
        reason: run.reason,
        correlation: Some(run.correlation),
        started_at: run.started_at,
        finished_at: run.finished_at,
        event: event.as_ref().map(TraceEvent::from),
        steps,
        answers,
    })
}

/// What was told of these messages after the run. A provider's callbacks join the chain of what they are about, so all
/// of it bears the run's correlation.
async fn answers(
    tx: &mut ScopedTx,
    run: &RunRow,
    messages: &[EntityId],
) -> Result<Vec<TraceAnswer>, AccessError> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let types = [MessageSent::TYPE, MessageFailed::TYPE, MessageStatusChanged::TYPE]
        .map(str::to_owned)
        .to_vec();
    let filter = Filter {
        types,
        correlation: Some(run.correlation),
    };
    let mut events = reader::event_list(tx, &filter, run.event_position, EVENTS_MAX).await?;
    // A callback may be written down before the answer to the request that it is about.
    events.sort_by_key(|event| event.occurred_at);
    Ok(events
        .iter()
        .filter(|event| is_about(event, messages))
        .map(answer)
        .collect())
}

fn is_about(event: &Event, messages: &[EntityId]) -> bool {
    let message = event
        .body
        .as_ref()
        .and_then(|body| body.get("message"))
        .and_then(Value::as_str);
    message
        .and_then(|id| id.parse().ok())
        .is_some_and(|id: EntityId| messages.contains(&id))
}

fn answer(event: &Event) -> TraceAnswer {
    let body = event.body.clone().unwrap_or_default();
    let status = body.get("status").and_then(Value::as_str);
    let what = match status {
        Some(status) => format!("the provider says: {status}"),
        None if event.kind == MessageSent::TYPE => "the provider accepted it".to_owned(),
        None => "it could not be sent".to_owned(),
    };
    let keys = ["remote_id", "error_code", "reason", "adopted", "message"];
    let known = keys
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), body.get(key)?.clone())));
    let detail: Map<String, Value> = known.filter(|(_, value)| !value.is_null()).collect();
    TraceAnswer {
        at: event.occurred_at,
        what,
        detail: Value::Object(detail),
        event: event.id,
    }
}

impl From<StoredStep> for TraceStep {
    fn from(step: StoredStep) -> Self {
        let StoredStep {
            seq,
            kind,
            name,
            args,
            value,
            line,
            message,
            job,
            at,
        } = step;
        let what = words(&kind, &name, &args);
        let (message, job) = (message.map(EntityId), job.map(JobId));
        Self {
            seq,
            kind,
            what,
            value,
            args,
            line,
            at,
            message,
            job,
        }
    }
}

impl TraceStep {
    /// A step of a dry run.
    pub(crate) fn dry(seq: usize, step: Step) -> Self {
        let kind = step.kind.as_str();
        let mut value = step.value;
        if step.kind == Kind::Effect {
            value = json!("would be queued");
        }
        Self {
            seq: i32::try_from(seq).unwrap_or(i32::MAX),
            what: words(kind, &step.name, &step.args),
            kind: kind.to_owned(),
            value,
            args: step.args,
            line: i32::try_from(step.line).unwrap_or(0),
            at: step.at,
            message: None,
            job: None,
        }
    }
}

/// A step as people say it.
fn words(kind: &str, name: &str, args: &Value) -> String {
    if kind != "condition" {
        let args: Vec<String> = args.as_array().into_iter().flatten().map(argument).collect();
        return format!("{name}({})", args.join(", "));
    }
    match name {
        "where" => {
            let (how, expected) = ["contains", "equals"]
                .into_iter()
                .find_map(|how| Some((how, args.get(how)?)))
                .unwrap_or(("is", &Value::Null));
            format!(
                "where {} {how} {expected}",
                args.get("field").and_then(Value::as_str).unwrap_or_default()
            )
        }
        "max_age" => format!(
            "max_age {}",
            args.get("max_age").and_then(Value::as_str).unwrap_or_default()
        ),
        "limit" => format!(
            "limit {}",
            args.get("limit").and_then(Value::as_str).unwrap_or_default()
        ),
        text => {
            let fields = args
                .get("fields")
                .and_then(Value::as_object)
                .into_iter()
                .flatten();
            let fields: Vec<String> = fields
                .map(|(field, value)| format!("{field} = {value}"))
                .collect();
            if fields.is_empty() {
                text.to_owned()
            } else {
                format!("{text}  [{}]", fields.join(", "))
            }
        }
    }
}

/// An argument in words: a person by name and address, a text in quotes.
fn argument(value: &Value) -> String {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let written = match (text("name"), text("address")) {
        (Some(name), Some(address)) => format!("{name} {address}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => value.to_string(),
    };
    if written.chars().count() <= WORDS_MAX {
        return written;
    }
    written.chars().take(WORDS_MAX).chain(['…']).collect()
}
