//! What sources assert of an entity, and what the entity is when they differ.
//!
//! Invariant: the fold depends on the claims alone, not on the order in which they are given. Pure.
//! Begin with [`fold`].

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contracts::EntityId;
use serde_json::{Map, Value};
use spine::ports::AssertedBy;

mod until;

pub(crate) use until::note as note_until;

/// Who asserts, and through what. A source has one claim about an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asserter {
    pub(crate) by: AssertedBy,
    pub(crate) source: String,
}

/// What can be asserted of an entity.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Content {
    pub(crate) title: Option<String>,
    pub(crate) props: Map<String, Value>,
    pub(crate) starts_at: Option<DateTime<Utc>>,
}

impl Content {
    /// As an entity's row keeps it: the column holds the title that is shown; one that only repeats the name was not
    /// asserted.
    pub(crate) fn stored(
        title: Option<String>,
        props: Map<String, Value>,
        starts_at: Option<DateTime<Utc>>,
    ) -> Self {
        let title = title.filter(|title| props.get("name").and_then(Value::as_str) != Some(title));
        Self {
            title,
            props,
            starts_at,
        }
    }
}

/// One source's word about an entity.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// Of which entity: one that was merged keeps its claims.
    pub(crate) entity: EntityId,
    pub(crate) asserter: Asserter,
    pub(crate) content: Content,
    pub(crate) confidence: f32,
    pub(crate) recorded_from: DateTime<Utc>,
}

/// The name of an asserter in the database.
pub(crate) fn by_name(by: AssertedBy) -> &'static str {
    match by {
        AssertedBy::User => "user",
        AssertedBy::Connector => "connector",
        AssertedBy::Rule => "rule",
        AssertedBy::Agent => "agent",
        AssertedBy::Peer => "peer",
    }
}

/// The asserter of this name; anything unknown weighs least.
pub(crate) fn by_from_name(name: &str) -> AssertedBy {
    [
        AssertedBy::User,
        AssertedBy::Connector,
        AssertedBy::Rule,
        AssertedBy::Agent,
    ]
    .into_iter()
    .find(|by| by_name(*by) == name)
    .unwrap_or(AssertedBy::Peer)
}

/// What a source's claim is after it asserts `said` on top of `before`: named properties replace its own of that
/// name, a null takes one back, and what it doesn't mention stays.
pub(crate) fn assert_on(before: &Content, said: &Content) -> Content {
    let mut after = before.clone();
    for (name, value) in &said.props {
        if value.is_null() {
            after.props.remove(name);
        } else if !after.props.get(name).is_some_and(|old| same(old, value)) {
            after.props.insert(name.clone(), value.clone());
        }
    }
    if said.title.is_some() {
        after.title.clone_from(&said.title);
    }
    if said.starts_at.is_some() {
        after.starts_at = said.starts_at;
    }
    after
}

/// The entity `root`, with all that were merged into it: of each property the value of the claim that weighs most.
pub(crate) fn fold(root: EntityId, claims: &[Claim]) -> Content {
    let mut entity = Content::default();
    for claim in ordered(root, claims) {
        entity = assert_on(&entity, &until::holding(&claim.content, &entity));
    }
    entity
}

/// The fold of what weighs less than a claim.
pub(crate) fn fold_under(root: EntityId, claims: &[Claim], claim: &Claim) -> Content {
    let lighter = |other: &&Claim| weight(root, other, claim) == Ordering::Less;
    let lighter: Vec<Claim> = claims.iter().filter(lighter).cloned().collect();
    fold(root, &lighter)
}

/// From the claim that weighs least to the one that weighs most.
fn ordered(root: EntityId, claims: &[Claim]) -> Vec<&Claim> {
    let mut ordered: Vec<&Claim> = claims.iter().collect();
    ordered.sort_by(|a, b| weight(root, a, b));
    ordered
}

/// Which claim each shown property comes from; `title` and `starts_at` for those.
pub(crate) fn provenance(root: EntityId, claims: &[Claim]) -> BTreeMap<String, &Claim> {
    let mut from = BTreeMap::new();
    let mut entity = Content::default();
    for claim in ordered(root, claims) {
        let said = until::holding(&claim.content, &entity);
        from.extend(said.props.keys().map(|name| (name.clone(), claim)));
        if said.title.is_some() {
            from.insert("title".to_owned(), claim);
        }
        if said.starts_at.is_some() {
            from.insert("starts_at".to_owned(), claim);
        }
        entity = assert_on(&entity, &said);
    }
    from
}

/// User over connector over rule over agent over peer; then what was said of the entity itself over what was said of
/// those merged into it, so that an edit after a merge shows; then the more confident, then the more recent; the names
/// decide what is left, so that the order in which claims are read never does.
fn weight(root: EntityId, a: &Claim, b: &Claim) -> Ordering {
    a.asserter
        .by
        .cmp(&b.asserter.by)
        .then((a.entity == root).cmp(&(b.entity == root)))
        .then(a.confidence.total_cmp(&b.confidence))
        .then(a.recorded_from.cmp(&b.recorded_from))
        .then_with(|| a.asserter.source.cmp(&b.asserter.source))
        .then(a.entity.0.cmp(&b.entity.0))
}

/// The title that people see: the asserted one, else the property `name`.
pub(crate) fn shown_title(content: &Content) -> Option<String> {
    content.title.clone().or_else(|| {
        content
            .props
            .get("name")
            .and_then(Value::as_str)
            .map(str::to_owned)
    })
}

