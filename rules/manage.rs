//! What owners do with rules: save, enable, disable, remove. Each is audited and tells of itself.
//!
//! Events out: `rules.RuleChanged`.
//! Invariant: only a text without errors is saved, and only a rule whose inputs all have values is enabled.

use contracts::Problem;
use contracts::events::rules::RuleChanged;
use serde_json::{Map, Value};
use spine::access::{AccessError, ScopedTx};

use crate::engine::header::RuleHeader;
use crate::engine::input::{self, InputError};
use crate::engine::rule::{Rule, engine, version_of};
use crate::lint::{Diagnostic, check};
use crate::recipes::Recipes;
use crate::runs::model::Purpose;
use crate::store::{self, StoredRule};

/// The name that messages give a rule's text when its sender gives none.
fn file_name(name: Option<&str>, id: &str) -> String {
    name.map_or_else(|| format!("{id}.rhai"), str::to_owned)
}

/// Saves a rule. A new one doesn't run before it is enabled; a changed one goes on in its new version. `id`: what
/// the address says.
pub(crate) async fn save(
    tx: &mut ScopedTx,
    source: &str,
    name: Option<&str>,
    id: Option<&str>,
) -> Result<StoredRule, Problem> {
    let header = checked(source, &file_name(name, id.unwrap_or("rule")))?;
    if let Some(id) = id.filter(|id| *id != header.id) {
        let detail = format!(
            "the address names the rule `{id}`, and its header says `{}`",
            header.id
        );
        return Err(Problem::unprocessable(detail).hint("make them the same"));
    }
    let held = store::rule_by_id(tx, &header.id).await?;
    let unchanged = held.as_ref().is_some_and(|held| held.source == source);
    let mut rule = held.unwrap_or_else(|| fresh(&header.id, "own"));
    if unchanged {
        return Ok(rule);
    }
    "own".clone_into(&mut rule.origin);
    put_text(&mut rule, &header, source);
    write(tx, &mut rule).await?;
    Ok(rule)
}

/// Lets a rule run, with these inputs where some are given. A recipe is copied into the account first.
pub(crate) async fn enable(
    tx: &mut ScopedTx,
    recipes: &Recipes,
    id: &str,
    inputs: Option<Map<String, Value>>,
) -> Result<StoredRule, Problem> {
    let mut rule = match store::rule_by_id(tx, id).await? {
        Some(rule) => rule,
        None => from_recipe(recipes, id).await?,
    };
    if let Some(inputs) = inputs {
        let mut set = rule.set_inputs();
        set.extend(inputs);
        rule.inputs = Value::Object(set);
    }
    let header = checked(&rule.source, &file_name(None, id))?;
    input::resolve(&header.inputs, &rule.set_inputs()).map_err(input_problem)?;
    if !rule.enabled {
        rule.enabled = true;
        rule.enabled_at = Some(tx.now());
    }
    rule.paused_reason = None;
    crate::runs::store::limit_clear(tx, id, Purpose::Breaker).await?;
    write(tx, &mut rule).await?;
    Ok(rule)
}

/// Stops a rule.
pub(crate) async fn disable(tx: &mut ScopedTx, id: &str) -> Result<StoredRule, Problem> {
    let mut rule = store::rule_by_id(tx, id).await?.ok_or_else(|| unknown(id))?;
    if rule.enabled {
        rule.enabled = false;
        write(tx, &mut rule).await?;
    }
    Ok(rule)
}

/// Removes a rule; its runs stay.
pub(crate) async fn remove(tx: &mut ScopedTx, id: &str) -> Result<(), Problem> {
    let rule = store::rule_by_id(tx, id).await?.ok_or_else(|| unknown(id))?;
    store::rule_delete(tx, id).await?;
    store::epoch_advance(tx).await?;
    announce(tx, &rule.id, &rule.version, false)?;
    Ok(())
}

/// No such rule.
pub(crate) fn unknown(id: &str) -> Problem {
    Problem::not_found(format!("there is no rule `{id}`"))
        .hint("GET /rules lists yours and those that come with the hub")
}

