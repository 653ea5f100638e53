//! One rule meets one event: conditions, reads, limits, the script, and then everything in one transaction.
//!
//! Out: a run with its journal, messages and jobs, `rules.RunFinished`, `rules.RuleChanged` when the breaker stops a
//! rule.
//! Invariant: whatever a script does wrong becomes a run that says so; only the database can fail the event. An
//! event has one run of a rule at the most, and a run that did not complete has queued nothing.
//! Begin with [`Runner::consider`].

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use contracts::events::rules::{RuleChanged, RunFinished};
use contracts::{Clock, Event, Position, RunId};
use sandbox::{Arg, SharedValue};
use serde_json::Value;
use spine::access::{AccessError, DEPTH_MAX, ScopedTx};
use spine::log::consumer::HandleError;
use spine::ports::Ports;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::model::{Purpose, Status, Step, storable};
use super::store::{Counter, NewRun};
use super::{actions, conditions, reads, store};
use crate::catalog::Catalog;
use crate::engine::evaluate::{Entered, Fault, enter, verdict};
use crate::engine::host::{Entry, Host, Kind};
use crate::engine::limit::Limit;
use crate::engine::path::Path;
use crate::engine::rule::Rule;

/// More acting runs than this of one rule and key, in [`BREAKER_WINDOW`], and the rule is stopped.
pub(crate) const BREAKER_RUNS: usize = 60;
/// See [`BREAKER_RUNS`].
const BREAKER_WINDOW: Duration = Duration::from_secs(60);

/// An event with its body in the form that scripts share.
#[derive(Debug)]
pub(crate) struct Occasion<'a> {
    pub(crate) event: &'a Event,
    pub(crate) body: SharedValue,
}

/// Runs rules.
#[derive(Debug, Clone)]
pub(crate) struct Runner {
    pub(crate) ports: Ports,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) catalog: Arc<Catalog>,
}

/// How a run ended.
#[derive(Debug)]
struct End {
    status: Status,
    reason: Option<String>,
}

/// Under which keys a run is counted.
#[derive(Debug, Clone, Copy)]
struct Keys<'a> {
    /// The rule's own key, for the breaker.
    run: &'a [u8; 32],
    /// How often the rule acted for that key in [`BREAKER_WINDOW`].
    acted: usize,
    /// The limit's.
    limit: Option<&'a [u8; 32]>,
}

impl End {
    fn completed() -> Self {
        Self {
            status: Status::Completed,
            reason: None,
        }
    }

    fn skipped(reason: impl Into<String>) -> Self {
        Self {
            status: Status::Skipped,
            reason: Some(reason.into()),
        }
    }

    fn failed(fault: Fault) -> Self {
        let status = if fault.mismatch {
            Status::Parked
        } else {
            Status::Failed
        };
        Self {
            status,
            reason: Some(storable(fault.reason)),
        }
    }
}

impl Runner {
    /// A rule whose type, lane and `where` fit meets the event.
    pub(crate) async fn consider(
        &self,
        tx: &mut ScopedTx,
        rule: &Rule,
        occasion: &Occasion<'_>,
        host: &mut Host,
    ) -> Result<(), HandleError> {
        host.begin_rule();
        tx.act_as_rule(&rule.header.id);
        let (body, now) = (occasion.body.json(), tx.now());
        let mut journal = conditions::of_where(rule, body, now);
        let early = if tx.cause().depth > DEPTH_MAX {
            Some(End::skipped(format!(
                "the chain of causes is longer than {DEPTH_MAX}: something feeds itself"
            )))
        } else if let Some((reason, entry)) = conditions::too_late(rule, occasion.event.occurred_at, now) {
            journal.push(entry);
            Some(End::skipped(reason))
        } else {
            match self.when(tx, rule, occasion, host, &mut journal).await? {
                Ok(true) => None,
                Ok(false) => return Ok(()),
                Err(fault) => Some(End::failed(fault)),
            }
        };
        let run = RunId::new();
        let new = new_run(tx, rule, occasion, run, self.clock.now());
        let limit = rule.header.limit.as_ref();
        let limit_key = limit.map(|limit| key_of(tx, &rule.header.id, limit.per.as_ref(), body));
        let counters = if early.is_some() {
            Vec::new() // it will not act
        } else {
            counters(tx.now(), rule, &new.key, limit.zip(limit_key.as_ref()))
        };
        let Some(used) = store::run_begin(tx, &new, &counters).await? else {
            return Ok(());
        };
        let end = match early {
            Some(end) => end,
            None => {
                self.then(tx, rule, occasion, host, used.limit, &mut journal)
                    .await?
            }
        };
        let keys = Keys {
            run: &new.key,
            acted: used.breaker,
            limit: limit_key.as_ref(),
        };
        self.finish(tx, rule, run, keys, journal, end).await
    }

