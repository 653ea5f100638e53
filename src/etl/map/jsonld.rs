//! A node of our own export in JSON-LD: an entity, or a relation between two.
//!
//! Invariant: an entity is found again by the id that it had where it was exported; what an older hub took in and this one
//! refuses costs that property alone. Begin with [`map`].

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};
use spine::ports::Identifier;
use uuid::Uuid;

use super::{Edge, End, Meaning, identified, text};

/// The scheme of the ids that entities had in the account that was exported.
pub(crate) const SCHEME: &str = "allod.entity";
const NODE_BYTES_MAX: usize = 1024 * 1024;
const IDENTIFIERS_MAX: usize = 49;
const DISTINCT_MAX: usize = 1_000;

#[derive(Deserialize)]
struct Node {
    #[serde(rename = "@id")]
    id: Option<String>,
    #[serde(rename = "@type")]
    kind: String,
    title: Option<String>,
    starts_at: Option<DateTime<Utc>>,
    #[serde(default)]
    identifiers: Vec<Identifier>,
    #[serde(default)]
    props: Map<String, Value>,
    #[serde(default)]
    distinct: Vec<String>,
    from: Option<FarEnd>,
    predicate: Option<String>,
    to: Option<FarEnd>,
}

#[derive(Deserialize)]
struct FarEnd {
    #[serde(rename = "@id")]
    id: String,
    #[serde(rename = "@type")]
    kind: String,
}

pub(super) fn map(body: &[u8]) -> Result<Meaning, String> {
    if body.len() > NODE_BYTES_MAX {
        return Err(format!("a node has at most {NODE_BYTES_MAX} bytes"));
    }
    // serde_json refuses what is nested deeper than 128 levels. Its message may quote the content.
    let node: Node =
        serde_json::from_slice(body).map_err(|_| "this is no node of an allod export".to_owned())?;
    if let (Some(from), Some(predicate), Some(to)) = (node.from, node.predicate, node.to) {
        let edge = Edge {
            from: end(from)?,
            predicate,
            to: end(to)?,
        };
        return Ok(Meaning {
            edge: Some(edge),
            ..Meaning::default()
        });
    }
    let id = uuid(node.id.as_deref().ok_or("the node has no @id")?)?;
    let mut identifiers = vec![Identifier::new(SCHEME, id.to_string())];
    identifiers.extend(
        node.identifiers
            .into_iter()
            .filter(|one| !is_reserved(&one.scheme) || is_owner(one))
            .take(IDENTIFIERS_MAX),
    );
    let mut entity = identified(&node.kind, node.title, identifiers);
    entity.props = fitted(node.props);
    entity.starts_at = node.starts_at;
    let distinct = node.distinct.iter().take(DISTINCT_MAX);
    let distinct: Result<Vec<Uuid>, String> = distinct.map(|other| uuid(other)).collect();
    Ok(Meaning {
        entities: vec![entity],
        told_apart: distinct?
            .into_iter()
            .map(|other| Identifier::new(SCHEME, other.to_string()))
            .collect(),
        ..Meaning::default()
    })
}

/// Properties as the types bind them by now: a name isn't empty, and a birthday that is no day is kept as it was said.
fn fitted(mut props: Map<String, Value>) -> Map<String, Value> {
    let is_blank = |one: &Value| one.as_str().is_some_and(|name| name.trim().is_empty());
    if props.get("name").is_some_and(is_blank) {
        props.remove("name");
    }
    let said = props
        .get("birthday")
        .and_then(Value::as_str)
        .map(ToOwned::to_owned);
    let Some(said) = said.filter(|said| !text::is_part_of_day(said)) else {
        return props;
    };
    match text::day(&said, false) {
        Some(day) => {
            props.insert("birthday".to_owned(), Value::from(day));
        }
        None => {
            props.remove("birthday");
            if let Some(said) = text::line(&said, 64) {
                props.entry("x_birthday").or_insert_with(|| Value::from(said));
            }
        }
    }
    props
}

/// What the hub that was exported knew its own things by; here other things are known so.
fn is_reserved(scheme: &str) -> bool {
    let scheme = scheme.trim().to_ascii_lowercase();
    scheme == "allod" || scheme.starts_with("allod.")
}

/// Marks the Person of whoever exported: whether that is the owner here, too, is decided where the graph is known.
pub(crate) fn is_owner(identifier: &Identifier) -> bool {
    identifier.scheme == "allod" && identifier.value == "me"
}

fn end(end: FarEnd) -> Result<End, String> {
    Ok(End {
        id: uuid(&end.id)?,
        kind: end.kind,
    })
}

fn uuid(text: &str) -> Result<Uuid, String> {
    let id = text.strip_prefix("urn:uuid:").unwrap_or(text);
    Uuid::parse_str(id).map_err(|_| "an @id of the node is not `urn:uuid:` and a UUID".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_older_hub_took_for_a_birthday_or_a_name_is_read_or_kept_aside() {
        for (said, kept) in [
            (
                json!({"birthday": "01.05.1990"}),
                json!({"birthday": "1990-05-01"}),
            ),
            (json!({"birthday": "19900501"}), json!({"birthday": "1990-05-01"})),
            (json!({"birthday": "--05-01"}), json!({"birthday": "--05-01"})),
            (json!({"birthday": "1990-05"}), json!({"birthday": "1990-05"})),
            (json!({"birthday": "1990"}), json!({"birthday": "1990"})),
            (json!({"birthday": "1990-13"}), json!({"x_birthday": "1990-13"})),
            (json!({"birthday": "in May"}), json!({"x_birthday": "in May"})),
            (
                json!({"birthday": "in May", "x_birthday": "May"}),
                json!({"x_birthday": "May"}),
            ),
            (
                json!({"birthday": " ", "name": " ", "note": ""}),
                json!({"note": ""}),
            ),
            (
                json!({"name": "Sam", "birthday": null}),
                json!({"name": "Sam", "birthday": null}),
            ),
        ] {
            let id = "urn:uuid:01890a5d-ac96-774b-bcce-b302099a8057";
            let node = json!({"@id": id, "@type": "Person", "props": said});
            let meaning = map(node.to_string().as_bytes()).unwrap();
            assert_eq!(Value::Object(meaning.entities[0].props.clone()), kept, "{said}");
        }
    }
}
