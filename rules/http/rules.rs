//! Routes of rules: list, check, save, enable, disable, try, remove.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use contracts::{CorrelationId, Event, EventId, Lane, Problem};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spine::access::ScopedTx;
use spine::edge::{Caller, Json};
use spine::log::reader;

use super::{Shared, problem};
use crate::engine::header::{RuleHeader, is_rule_id};
use crate::engine::input::Input;
use crate::engine::rule::{Rule, engine};
use crate::lint::{Diagnostic, check};
use crate::manage;
use crate::recipes::Recipe;
use crate::runs::dry_run;
use crate::runs::trace::Trace;
use crate::store::{self, StoredRule};

/// A rule, of the owner or among those that come with the hub.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RuleView {
    /// Its id.
    id: String,
    /// Whether it runs.
    enabled: bool,
    /// False for one that comes with the hub and was not enabled yet.
    installed: bool,
    /// `own` or `recipe`.
    origin: String,
    /// What it does, from the head of its text.
    description: String,
    /// The type of event that it listens to.
    on: String,
    /// `single`, `restart`, `queued` or `parallel`.
    mode: String,
    /// What it may do.
    grants: Vec<String>,
    /// Its inputs as it declares them.
    inputs: BTreeMap<String, Input>,
    /// What the owner set for them.
    #[schema(value_type = Object)]
    set: Value,
    /// What is to be known about it: why it was stopped, or that it can't run.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// The SHA-256 of its text.
    version: String,
    /// When it was changed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<DateTime<Utc>>,
    /// Its text; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
}

/// Rules.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RuleList {
    /// In order of id.
    items: Vec<RuleView>,
}

impl RuleView {
    fn stored(rule: StoredRule) -> Self {
        let script = engine().compile(&rule.id, &rule.source).ok();
        let description = script
            .as_ref()
            .map_or_else(String::new, |script| script.doc().to_owned());
        let header = script.and_then(|script| RuleHeader::read(&script).ok());
        let cannot = || {
            Rule::compile(&rule.id, &rule.source, &rule.set_inputs())
                .err()
                .map(|error| error.to_string())
        };
        let note = rule
            .paused_reason
            .clone()
            .or_else(|| if rule.enabled { cannot() } else { None });
        let mode = header
            .as_ref()
            .map_or("", |header| header.mode.as_str())
            .to_owned();
        let (on, grants, inputs) = header.map_or_else(Default::default, |header| {
            (header.on, header.grants, header.inputs)
        });
        Self {
            id: rule.id,
            enabled: rule.enabled,
            installed: true,
            origin: rule.origin,
            description,
            on,
            mode,
            grants,
            inputs,
            set: rule.inputs,
            note,
            version: rule.version,
            updated_at: Some(rule.updated_at),
            source: Some(rule.source),
        }
    }

    fn recipe(recipe: Recipe) -> Self {
        let Recipe {
            header,
            description,
            source,
        } = recipe;
        Self {
            id: header.id,
            enabled: false,
            installed: false,
            origin: "recipe".to_owned(),
            description,
            on: header.on,
            mode: header.mode.as_str().to_owned(),
            grants: header.grants,
            inputs: header.inputs,
            set: Value::Object(Map::new()),
            note: Some("comes with the hub; enable it to use it".to_owned()),
            version: crate::engine::rule::version_of(&source),
            updated_at: None,
            source: Some(source),
        }
    }

    fn without_source(mut self) -> Self {
        self.source = None;
        self
    }
}

/// The account's rules, and those that come with the hub.
#[utoipa::path(get, path = "/rules", tag = "rules", responses(
    (status = OK, body = RuleList), (status = 401, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn rule_list(
    State(shared): State<Shared>,
    Caller(scope): Caller,
) -> Result<Json<RuleList>, Problem> {
    let mut tx = shared.begin(&scope).await?;
    let mut items: Vec<RuleView> = store::rule_list(&mut tx)
        .await?
        .into_iter()
        .map(RuleView::stored)
        .collect();
    tx.audit("read", "rules", Some(items.len() as u64))?;
    tx.commit().await?;
    for recipe in shared.recipes.list().await {
        if !items.iter().any(|item| item.id == recipe.header.id) {
            items.push(RuleView::recipe(recipe));
        }
    }
    items.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Json(RuleList {
        items: items.into_iter().map(RuleView::without_source).collect(),
    }))
}

