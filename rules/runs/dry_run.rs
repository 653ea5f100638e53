//! A rule tried on an event without doing anything: the value of every condition, and what would be queued.
//!
//! Invariant: nothing of it stays: its caller drops the transaction. All is judged as of the moment at which the event was
//! recorded, which is when a rule meets it on a hub that keeps up: its age, `now()`, the limit, the present.

use contracts::{CorrelationId, Event};
use sandbox::SharedValue;
use serde_json::Value;
use spine::access::ScopedTx;
use spine::log::consumer::HandleError;

use super::conditions;
use super::model::Step;
use super::runner::{Occasion, Runner};
use super::trace::{Trace, TraceEvent, TraceStep};
use crate::engine::evaluate::verdict;
use crate::engine::host::{Entry, Host};
use crate::engine::rule::Rule;
use crate::engine::terms;

/// Function names in the text that asks for one term of `when` at a time.
const TERM: &str = "hub_term_";

/// Tries `rule` on `event`, whose place in the log decides what `state` answers. `known`: the event is in the log.
pub(crate) async fn try_out(
    runner: &Runner,
    tx: &mut ScopedTx,
    rule: &Rule,
    event: &Event,
    known: bool,
) -> Result<Trace, HandleError> {
    let body = SharedValue::new(event.body.clone().unwrap_or_default());
    let occasion = Occasion { event, body };
    let started_at = tx.now();
    let mut steps = Vec::new();
    let (status, reason) = outcome(runner, tx, rule, &occasion, &mut steps).await?;
    let shown = TraceEvent {
        id: known.then_some(event.id),
        ..TraceEvent::from(event)
    };
    let correlation: Option<CorrelationId> = known.then_some(event.correlation);
    let steps = steps
        .into_iter()
        .map(Step::from)
        .enumerate()
        .map(|(n, step)| TraceStep::dry(n + 1, step))
        .collect();
    Ok(Trace {
        id: None,
        rule: rule.header.id.clone(),
        version: rule.version.clone(),
        status: status.to_owned(),
        reason,
        correlation,
        started_at,
        finished_at: Some(runner.clock.now()),
        event: Some(shown),
        steps,
        answers: Vec::new(),
    })
}

type Outcome = (&'static str, Option<String>);

const NOT: &str = "would-not-run";
const SKIPPED: &str = "would-be-skipped";
const FAIL: &str = "would-fail";

async fn outcome(
    runner: &Runner,
    tx: &mut ScopedTx,
    rule: &Rule,
    occasion: &Occasion<'_>,
    steps: &mut Vec<Entry>,
) -> Result<Outcome, HandleError> {
    let (event, body, now) = (occasion.event, occasion.body.json(), occasion.event.recorded_at);
    if event.kind != rule.header.on {
        return Ok((
            NOT,
            Some(format!(
                "the rule listens to {}, and this is {}",
                rule.header.on, event.kind
            )),
        ));
    }
    steps.extend(conditions::of_where(rule, body, now));
    if let Some(term) = rule.header.terms.iter().find(|term| !term.holds(body)) {
        return Ok((
            NOT,
            Some(format!("{} is not {}", term.path.as_str(), term.expected)),
        ));
    }
    let late = conditions::too_late(rule, event.occurred_at, now);
    let mut host = Host::new(now);
    host.begin_rule();
    if rule.has_when() {
        host.begin_function(false);
        let ended = runner
            .play(tx, rule, "when", &occasion.body, event.position, &mut host)
            .await?;
        steps.append(&mut host.take_entries());
        steps.extend(when_terms(runner, tx, rule, occasion, &mut host).await?);
        match ended.and_then(|value| verdict(rule, &value)) {
            Ok(true) => {}
            Ok(false) => return Ok((NOT, Some("`when` does not hold".to_owned()))),
            Err(fault) => return Ok((FAIL, Some(fault.reason))),
        }
    }
    let mut skipped = late.map(|(reason, entry)| {
        steps.push(entry);
        reason
    });
    if let Some(limit) = &rule.header.limit {
        let used = runner.limit_used_before(tx, rule, limit, body, now).await?;
        steps.push(conditions::limit(&limit.text, used, now));
        if used >= limit.runs {
            skipped.get_or_insert_with(|| format!("the limit {} is used up", limit.text));
        }
    }
    host.begin_function(true);
    let ended = runner
        .play(tx, rule, "then", &occasion.body, event.position, &mut host)
        .await?;
    steps.append(&mut host.take_entries());
    Ok(match (ended, skipped) {
        (Err(fault), _) => (FAIL, Some(fault.reason)),
        (Ok(_), Some(reason)) => (SKIPPED, Some(reason)),
        (Ok(_), None) => ("would-run", None),
    })
}

/// Each term of `when` by itself, so that one sees which of them did not hold.
async fn when_terms(
    runner: &Runner,
    tx: &mut ScopedTx,
    rule: &Rule,
    occasion: &Occasion<'_>,
    host: &mut Host,
) -> Result<Vec<Entry>, HandleError> {
    let Some(asking) = with_term_functions(rule) else {
        return Ok(Vec::new());
    };
    let mut entries = Vec::new();
    for (index, term) in rule.conditions.iter().enumerate() {
        host.begin_rule();
        let name = format!("{TERM}{index}");
        let ended = runner
            .play(tx, &asking, &name, &occasion.body, occasion.event.position, host)
            .await?;
        host.take_entries();
        let fields = terms::fields(&term.text, rule.event_name(), occasion.body.json());
        let mut entry = conditions::condition(
            &term.text,
            Value::Object(fields),
            true,
            term.line,
            occasion.event.recorded_at,
        );
        entry.value = ended.unwrap_or_else(|fault| Value::String(fault.reason));
        entries.push(entry);
    }
    Ok(entries)
}

/// The rule's text with a function for each term of `when`.
fn with_term_functions(rule: &Rule) -> Option<Rule> {
    let params = rule.script.function("when")?.params.join(", ");
    let mut source = rule.script.source().to_owned();
    for (index, term) in rule.conditions.iter().enumerate() {
        source.push_str(&format!("\nfn {TERM}{index}({params}) {{ {} }}", term.text));
    }
    let inputs = rule.inputs.json().as_object().cloned().unwrap_or_default();
    Rule::compile(&rule.header.id, &source, &inputs).ok()
}