    /// Whether the rule's `when` holds; what it read and what held is added to the journal.
    async fn when(
        &self,
        tx: &mut ScopedTx,
        rule: &Rule,
        occasion: &Occasion<'_>,
        host: &mut Host,
        journal: &mut Vec<Entry>,
    ) -> Result<Result<bool, Fault>, HandleError> {
        if !rule.has_when() {
            return Ok(Ok(true));
        }
        host.begin_function(false);
        let ended = self
            .play(tx, rule, "when", &occasion.body, occasion.event.position, host)
            .await?;
        journal.append(&mut host.take_entries());
        let held = ended.and_then(|value| verdict(rule, &value));
        if held == Ok(true) {
            journal.extend(conditions::of_when(rule, occasion.body.json(), tx.now()));
        }
        Ok(held)
    }

    /// Lets the rule act, within its limit, of which so much is used.
    async fn then(
        &self,
        tx: &mut ScopedTx,
        rule: &Rule,
        occasion: &Occasion<'_>,
        host: &mut Host,
        used: usize,
        journal: &mut Vec<Entry>,
    ) -> Result<End, HandleError> {
        if let Some(limit) = &rule.header.limit {
            journal.push(conditions::limit(&limit.text, used, tx.now()));
            if used >= limit.runs {
                return Ok(End::skipped(format!("the limit {} is used up", limit.text)));
            }
        }
        host.begin_function(true);
        let ended = self
            .play(tx, rule, "then", &occasion.body, occasion.event.position, host)
            .await?;
        journal.append(&mut host.take_entries());
        Ok(ended.map_or_else(End::failed, |_| End::completed()))
    }

    /// Enters a function again and again, each time with one more answer, until it ends.
    pub(crate) async fn play(
        &self,
        tx: &mut ScopedTx,
        rule: &Rule,
        function: &str,
        body: &SharedValue,
        as_of: Position,
        host: &mut Host,
    ) -> Result<Result<Value, Fault>, HandleError> {
        let args = rule.args(function, body);
        // Bounded: each turn adds an entry to the journal, which is, and takes of the run's time, which is, too.
        loop {
            match enter_gently(rule, function, &args, host) {
                Entered::Returned(value) => return Ok(Ok(value)),
                Entered::Failed(fault) => return Ok(Err(fault)),
                Entered::Asks(read) => {
                    let value = reads::answer(&self.ports, tx, &read, as_of).await?;
                    if let Err(reason) = host.learn(read, value) {
                        return Ok(Err(Fault {
                            reason,
                            mismatch: false,
                        }));
                    }
                }
            }
        }
    }

    /// How much of a limit was used when an event of that moment came.
    pub(crate) async fn limit_used_before(
        &self,
        tx: &mut ScopedTx,
        rule: &Rule,
        limit: &Limit,
        body: &Value,
        at: DateTime<Utc>,
    ) -> Result<usize, AccessError> {
        let key = key_of(tx, &rule.header.id, limit.per.as_ref(), body);
        let window = (before(at, limit.window), at);
        store::limit_used_between(tx, &rule.header.id, Purpose::Limit, &key, window).await
    }

