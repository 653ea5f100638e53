//! Whether a change can be applied at all, seen without the database; and the change in its one spelling.
//!
//! Invariant: what passes here fits the tables: bounded, printable where it is a name, without the NUL that
//! PostgreSQL's text refuses. What is refused of a source is refused without a word of its content. Pure. Begin with [`change`].

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use serde_json::{Map, Value};
use spine::Principal;
use spine::ports::{AssertedBy, Change, EntityChange, RelationChange, Target};

use crate::normalise;
use crate::schema::{Types, Unknown};

/// One change is one commit: what is longer is several.
const ITEMS_MAX: usize = 1_000;
const IDENTIFIERS_MAX: usize = 50;
const NAME_LEN_MAX: usize = 200;
/// A source with one of its streams.
const SOURCE_LEN_MAX: usize = 2 * NAME_LEN_MAX + 1;
const TITLE_LEN_MAX: usize = 2_048;
const PREDICATE_LEN_MAX: usize = 64;
/// Of one source's properties of one entity, as JSON.
const PROPS_BYTES_MAX: usize = 64 * 1024;

/// The change with identifiers normalised and unknown properties named apart, or what is wrong with it.
pub(crate) fn change(types: &Types, principal: &Principal, mut change: Change) -> Result<Change, String> {
    if change.by == AssertedBy::User && matches!(principal, Principal::Connection { .. } | Principal::Rule(_))
    {
        return Err(format!("{principal} can't speak as the user"));
    }
    if change.source.is_empty() {
        return Err("the source is empty".to_owned());
    }
    text("source", &change.source, SOURCE_LEN_MAX)?;
    if change.entities.len() > ITEMS_MAX || change.relations.len() > ITEMS_MAX {
        return Err(format!(
            "a change holds at most {ITEMS_MAX} entities and {ITEMS_MAX} relations: split it"
        ));
    }
    let unknown = if change.by == AssertedBy::User {
        Unknown::Refuse
    } else {
        Unknown::Keep
    };
    let by = change.by;
    for one in &mut change.entities {
        entity(types, unknown, one)?;
        reserved(by, one)?;
    }
    for one in &change.relations {
        relation(one)?;
    }
    Ok(change)
}

/// Refuses the owner's word of a birthday that hasn't come anywhere yet.
pub(crate) fn born(change: &Change, now: DateTime<Utc>) -> Result<(), String> {
    // The first place to begin a day is fourteen hours ahead.
    let today = (now + TimeDelta::hours(14)).date_naive();
    let birthdays = change
        .entities
        .iter()
        .filter_map(|one| one.props.get("birthday")?.as_str());
    let is_to_come = |day: &&str| NaiveDate::parse_from_str(day, "%Y-%m-%d").is_ok_and(|day| day > today);
    match birthdays
        .filter(|_| change.by == AssertedBy::User)
        .find(is_to_come)
    {
        Some(day) => Err(format!(
            "the property `birthday` is a day that has come, and {day} hasn't"
        )),
        None => Ok(()),
    }
}

fn entity(types: &Types, unknown: Unknown, change: &mut EntityChange) -> Result<(), String> {
    let is_owners = unknown == Unknown::Refuse;
    let kind = types.get(&change.kind).map_err(|wrong| match is_owners {
        true => wrong,
        false => "there is no such type".to_owned(),
    })?;
    if let Some(title) = &change.title {
        text("title", title, TITLE_LEN_MAX)?;
        if is_owners && title.trim().is_empty() {
            return Err(format!("the {}'s title is empty", kind.name));
        }
    }
    if change
        .starts_at
        .is_some_and(|at| !(1..=9_999).contains(&at.year()))
    {
        return Err(format!(
            "`starts_at` of the {} lies outside the years 1 to 9999",
            kind.name
        ));
    }
    // PostgreSQL keeps microseconds; what is compared must be what it gives back.
    change.starts_at = change
        .starts_at
        .map(|at| DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at));
    props_size(&change.props)?;
    if change
        .props
        .iter()
        .any(|(name, value)| name.contains('\0') || holds_nul(value))
    {
        return Err(format!(
            "{}'s properties hold the character NUL, which no text has",
            kind.name
        ));
    }
    change.props = kind.accept(&change.props, unknown)?;
    if change.identifiers.len() > IDENTIFIERS_MAX {
        return Err(format!(
            "an entity takes at most {IDENTIFIERS_MAX} identifiers at once"
        ));
    }
    for identifier in &mut change.identifiers {
        *identifier = normalise::normalise(identifier).map_err(|wrong| match is_owners {
            true => wrong,
            // What is wrong with a stranger's address becomes the reason why a record is parked, which is logged.
            false => normalise::refusal(identifier),
        })?;
    }
    if matches!(change.target, Target::Identified | Target::Record) && strong(change).next().is_none() {
        return Err(format!(
            "{} can't be found: it needs an identifier that is its own; a short code or a role's mailbox is many people's",
            kind.name
        ));
    }
    Ok(())
}

