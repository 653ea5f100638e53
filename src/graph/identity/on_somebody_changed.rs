//! Asks the owner about people and organizations that may be one: names that look and sound alike, and one thing more
//! that speaks for it.
//!
//! Invariant: a name alone is never enough to ask, nothing found here merges by itself, a pair is asked about once, and
//! nobody stands in more than some few open questions. Who is erased meanwhile is not asked about.

use async_trait::async_trait;
use contracts::events::data::{EntityCreated, EntityMerged, EntityUpdated};
use contracts::{EntityId, Event, EventPayload};
use serde::Deserialize;
use serde_json::Value;
use spine::ports::{AssertedBy, Entity, GraphError, GraphRead};
use spine::{Consumer, HandleError, ScopedTx};
use std::sync::Arc;
use uuid::Uuid;

use super::{is_somebody, names};
use crate::Graph;
use crate::apply::Work;
use crate::store;

/// Of the score, what each weaker signal adds.
const SIGNAL: f64 = 0.05;
const SCORE_MAX: f64 = 0.99;
/// In so many open questions somebody stands at the most; of those that come at once the likeliest are asked.
const OPEN_MAX: i64 = 10;
/// Mailboxes that anybody can have say nothing about belonging together.
const PUBLIC_MAIL: [&str; 14] = [
    "aol.com",
    "fastmail.com",
    "gmail.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hotmail.com",
    "icloud.com",
    "mail.ru",
    "outlook.com",
    "proton.me",
    "protonmail.com",
    "web.de",
    "yahoo.com",
];

/// What of somebody, when it changes, may make a pair worth asking about.
const TELLING: [&str; 9] = [
    "birthday",
    "family_name",
    "given_name",
    "handle",
    "identifiers",
    "job_title",
    "name",
    "organization",
    "title",
];

/// The consumer `graph.identity`.
#[derive(Debug)]
pub(crate) struct SuggestMerges {
    pub(crate) graph: Arc<Graph>,
}

/// What all of these events carry.
#[derive(Deserialize)]
struct Subject {
    entity: EntityId,
    #[serde(rename = "type")]
    kind: String,
}

#[async_trait]
impl Consumer for SuggestMerges {
    fn name(&self) -> &'static str {
        "graph.identity"
    }

    fn types(&self) -> Vec<String> {
        [EntityCreated::TYPE, EntityUpdated::TYPE, EntityMerged::TYPE]
            .map(str::to_owned)
            .to_vec()
    }

    fn may_concern(&self, event: &Event) -> bool {
        event.body.as_ref().is_some_and(may_matter)
    }

    async fn handle(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError> {
        let Some(body) = &event.body else {
            return Ok(()); // erased
        };
        let subject: Subject = serde_json::from_value(body.clone())?;
        if !is_somebody(&subject.kind) {
            return Ok(());
        }
        let mut work = Work::new(
            self.graph.types(tx).await.map_err(refused)?,
            AssertedBy::Agent,
            "graph",
        );
        store::savepoint(tx).await?;
        let outcome = self.look(&mut work, tx, &subject).await;
        work.end(tx, outcome).await.map_err(refused)
    }
}

/// False: it is of nobody, or nothing changed by which people are told apart.
fn may_matter(body: &Value) -> bool {
    let tells = |name: &Value| name.as_str().is_none_or(|name| TELLING.contains(&name));
    let kind = body.get("type").and_then(Value::as_str);
    let changed = body.get("changed").and_then(Value::as_array);
    kind.is_none_or(is_somebody) && changed.is_none_or(|changed| changed.iter().any(tells))
}

impl SuggestMerges {
    async fn look(
        &self,
        work: &mut Work<'_>,
        tx: &mut ScopedTx,
        subject: &Subject,
    ) -> Result<(), GraphError> {
        // Nothing is locked here: what is asked about may change before the owner answers in any case.
        let Some(one) = store::entity_by_id(tx, subject.entity).await? else {
            return Ok(store::name_sound_set(tx, subject.entity, None).await?);
        };
        let sound = one.title.as_deref().and_then(names::sound);
        store::name_sound_set(tx, one.id, sound.as_deref()).await?;
        let (Some(name), Some(sound)) = (one.title.clone(), sound) else {
            return Ok(());
        };
        let me = self.graph.me(tx).await.ok();
        let mine = Known::of(tx, one.id).await?;
        let mut found = Vec::new();
        for id in candidates(tx, &subject.kind, &one, &sound).await? {
            let Some(other) = store::entity_by_id(tx, id).await? else {
                continue;
            };
            let Some(alike) = alikeness(&one, &name, &other) else {
                continue;
            };
            let signals = signals(tx, (&one, &mine), &other, me).await?;
            if let Some(reason) = signals.reason() {
                let score = SIGNAL.mul_add(signals.0.len() as f64, alike * 0.9).min(SCORE_MAX);
                found.push((score, other.id, reason));
            }
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.0.cmp(&b.1.0)));
        for (score, other, reason) in found {
            // Each question that is asked here counts for the next one.
            if is_asked_enough(tx, &mine.members).await? {
                break;
            }
            let theirs = store::entity_members(tx, other).await?;
            if is_asked_enough(tx, &theirs).await? {
                continue;
            }
            work.suggest(tx, (one.id, other), &reason, score as f32).await?;
        }
        Ok(())
    }
}

