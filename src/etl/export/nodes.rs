//! JSON-LD: a node a line, first the entities, then the relations between them.

use serde_json::{Value, json};

use spine::ports::ExportedRelation;

use super::Exported;
use crate::map::EXPORTED_ID;
use crate::split::nodes::OPENING;

/// The id of the last node, which stands for nothing: every line before it can end in a comma.
pub(crate) const END_MARK: &str = "urn:allod:end";

pub(super) fn head(out: &mut Vec<u8>) {
    let context = json!({
        "@vocab": "https://schema.org/",
        "allod": "urn:allod:",
        "title": "name",
        "starts_at": "startDate",
        "props": { "@id": "allod:props", "@type": "@json" },
        "identifiers": { "@id": "allod:identifiers", "@type": "@json" },
        "distinct": { "@id": "allod:distinct", "@type": "@id" },
        "from": "allod:from",
        "predicate": "allod:predicate",
        "to": "allod:to",
    });
    out.extend_from_slice(format!("{{\"@context\":{context},").as_bytes());
    out.extend_from_slice(OPENING);
    out.push(b'\n');
}

pub(super) fn tail(out: &mut Vec<u8>) {
    // The space keeps it apart from the nodes that mean something.
    out.extend_from_slice(format!(" {}\n]}}\n", json!({ "@id": END_MARK })).as_bytes());
}

fn push(out: &mut Vec<u8>, node: &Value) {
    out.extend_from_slice(node.to_string().as_bytes());
    out.extend_from_slice(b",\n");
}

pub(super) fn entity(exported: &Exported, out: &mut Vec<u8>) {
    let entity = &exported.entity;
    let identifiers: Vec<Value> = exported
        .identifiers
        .iter()
        .filter(|one| one.scheme != EXPORTED_ID)
        .map(|one| json!({ "scheme": one.scheme, "value": one.value }))
        .collect();
    let mut node = json!({
        "@id": format!("urn:uuid:{}", entity.id),
        "@type": entity.kind,
        "identifiers": identifiers,
        "props": entity.props,
    });
    if let Some(title) = &entity.title {
        node["title"] = json!(title);
    }
    if let Some(at) = entity.starts_at {
        node["starts_at"] = json!(at);
    }
    if !exported.told_apart.is_empty() {
        let others = exported.told_apart.iter().map(|id| format!("urn:uuid:{id}"));
        node["distinct"] = others.collect();
    }
    push(out, &node);
}

pub(super) fn relation(relation: &ExportedRelation, out: &mut Vec<u8>) {
    let end = |id: uuid::Uuid, kind: &str| json!({ "@id": format!("urn:uuid:{id}"), "@type": kind });
    let node = json!({
        "@type": "allod:Relation",
        "from": end(relation.from, &relation.from_kind),
        "predicate": relation.predicate,
        "to": end(relation.to, &relation.to_kind),
    });
    push(out, &node);
}