/// By `allod` the hub knows the owner's own Person, by `allod.…` its devices and what came out of an export. The first is
/// said when the account is made; the others by connectors that are built in. Nobody else may say that somebody is her.
fn reserved(by: AssertedBy, change: &EntityChange) -> Result<(), String> {
    let is_refused = |scheme: &str| match scheme {
        "allod" => by != AssertedBy::User,
        _ => scheme.starts_with("allod.") && by != AssertedBy::Connector,
    };
    if change.identifiers.iter().any(|one| is_refused(&one.scheme)) {
        return Err("identifiers of the scheme `allod` are the hub's own".to_owned());
    }
    Ok(())
}

/// The identifiers by which the entity may be recognised. A person is never recognised by an address that many share.
pub(crate) fn strong(change: &EntityChange) -> impl Iterator<Item = &spine::ports::Identifier> + Clone {
    let person = change.kind == "Person";
    change
        .identifiers
        .iter()
        .filter(move |identifier| !(person && normalise::is_shared(identifier)))
}

fn relation(change: &RelationChange) -> Result<(), String> {
    predicate(&change.predicate)?;
    if change.from == change.to {
        return Err(format!("entity {} can't be related to itself", change.from));
    }
    Ok(())
}

fn predicate(predicate: &str) -> Result<(), String> {
    let fits = !predicate.is_empty()
        && predicate.len() <= PREDICATE_LEN_MAX
        && predicate
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.:".contains(&byte));
    if fits {
        return Ok(());
    }
    Err(format!(
        "a predicate is 1 to {PREDICATE_LEN_MAX} lower-case letters, digits, hyphens, dots, colons or underscores, such \
         as `partner`"
    ))
}

/// A name that programs give: a source, a stream.
pub(crate) fn name(what: &str, name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err(format!("the {what} is empty"));
    }
    text(what, name, NAME_LEN_MAX)
}

fn text(what: &str, text: &str, bytes_max: usize) -> Result<(), String> {
    if text.len() > bytes_max || text.chars().any(char::is_control) {
        return Err(format!(
            "the {what} must be printable and at most {bytes_max} bytes long"
        ));
    }
    Ok(())
}

