//! Evaluation alone, without hub and database, for the measured claims in `benches/`.
//!
//! Begin with [`RuleSet::compile`].

use std::sync::Arc;

use contracts::Event;
use sandbox::SharedValue;
use serde_json::{Map, Value};

use crate::engine::evaluate::{Entered, enter};
use crate::engine::host::Host;
use crate::engine::index::Index;
use crate::engine::rule::Rule;

/// Compiled rules of one account with their index.
#[derive(Debug)]
pub struct RuleSet(Index);

impl RuleSet {
    /// Compiles and indexes rules; the error says what is wrong with the first that can't run.
    ///
    /// # Errors
    /// The mistake with its place.
    pub fn compile<'a>(sources: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let compile = |source| Rule::compile("bench", source, &Map::new()).map(Arc::new);
        let rules = sources.into_iter().map(compile).collect::<Result<_, _>>();
        Ok(Self(Index::new(rules.map_err(|error| error.to_string())?)))
    }

    /// How many rules the index finds for the event.
    pub fn matching(&self, event: &Event) -> usize {
        self.0.matching(event).len()
    }

    /// For how many of the rules that the index finds `when` holds. `read` answers what they ask, by function and
    /// arguments.
    pub fn evaluate(&self, event: &Event, read: impl Fn(&str, &Value) -> Value) -> usize {
        let matching = self.0.matching(event);
        if matching.is_empty() {
            return 0;
        }
        let body = SharedValue::new(event.body.clone().unwrap_or_default());
        let mut host = Host::new(event.recorded_at);
        matching
            .into_iter()
            .filter(|rule| holds(rule, &body, &mut host, &read))
            .count()
    }
}

fn holds(rule: &Rule, body: &SharedValue, host: &mut Host, read: &impl Fn(&str, &Value) -> Value) -> bool {
    host.begin_rule();
    let args = rule.args("when", body);
    loop {
        match enter(rule, "when", &args, host) {
            Entered::Returned(value) => return value == Value::Bool(true),
            Entered::Failed(_) => return false,
            Entered::Asks(wish) => {
                let value = read(wish.name(), wish.args());
                if host.learn(wish, value).is_err() {
                    return false;
                }
            }
        }
    }
}
