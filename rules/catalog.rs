//! The enabled rules of each account, compiled and indexed in memory.
//!
//! Invariant: what a transaction sees here is what the database holds: the account's epoch is compared once in each
//! transaction, so a rule that another process changed is seen, and a change in this process drops the entry. Which
//! events are worth a transaction is told from memory alone, which a change's own event brings up to date.
//! Begin with [`Catalog::of`].

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use contracts::events::rules::RuleChanged;
use contracts::{AccountId, Event, EventPayload, Lane};
use spine::access::{AccessError, ScopedTx};

use crate::engine::index::Index;
use crate::engine::rule::Rule;
use crate::store;

/// The accounts' rules.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    accounts: RwLock<HashMap<AccountId, Arc<Loaded>>>,
}

#[derive(Debug)]
struct Loaded {
    epoch: i64,
    /// The moment of the transaction that compared the epoch last.
    checked_at: DateTime<Utc>,
    rules: Arc<AccountRules>,
}

/// The rules of one account.
#[derive(Debug, Default)]
pub(crate) struct AccountRules {
    /// By which an event finds them.
    pub(crate) index: Index,
    rules: Vec<(serde_json::Value, Arc<Rule>)>,
}

impl Catalog {
    /// The enabled rules of the transaction's account.
    pub(crate) async fn of(&self, tx: &mut ScopedTx) -> Result<Arc<AccountRules>, AccessError> {
        let (account, now) = (tx.account(), tx.now());
        let held = self.held(account);
        if let Some(held) = held.as_ref().filter(|held| held.checked_at == now) {
            return Ok(held.rules.clone());
        }
        let epoch = store::epoch(tx).await?;
        let rules = match held {
            Some(held) if held.epoch == epoch => held.rules.clone(),
            held => Arc::new(load(tx, held.as_ref().map(|held| held.rules.as_ref())).await?),
        };
        let loaded = Arc::new(Loaded {
            epoch,
            checked_at: now,
            rules: rules.clone(),
        });
        self.accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(account, loaded);
        Ok(rules)
    }

    /// Whether an event may concern a rule of its account, as far as memory tells. A change of the rules is told by
    /// [`RuleChanged`], which stands in the log before whatever was written down after it; until then, what is held
    /// here was true when the event came about. History is read on a lane of its own, which that event is not on.
    pub(crate) fn may_concern(&self, event: &Event) -> bool {
        if event.lane == Lane::Backfill {
            return true;
        }
        if event.kind == RuleChanged::TYPE {
            self.forget(event.account);
        }
        self.held(event.account)
            .is_none_or(|held| !held.rules.index.matching(event).is_empty())
    }

    /// The account's rules changed: whatever is held is read again.
    pub(crate) fn forget(&self, account: AccountId) {
        self.accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&account);
    }

    fn held(&self, account: AccountId) -> Option<Arc<Loaded>> {
        self.accounts
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&account)
            .cloned()
    }
}

/// Reads and compiles the rules; those that are held already in the same version with the same inputs are taken over.
async fn load(tx: &mut ScopedTx, held: Option<&AccountRules>) -> Result<AccountRules, AccessError> {
    let mut rules = Vec::new();
    for stored in store::rule_list(tx)
        .await?
        .into_iter()
        .filter(|stored| stored.enabled)
    {
        let known = held.and_then(|held| {
            let same = |(inputs, rule): &&(serde_json::Value, Arc<Rule>)| {
                (&rule.header.id, &rule.version) == (&stored.id, &stored.version)
                    && (inputs, rule.enabled_at) == (&stored.inputs, stored.enabled_at)
            };
            held.rules.iter().find(same)
        });
        match known {
            Some(known) => rules.push(known.clone()),
            None => match Rule::compile(&stored.id, &stored.source, &stored.set_inputs()) {
                Ok(rule) => {
                    let rule = Rule {
                        enabled_at: stored.enabled_at,
                        ..rule
                    };
                    rules.push((stored.inputs, Arc::new(rule)));
                }
                Err(error) => {
                    tracing::warn!(account = %tx.account(), rule = stored.id, %error, "an enabled rule can't run");
                }
            },
        }
    }
    let index = Index::new(rules.iter().map(|(_, rule)| rule.clone()).collect());
    Ok(AccountRules { index, rules })
}