/// What differs, by name, in order: properties, and `title` and `starts_at` for those.
pub(crate) fn changes(before: &Content, after: &Content) -> Vec<String> {
    let mut names: Vec<String> = before
        .props
        .iter()
        .filter(|(name, value)| !after.props.get(*name).is_some_and(|other| same(value, other)))
        .map(|(name, _)| name.clone())
        .chain(
            after
                .props
                .keys()
                .filter(|name| !before.props.contains_key(*name))
                .cloned(),
        )
        .collect();
    if shown_title(before) != shown_title(after) {
        names.push("title".to_owned());
    }
    if before.starts_at != after.starts_at {
        names.push("starts_at".to_owned());
    }
    names.sort();
    names.dedup();
    names
}

/// Equality that survives the database, which gives `100.0` and `1e2` back as other spellings of one number.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64().is_some_and(|a| Some(a) == b.as_f64()),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;
    use serde_json::json;

    const ROOT: EntityId = EntityId(uuid::Uuid::nil());

    fn content(props: Value) -> Content {
        let Value::Object(props) = props else {
            panic!("props are an object")
        };
        Content {
            props,
            ..Content::default()
        }
    }

    fn claim(by: AssertedBy, source: &str, minute: u32, props: Value) -> Claim {
        Claim {
            entity: ROOT,
            asserter: Asserter {
                by,
                source: source.to_owned(),
            },
            content: content(props),
            confidence: 1.0,
            recorded_from: Utc.with_ymd_and_hms(2026, 5, 1, 12, minute, 0).unwrap(),
        }
    }

    #[test]
    fn what_the_user_says_outlives_a_later_import() {
        let user = claim(AssertedBy::User, "user", 1, json!({"name": "Sam"}));
        let import = claim(
            AssertedBy::Connector,
            "dav/1",
            9,
            json!({"name": "Samantha", "note": "from the card"}),
        );
        let folded = fold(ROOT, &[import.clone(), user.clone()]);
        assert_eq!(
            folded.props,
            content(json!({"name": "Sam", "note": "from the card"})).props
        );
        assert_eq!(fold(ROOT, &[user, import]), folded);
    }

    #[test]
    fn of_two_connectors_the_later_word_holds_and_connectors_outweigh_rules() {
        let early = claim(AssertedBy::Connector, "a", 1, json!({"name": "A"}));
        let late = claim(AssertedBy::Connector, "b", 2, json!({"name": "B"}));
        let rule = claim(AssertedBy::Rule, "rule/x", 3, json!({"name": "R", "note": "r"}));
        assert_eq!(
            fold(ROOT, &[late, rule, early]).props,
            content(json!({"name": "B", "note": "r"})).props
        );
    }

    #[test]
    fn an_edit_after_a_merge_outweighs_what_was_said_of_the_merged_one_later() {
        let mut merged = claim(
            AssertedBy::User,
            "user",
            9,
            json!({"name": "Samuel", "note": "tall"}),
        );
        merged.entity = EntityId::new();
        let own = claim(AssertedBy::User, "user", 1, json!({"name": "Sam"}));
        let claims = [own, merged];
        assert_eq!(
            fold(ROOT, &claims).props,
            content(json!({"name": "Sam", "note": "tall"})).props
        );
        let from = provenance(ROOT, &claims);
        assert_eq!(
            (from["name"].entity, from["note"].entity),
            (ROOT, claims[1].entity)
        );
    }

    #[test]
    fn a_word_that_holds_until_a_source_changes_its_own_holds_no_longer_and_is_told_as_that_sources() {
        let calendar = |due: &str| {
            claim(
                AssertedBy::Connector,
                "dav/1",
                1,
                json!({"due_at": due, "note": "x"}),
            )
        };
        let mut user = claim(AssertedBy::User, "user", 2, json!({}));
        let said = content(json!({"due_at": "05-08"}));
        let until = [spine::ports::Until {
            field: "due_at",
            watched: &["due_at"],
        }];
        let under = fold_under(ROOT, &[calendar("05-01")], &user);
        user.content = assert_on(&user.content, &said);
        note_until(&mut user.content, &said, &until, &under);
        for (calendar, due, by) in [
            (calendar("05-01"), "05-08", AssertedBy::User),
            (calendar("05-15"), "05-15", AssertedBy::Connector),
        ] {
            let claims = [user.clone(), calendar];
            let folded = fold(ROOT, &claims);
            assert_eq!(folded, content(json!({"due_at": due, "note": "x"})));
            assert_eq!(provenance(ROOT, &claims)["due_at"].asserter.by, by);
        }
        // Said for good, it holds for good.
        note_until(&mut user.content, &said, &[], &under);
        assert_eq!(fold(ROOT, &[user, calendar("05-15")]).props["due_at"], "05-08");
    }

    #[test]
    fn a_null_takes_a_sources_own_word_back_and_nothing_else() {
        let after = assert_on(
            &content(json!({"a": 1, "b": 2})),
            &content(json!({"a": null, "c": 3})),
        );
        assert_eq!(after, content(json!({"b": 2, "c": 3})));
    }

    #[test]
    fn saying_the_same_again_in_another_spelling_of_the_number_is_no_change() {
        let before = content(json!({"n": 100, "deep": [{"x": 1.0}]}));
        let after = assert_on(&before, &content(json!({"n": 100.0, "deep": [{"x": 1}]})));
        assert!(changes(&before, &after).is_empty());
        assert_eq!(
            changes(&before, &content(json!({"n": 101, "e": 1}))),
            ["deep", "e", "n"]
        );
    }

    #[test]
    fn a_name_is_shown_as_the_title_until_somebody_gives_a_title() {
        let mut sam = content(json!({"name": "Sam"}));
        assert_eq!(shown_title(&sam).as_deref(), Some("Sam"));
        sam.title = Some("Sam M.".to_owned());
        assert_eq!(shown_title(&sam).as_deref(), Some("Sam M."));
    }
}
