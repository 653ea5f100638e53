//! Which rules an event concerns, found without running any script: by type, then by one literal of each rule's
//! `where`, then by the rest of its terms.

use std::collections::HashMap;
use std::sync::Arc;

use contracts::{Event, Lane};
use serde_json::Value;

use super::filter::Literal;
use super::path::Path;
use super::rule::Rule;

/// The enabled rules of one account.
#[derive(Debug, Default)]
pub(crate) struct Index {
    types: HashMap<String, OfType>,
}

/// The rules that listen to one type of event. The numbers point into `rules`, which is in order of id.
#[derive(Debug, Default)]
struct OfType {
    rules: Vec<Arc<Rule>>,
    unconditional: Vec<usize>,
    by_literal: Vec<(Path, HashMap<Literal, Vec<usize>>)>,
}

impl Index {
    /// An index of these rules.
    pub(crate) fn new(mut rules: Vec<Arc<Rule>>) -> Self {
        rules.sort_by(|a, b| a.header.id.cmp(&b.header.id));
        let mut types: HashMap<String, OfType> = HashMap::new();
        for rule in rules {
            types.entry(rule.header.on.clone()).or_default().add(rule);
        }
        Self { types }
    }

    /// The rules that an event concerns, in order of id: type, lane and every term of `where` fit, and it was written
    /// down since the rule runs.
    pub(crate) fn matching<'a>(&'a self, event: &Event) -> Vec<&'a Arc<Rule>> {
        let (Some(of_type), Some(body)) = (self.types.get(&event.kind), &event.body) else {
            return Vec::new();
        };
        of_type.matching(body, event)
    }
}

impl OfType {
    fn add(&mut self, rule: Arc<Rule>) {
        let number = self.rules.len();
        match rule.header.terms.first() {
            None => self.unconditional.push(number),
            Some(term) => {
                let found = self
                    .by_literal
                    .iter_mut()
                    .position(|(path, _)| *path == term.path);
                let place = found.unwrap_or_else(|| {
                    self.by_literal.push((term.path.clone(), HashMap::new()));
                    self.by_literal.len() - 1
                });
                if let Some((_, literals)) = self.by_literal.get_mut(place) {
                    literals.entry(term.literal.clone()).or_default().push(number);
                }
            }
        }
        self.rules.push(rule);
    }

    fn matching(&self, body: &Value, event: &Event) -> Vec<&Arc<Rule>> {
        let mut numbers = self.unconditional.clone();
        for (path, literals) in &self.by_literal {
            let mut look_up = |value: &Value| {
                if let Some(found) = Literal::of(value).and_then(|literal| literals.get(&literal)) {
                    numbers.extend(found);
                }
            };
            match path.find(body) {
                Some(Value::Array(items)) => items.iter().for_each(look_up),
                Some(value) => look_up(value),
                None => {}
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers
            .into_iter()
            .filter_map(|number| self.rules.get(number))
            .filter(|rule| event.lane == Lane::Live || rule.header.backfill)
            .filter(|rule| rule.enabled_at.is_none_or(|since| event.recorded_at >= since))
            .filter(|rule| rule.header.terms.iter().skip(1).all(|term| term.holds(body)))
            .collect()
    }
}