    /// Queues what a completed run recorded, writes its journal, and tells that it ended.
    async fn finish(
        &self,
        tx: &mut ScopedTx,
        rule: &Rule,
        run: RunId,
        keys: Keys<'_>,
        journal: Vec<Entry>,
        mut end: End,
    ) -> Result<(), HandleError> {
        let id = rule.header.id.as_str();
        let mut steps: Vec<Step> = journal.into_iter().map(Step::from).collect();
        let (mut queued, mut counted) = (0, Vec::new());
        if end.status == Status::Completed && steps.iter().any(|step| step.kind == Kind::Effect) {
            if let Some(name) = actions::ungranted(&rule.header, &steps) {
                let reason = format!("the rule has no grant for `{name}`");
                end = End {
                    status: Status::Failed,
                    reason: Some(reason),
                };
            } else if keys.acted >= BREAKER_RUNS {
                self.stop_rule(tx, rule).await?;
                end = End::skipped(format!(
                    "the breaker stopped the rule: more than {BREAKER_RUNS} runs in a minute"
                ));
            } else {
                counted.push((Purpose::Breaker, keys.run));
                queued = actions::queue(&self.ports, tx, id, &mut steps).await?;
            }
        }
        if let (Status::Completed, Some(key)) = (end.status, keys.limit) {
            counted.push((Purpose::Limit, key)); // a run that did nothing doesn't count
        }
        let finish = store::Finish {
            run,
            rule: id,
            status: end.status,
            reason: end.reason.as_deref(),
            actions: queued,
            at: self.clock.now(),
            steps: &steps,
            counted: &counted,
        };
        store::run_finish(tx, &finish).await?;
        if tx.cause().depth <= DEPTH_MAX {
            let actions = u32::try_from(queued).unwrap_or(0);
            let outcome = end.status.as_str().to_owned();
            tx.publish_about(
                run,
                &RunFinished {
                    run,
                    rule: id.to_owned(),
                    outcome,
                    actions,
                },
            )?;
        }
        Ok(())
    }

    /// An acting run too many stops the rule until its owner enables it again.
    async fn stop_rule(&self, tx: &mut ScopedTx, rule: &Rule) -> Result<(), HandleError> {
        let id = rule.header.id.as_str();
        let reason = format!(
            "stopped by the hub: it acted more than {BREAKER_RUNS} times in a minute for the same key"
        );
        if crate::store::rule_pause(tx, id, &reason).await? {
            tracing::warn!(account = %tx.account(), rule = id, "a rule ran away and was stopped");
            crate::store::epoch_advance(tx).await?;
            tx.audit("write", format!("rule/{id}"), None)?;
            let changed = RuleChanged {
                rule: id.to_owned(),
                version: rule.version.clone(),
                enabled: false,
            };
            tx.publish_about(id, &changed)?;
            self.catalog.forget(tx.account());
        }
        Ok(())
    }
}

/// Enters a function; one of a rule that was seen to be slow lets the other work of its thread go on elsewhere, which is
/// not worth its price for the usual microseconds.
fn enter_gently(rule: &Rule, function: &str, args: &[Arg], host: &mut Host) -> Entered {
    let may_move =
        || Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if rule.is_slow() && may_move() {
        tokio::task::block_in_place(|| enter(rule, function, args, host))
    } else {
        enter(rule, function, args, host)
    }
}

/// What a run is counted by: its limit, and, if the rule may act at all, the hub's own guard.
fn counters<'a>(
    now: DateTime<Utc>,
    rule: &Rule,
    key: &'a [u8; 32],
    limit: Option<(&Limit, &'a [u8; 32])>,
) -> Vec<Counter<'a>> {
    let limit = limit.map(|(limit, key)| Counter {
        purpose: Purpose::Limit,
        key,
        since: before(now, limit.window),
    });
    let breaker = (!rule.header.grants.is_empty()).then(|| Counter {
        purpose: Purpose::Breaker,
        key,
        since: before(now, BREAKER_WINDOW),
    });
    limit.into_iter().chain(breaker).collect()
}

fn new_run<'a>(
    tx: &ScopedTx,
    rule: &'a Rule,
    occasion: &Occasion<'_>,
    id: RunId,
    started_at: DateTime<Utc>,
) -> NewRun<'a> {
    NewRun {
        id,
        rule: &rule.header.id,
        version: &rule.version,
        event: occasion.event.id,
        event_position: occasion.event.position,
        correlation: occasion.event.correlation,
        key: key_of(
            tx,
            &rule.header.id,
            rule.header.key.as_ref(),
            occasion.body.json(),
        ),
        started_at,
    }
}

/// What stands at the path, so that nobody without the hub's key can guess it. Events without the field share one.
fn key_of(tx: &ScopedTx, rule: &str, path: Option<&Path>, body: &Value) -> [u8; 32] {
    let value = path.and_then(|path| path.find(body)).unwrap_or(&Value::Null);
    tx.pseudonym("rules.key", format!("{rule}\n{value}").as_bytes())
}

fn before(now: DateTime<Utc>, window: Duration) -> DateTime<Utc> {
    chrono::Duration::from_std(window)
        .ok()
        .and_then(|window| now.checked_sub_signed(window))
        .unwrap_or(now)
}