async fn is_asked_enough(tx: &mut ScopedTx, members: &[Uuid]) -> Result<bool, GraphError> {
    Ok(store::decision_open_count(tx, members, OPEN_MAX).await? >= OPEN_MAX)
}

/// Who may be the same: whose name sounds the same, and who was born on the same day.
async fn candidates(
    tx: &mut ScopedTx,
    kind: &str,
    one: &Entity,
    sound: &str,
) -> Result<Vec<EntityId>, GraphError> {
    let mut found = store::name_sound_alike(tx, kind, one.id, sound).await?;
    if let Some(birthday) = birthday(one).filter(|_| kind == "Person") {
        found.extend(store::born_with(tx, one.id, birthday).await?);
    }
    found.sort_by_key(|id| id.0);
    found.dedup();
    Ok(found)
}

fn birthday(one: &Entity) -> Option<&str> {
    one.props.get("birthday").and_then(Value::as_str)
}

/// How alike two are by their names; `None`: not enough to ask. On one birthday an initial stands for a name.
fn alikeness(one: &Entity, name: &str, other: &Entity) -> Option<f64> {
    let other_name = other.title.as_deref()?;
    let alike = names::similarity(name, other_name);
    if alike >= names::ALIKE {
        return Some(alike);
    }
    let is_born_with = birthday(one).is_some() && birthday(one) == birthday(other);
    (is_born_with && names::agreeing(name, other_name)).then_some(names::ALIKE)
}

/// What speaks for two alike names being one person's, beside the names.
struct Signals(Vec<String>);

impl Signals {
    fn reason(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| format!("the names are alike, and {}", self.0.join(", ")))
    }
}

/// Somebody with all that were merged into them, and what all of these are known by.
struct Known {
    members: Vec<Uuid>,
    addresses: Vec<(String, String)>,
}

impl Known {
    async fn of(tx: &mut ScopedTx, id: EntityId) -> Result<Self, GraphError> {
        let members = store::entity_members(tx, id).await?;
        let rows = store::identifier_list(tx, &members).await?;
        let addresses = rows.into_iter().map(|row| (row.scheme, row.value)).collect();
        Ok(Self { members, addresses })
    }
}

async fn signals(
    tx: &mut ScopedTx,
    (one, mine): (&Entity, &Known),
    other: &Entity,
    me: Option<EntityId>,
) -> Result<Signals, GraphError> {
    let theirs = Known::of(tx, other.id).await?;
    if store::decision_distinct(tx, &mine.members, &theirs.members).await? {
        return Ok(Signals(Vec::new()));
    }
    let mut found = Vec::new();
    for property in ["birthday", "job_title", "handle"] {
        let value = |entity: &Entity| entity.props.get(property).cloned();
        if value(one).is_some() && value(one) == value(other) {
            found.push(format!("the {} is the same", property.replace('_', " ")));
        }
    }
    let (a, b) = (&mine.addresses, &theirs.addresses);
    if let Some((scheme, value)) = a.iter().find(|each| b.contains(each)) {
        found.push(format!("both have {scheme} {value}"));
    } else if let Some(domain) = domains(a).find(|domain| domains(b).any(|other| other == *domain)) {
        found.push(format!("both have mail at {domain}"));
    }
    if store::have_neighbour_in_common(tx, &mine.members, &theirs.members, me.map(Uuid::from)).await? {
        found.push("they are related to the same".to_owned());
    }
    Ok(Signals(found))
}

fn domains(addresses: &[(String, String)]) -> impl Iterator<Item = &str> {
    addresses
        .iter()
        .filter(|(scheme, _)| scheme == "email")
        .filter_map(|(_, value)| value.rsplit_once('@'))
        .map(|(_, domain)| domain)
        .filter(|domain| !PUBLIC_MAIL.contains(domain))
}

fn refused(error: GraphError) -> HandleError {
    match error {
        GraphError::Access(error) => HandleError::Access(error),
        other => HandleError::Poison(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_changed_note_is_no_reason_to_compare_somebody_with_everybody() {
        for (body, expected) in [
            (json!({"type": "Person", "changed": ["note", "url"]}), false),
            (json!({"type": "Person", "changed": ["note", "title"]}), true),
            (json!({"type": "Person", "changed": ["identifiers"]}), true),
            (json!({"type": "Person"}), true),
            (json!({"type": "Event", "changed": ["title"]}), false),
        ] {
            assert_eq!(may_matter(&body), expected, "{body}");
        }
    }
}