/// A rule's text.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleText {
    /// The text.
    source: String,
    /// What messages call it, mostly its file's name.
    name: Option<String>,
}

/// Checks a text without saving it.
#[utoipa::path(post, path = "/rules/check", tag = "rules", request_body = RuleText, responses(
    (status = OK, body = Vec<Diagnostic>), (status = 401, body = Problem)))]
pub(super) async fn rule_check(_: Caller, Json(text): Json<RuleText>) -> Json<Vec<Diagnostic>> {
    Json(check(&text.source, text.name.as_deref().unwrap_or("rule.rhai")))
}

/// Saves a rule under the id of its header. A new one doesn't run before it is enabled.
#[utoipa::path(post, path = "/rules", tag = "rules", request_body = RuleText, responses(
    (status = OK, body = RuleView), (status = 401, body = Problem),
    (status = 422, description = "The text has a mistake: file, line, column and a hint", body = Problem),
    (status = 503, body = Problem)))]
pub(super) async fn rule_add(
    State(shared): State<Shared>,
    Caller(scope): Caller,
    Json(text): Json<RuleText>,
) -> Result<Json<RuleView>, Problem> {
    let mut tx = shared.begin(&scope).await?;
    let rule = manage::save(&mut tx, &text.source, text.name.as_deref(), None).await?;
    shared.commit_change(tx).await?;
    Ok(Json(RuleView::stored(rule)))
}

/// Saves a rule whose header has this id. A new one doesn't run before it is enabled.
#[utoipa::path(put, path = "/rules/{id}", tag = "rules", params(("id" = String, Path, description = "The rule's id")),
    request_body = RuleText, responses((status = OK, body = RuleView), (status = 401, body = Problem),
    (status = 422, description = "The text has a mistake: file, line, column and a hint", body = Problem),
    (status = 503, body = Problem)))]
pub(super) async fn rule_put(
    State(shared): State<Shared>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    Json(text): Json<RuleText>,
) -> Result<Json<RuleView>, Problem> {
    let mut tx = shared.begin(&scope).await?;
    let rule = manage::save(&mut tx, &text.source, text.name.as_deref(), Some(&id)).await?;
    shared.commit_change(tx).await?;
    Ok(Json(RuleView::stored(rule)))
}

/// One rule with its text.
#[utoipa::path(get, path = "/rules/{id}", tag = "rules", params(("id" = String, Path, description = "The rule's id")),
    responses((status = OK, body = RuleView), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 503, body = Problem)))]
pub(super) async fn rule_get(
    State(shared): State<Shared>,
    Caller(scope): Caller,
    Path(id): Path<String>,
) -> Result<Json<RuleView>, Problem> {
    let mut tx = shared.begin(&scope).await?;
    let stored = store::rule_by_id(&mut tx, &id).await?;
    tx.audit("read", format!("rule/{id}"), Some(1))?;
    tx.commit().await?;
    if let Some(stored) = stored {
        return Ok(Json(RuleView::stored(stored)));
    }
    let recipe = shared
        .recipes
        .by_id(&id)
        .await
        .ok_or_else(|| manage::unknown(&id))?;
    Ok(Json(RuleView::recipe(recipe)))
}

/// Removes a rule. Its runs stay.
#[utoipa::path(delete, path = "/rules/{id}", tag = "rules",
    params(("id" = String, Path, description = "The rule's id")),
    responses((status = NO_CONTENT), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 503, body = Problem)))]
pub(super) async fn rule_delete(
    State(shared): State<Shared>,
    Caller(scope): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let mut tx = shared.begin(&scope).await?;
    manage::remove(&mut tx, &id).await?;
    shared.commit_change(tx).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// With what a rule is enabled.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Enable {
    /// Values of inputs; those that are not named keep theirs.
    #[schema(value_type = Option<Object>)]
    inputs: Option<Map<String, Value>>,
}

