//! What had to hold for a run, as entries of its journal: each with the value that did (or did not) hold.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::engine::host::{Entry, Kind};
use crate::engine::rule::Rule;
use crate::engine::{duration, terms};

/// The terms of `where`.
pub(crate) fn of_where(rule: &Rule, body: &Value, at: DateTime<Utc>) -> Vec<Entry> {
    let entry = |term: &crate::engine::filter::Term| {
        let value = term.path.find(body).cloned().unwrap_or(Value::Null);
        let how = if value.is_array() { "contains" } else { "equals" };
        let args = json!({ "field": term.path.as_str(), how: term.expected });
        Entry {
            kind: Kind::Condition,
            name: "where".to_owned(),
            args,
            value,
            line: 0,
            at,
        }
    };
    rule.header.terms.iter().map(entry).collect()
}

/// Why the event is too late for the rule, with the entry that says so; `None`: it is in time. `now`: when the hub meets
/// the event, since one that it heard in time and comes to only after an outage is too late as well.
pub(crate) fn too_late(
    rule: &Rule,
    occurred_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<(String, Entry)> {
    let allowed = rule.header.max_age?;
    let age = (now - occurred_at).to_std().ok().filter(|age| *age > allowed)?;
    let (age, allowed) = (duration::write(age), duration::write(allowed));
    let reason =
        format!("too late: it happened {age} before the hub came to it, and the rule's max_age is {allowed}");
    let args = json!({ "max_age": allowed });
    let entry = Entry {
        kind: Kind::Condition,
        name: "max_age".to_owned(),
        args,
        value: json!(age),
        line: 0,
        at: now,
    };
    Some((reason, entry))
}

/// The terms of a `when` that held: all of them, since it did.
pub(crate) fn of_when(rule: &Rule, body: &Value, at: DateTime<Utc>) -> Vec<Entry> {
    if rule.conditions.is_empty() {
        return vec![condition("when", json!({}), true, 0, at)];
    }
    rule.conditions
        .iter()
        .map(|term| {
            let fields = terms::fields(&term.text, rule.event_name(), body);
            condition(&term.text, Value::Object(fields), true, term.line, at)
        })
        .collect()
}

/// One condition of `when`, by its text.
pub(crate) fn condition(text: &str, fields: Value, value: bool, line: u32, at: DateTime<Utc>) -> Entry {
    let args = json!({ "fields": fields });
    Entry {
        kind: Kind::Condition,
        name: text.to_owned(),
        args,
        value: json!(value),
        line,
        at,
    }
}

/// The rule's limit, and how much of it was used before this run.
pub(crate) fn limit(text: &str, used: usize, at: DateTime<Utc>) -> Entry {
    let args = json!({ "limit": text });
    Entry {
        kind: Kind::Condition,
        name: "limit".to_owned(),
        args,
        value: json!({ "used": used }),
        line: 0,
        at,
    }
}