/// Refuses more than a claim may hold.
pub(crate) fn props_size(props: &Map<String, Value>) -> Result<(), String> {
    let bytes = serde_json::to_vec(props).map_or(usize::MAX, |json| json.len());
    if bytes > PROPS_BYTES_MAX {
        return Err(format!(
            "the properties take {bytes} bytes as JSON; {PROPS_BYTES_MAX} is the most: keep long content as a Document"
        ));
    }
    Ok(())
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || holds_nul(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::EntityId;
    use serde_json::json;
    use spine::ports::Identifier;

    fn types() -> Types {
        let open = json!({"properties": {"name": {"type": "string"}}});
        Types::new(vec![
            ("Person".to_owned(), false, open.clone()),
            ("Organization".to_owned(), false, open),
        ])
        .unwrap()
    }

    fn person(props: Value, identifiers: Vec<Identifier>) -> EntityChange {
        EntityChange {
            target: Target::Identified,
            kind: "Person".to_owned(),
            title: None,
            props: props.as_object().unwrap().clone(),
            identifiers,
            starts_at: None,
        }
    }

    fn checked(by: AssertedBy, entity: EntityChange) -> Result<Change, String> {
        let change_ = Change {
            by,
            source: "user".into(),
            raw: None,
            entities: vec![entity],
            relations: vec![],
        };
        change(&types(), &Principal::Operator, change_)
    }

    #[test]
    fn identifiers_come_out_in_their_one_spelling() {
        let sam = person(
            json!({"name": "Sam"}),
            vec![Identifier::new("Tel", "+1 (415) 555-2671")],
        );
        let change = checked(AssertedBy::User, sam).unwrap();
        assert_eq!(
            change.entities[0].identifiers,
            [Identifier::new("tel", "+14155552671")]
        );
    }

    #[test]
    fn a_person_is_never_recognised_by_an_address_that_many_share() {
        let shared = vec![
            Identifier::new("email", "info@example.org"),
            Identifier::new("tel.short", "12345"),
        ];
        let error = checked(AssertedBy::Connector, person(json!({}), shared.clone())).unwrap_err();
        assert!(error.contains("many people's"), "{error}");
        let mut office = person(json!({}), shared);
        office.kind = "Organization".to_owned();
        assert!(checked(AssertedBy::Connector, office).is_ok());
    }

    #[test]
    fn too_much_or_unprintable_is_refused() {
        let own = || vec![Identifier::new("tel", "+14155552671")];
        assert!(
            checked(
                AssertedBy::Connector,
                person(json!({"x_long": "a".repeat(70_000)}), own())
            )
            .is_err()
        );
        assert!(
            checked(
                AssertedBy::Connector,
                person(json!({"x_nul": [{"a": "\0"}]}), own())
            )
            .is_err()
        );
        assert!(
            checked(AssertedBy::User, person(json!({"nmae": "Sam"}), own()))
                .unwrap_err()
                .contains("`name`")
        );
        let mut titled = person(json!({}), own());
        titled.title = Some("two\nlines".to_owned());
        assert!(checked(AssertedBy::User, titled).is_err());
    }

    #[test]
    fn a_connection_or_rule_can_not_speak_as_the_user() {
        let rule = Principal::Rule("partner-at-work".to_owned());
        let empty = |by| Change {
            by,
            source: "s".into(),
            raw: None,
            entities: vec![],
            relations: vec![],
        };
        assert!(change(&types(), &rule, empty(AssertedBy::User)).is_err());
        assert!(change(&types(), &rule, empty(AssertedBy::Rule)).is_ok());
    }

    #[test]
    fn a_sources_content_is_not_quoted_in_what_is_wrong_with_it() {
        let known_as = |scheme, value| person(json!({}), vec![Identifier::new(scheme, value)]);
        let named = |kind: &str| {
            let mut entity = person(json!({}), vec![Identifier::new("a.id", "1")]);
            entity.kind = kind.to_owned();
            entity
        };
        for entity in [
            known_as("tel", "4915secret"),
            known_as("email", "secret at home"),
            known_as("tel.short", "secret"),
            named("Secret"),
            person(json!({"name": ["secret"]}), vec![Identifier::new("a.id", "1")]),
        ] {
            let asked = checked(AssertedBy::User, entity.clone()).unwrap_err();
            let parked = checked(AssertedBy::Connector, entity).unwrap_err();
            assert!(!parked.to_lowercase().contains("secret"), "{parked}");
            assert!(
                asked.to_lowercase().contains("secret"),
                "the owner is told what she wrote: {asked}"
            );
        }
    }

    #[test]
    fn nobody_but_the_hub_says_who_the_owner_is() {
        let known_as = |scheme| person(json!({"name": "Mallory"}), vec![Identifier::new(scheme, "me")]);
        assert!(checked(AssertedBy::User, known_as("allod")).is_ok());
        for by in [
            AssertedBy::Connector,
            AssertedBy::Rule,
            AssertedBy::Agent,
            AssertedBy::Peer,
        ] {
            let error = checked(by, known_as("Allod")).unwrap_err();
            assert!(error.contains("the hub's own"), "{error}");
        }
        assert!(checked(AssertedBy::Connector, known_as("allod.device")).is_ok());
        assert!(checked(AssertedBy::Peer, known_as("allod.device")).is_err());
    }

    #[test]
    fn a_predicate_is_a_plain_word_between_two_entities() {
        let (a, b) = (EntityId::new(), EntityId::new());
        let related = |from, predicate: &str, to| {
            relation(&RelationChange {
                from,
                predicate: predicate.to_owned(),
                to,
            })
        };
        assert!(related(a, "partner", b).is_ok());
        for bad in ["", "Partner", "my partner", "é"] {
            assert!(related(a, bad, b).is_err(), "{bad}");
        }
        assert!(related(a, "partner", a).is_err());
    }
}