/// Lets a rule run. One that comes with the hub is copied into the account by it.
#[utoipa::path(post, path = "/rules/{id}/enable", tag = "rules",
    params(("id" = String, Path, description = "The rule's id")), request_body = Enable,
    responses((status = OK, body = RuleView), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 422, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn rule_enable(
    State(shared): State<Shared>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    Json(with): Json<Enable>,
) -> Result<Json<RuleView>, Problem> {
    let mut tx = shared.begin(&scope).await?;
    let rule = manage::enable(&mut tx, &shared.recipes, &id, with.inputs).await?;
    shared.commit_change(tx).await?;
    Ok(Json(RuleView::stored(rule)))
}

/// Stops a rule.
#[utoipa::path(post, path = "/rules/{id}/disable", tag = "rules",
    params(("id" = String, Path, description = "The rule's id")),
    responses((status = OK, body = RuleView), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 503, body = Problem)))]
pub(super) async fn rule_disable(
    State(shared): State<Shared>,
    Caller(scope): Caller,
    Path(id): Path<String>,
) -> Result<Json<RuleView>, Problem> {
    let mut tx = shared.begin(&scope).await?;
    let rule = manage::disable(&mut tx, &id).await?;
    shared.commit_change(tx).await?;
    Ok(Json(RuleView::stored(rule)))
}

/// On what a rule is tried: an event of the log, or a body of one's own.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Occasion {
    /// An event of the log.
    event: Option<EventId>,
    /// The body of an event of the rule's type that happens now.
    #[schema(value_type = Option<Object>)]
    body: Option<Value>,
}

/// Tries a rule on an event without doing anything: the value of each condition, and what would be queued.
#[utoipa::path(post, path = "/rules/{id}/run", tag = "rules",
    params(("id" = String, Path, description = "The rule's id")), request_body = Occasion,
    responses((status = OK, body = Trace), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn rule_run(
    State(shared): State<Shared>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    Json(occasion): Json<Occasion>,
) -> Result<Json<Trace>, Problem> {
    let mut tx = shared.begin(&scope).await?;
    tx.audit("read", format!("rule/{id}"), Some(1))?;
    tx.commit().await?;
    let mut tx = shared.begin(&scope).await?;
    let rule = rule_to_try(&shared, &mut tx, &id).await?;
    let (event, known) = match occasion {
        Occasion {
            event: Some(event),
            body: None,
        } => {
            let found = reader::event_by_id(&mut tx, event).await?;
            (
                found.ok_or_else(|| Problem::not_found(format!("there is no event {event}")))?,
                true,
            )
        }
        Occasion {
            event: None,
            body: Some(body),
        } => (happening_now(&mut tx, &rule, body).await?, false),
        _ => return Err(Problem::bad_request("name an event, or give a body")),
    };
    let trace = dry_run::try_out(&shared.runner, &mut tx, &rule, &event, known)
        .await
        .map_err(problem)?;
    Ok(Json(trace))
}

async fn rule_to_try(shared: &Shared, tx: &mut ScopedTx, id: &str) -> Result<Rule, Problem> {
    if let Some(stored) = store::rule_by_id(tx, id).await? {
        return manage::compile(&stored);
    }
    let recipe = match is_rule_id(id) {
        true => shared.recipes.by_id(id).await,
        false => None,
    };
    let recipe = recipe.ok_or_else(|| manage::unknown(id))?;
    Rule::compile(id, &recipe.source, &Map::new()).map_err(|error| Problem::unprocessable(error.to_string()))
}

/// An event of the rule's type with this body, at the end of the log.
async fn happening_now(tx: &mut ScopedTx, rule: &Rule, body: Value) -> Result<Event, Problem> {
    Ok(Event {
        position: tx.log_head().await?,
        id: EventId::new(),
        kind: rule.header.on.clone(),
        version: 1,
        account: tx.account(),
        lane: Lane::Live,
        subject: None,
        subject_version: None,
        actor: tx.scope().principal().to_string(),
        occurred_at: tx.now(),
        recorded_at: tx.now(),
        correlation: CorrelationId::new(),
        causation: None,
        depth: 0,
        body: Some(body),
    })
}