async fn from_recipe(recipes: &Recipes, id: &str) -> Result<StoredRule, Problem> {
    let recipe = recipes.by_id(id).await.ok_or_else(|| unknown(id))?;
    let mut rule = fresh(id, "recipe");
    put_text(&mut rule, &recipe.header, &recipe.source);
    Ok(rule)
}

fn fresh(id: &str, origin: &str) -> StoredRule {
    StoredRule {
        id: id.to_owned(),
        enabled: false,
        enabled_at: None,
        version: String::new(),
        inputs: Value::Object(Map::new()),
        origin: origin.to_owned(),
        paused_reason: None,
        updated_at: chrono::DateTime::UNIX_EPOCH,
        source: String::new(),
    }
}

/// Gives the rule another text. What was set for inputs stays where it still fits.
fn put_text(rule: &mut StoredRule, header: &RuleHeader, source: &str) {
    rule.version = version_of(source);
    source.clone_into(&mut rule.source);
    let fits = |name: &String, value: &Value| {
        let alone = header
            .inputs
            .get_key_value(name)
            .map(|(name, input)| (name.clone(), input.clone()));
        let one = Map::from_iter([(name.clone(), value.clone())]);
        alone.is_some_and(|alone| input::resolve(&[alone].into(), &one).is_ok())
    };
    let kept: Map<String, Value> = rule
        .set_inputs()
        .into_iter()
        .filter(|(name, value)| fits(name, value))
        .collect();
    if rule.enabled
        && let Err(error) = input::resolve(&header.inputs, &kept)
    {
        rule.enabled = false;
        rule.paused_reason = Some(format!("its new version needs to be enabled again: {error}"));
    }
    rule.inputs = Value::Object(kept);
}

async fn write(tx: &mut ScopedTx, rule: &mut StoredRule) -> Result<(), AccessError> {
    rule.updated_at = tx.now();
    store::rule_put(tx, rule).await?;
    store::epoch_advance(tx).await?;
    announce(tx, &rule.id, &rule.version, rule.enabled)
}

fn announce(tx: &mut ScopedTx, id: &str, version: &str, enabled: bool) -> Result<(), AccessError> {
    tx.audit("write", format!("rule/{id}"), None)?;
    tx.publish_about(
        id,
        &RuleChanged {
            rule: id.to_owned(),
            version: version.to_owned(),
            enabled,
        },
    )?;
    Ok(())
}

/// The header of a text without errors; else a problem that tells the first, with its place.
fn checked(source: &str, name: &str) -> Result<RuleHeader, Problem> {
    let errors: Vec<Diagnostic> = check(source, name)
        .into_iter()
        .filter(Diagnostic::is_error)
        .collect();
    if let Some(first) = errors.first() {
        let more = match errors.len() {
            1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let problem = Problem::unprocessable(format!("{first}{more}"));
        return Err(match &first.hint {
            Some(hint) => problem.hint(hint.clone()),
            None => problem,
        });
    }
    let script = engine()
        .compile(name, source)
        .map_err(|error| Problem::unprocessable(error.to_string()))?;
    RuleHeader::read(&script).map_err(|errors| {
        Problem::unprocessable(
            errors
                .first()
                .map_or_else(|| "the header can't be read".to_owned(), ToString::to_string),
        )
    })
}

fn input_problem(error: InputError) -> Problem {
    let hint = match &error {
        InputError::Unknown { near: Some(near), .. } => format!("did you mean `{near}`?"),
        InputError::Unknown { .. } => "the rule's header names its inputs".to_owned(),
        InputError::Type { .. } => "give it a value of that type".to_owned(),
        InputError::Missing(name) => format!("enable it with a value: {{ \"inputs\": {{ \"{name}\": … }} }}"),
    };
    Problem::unprocessable(error.to_string()).hint(hint)
}

/// A stored rule, compiled.
pub(crate) fn compile(rule: &StoredRule) -> Result<Rule, Problem> {
    Rule::compile(&rule.id, &rule.source, &rule.set_inputs())
        .map_err(|error| Problem::unprocessable(error.to_string()))
}
