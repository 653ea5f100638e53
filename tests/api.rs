//! The whole API at a real hub: what its document names is closed to strangers.

use serde_json::Value;

use crate::support::{Hub, http};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// An empty requirement among the alternatives means that anybody may (OpenAPI 3.1, Operation Object).
fn needs_credential(security: &Value) -> bool {
    let alternatives = security.as_array().unwrap();
    let empty = |one: &Value| one.as_object().is_none_or(serde_json::Map::is_empty);
    !alternatives.is_empty() && !alternatives.iter().any(empty)
}

#[test]
fn every_documented_operation_that_needs_a_credential_is_closed_without_one() {
    let hub = Hub::start();
    let document = http(&hub.address, "GET", "/api/v1/openapi.json", &[], b"");
    assert_eq!(document.status, 200, "{}", document.body);
    let document: Value = serde_json::from_str(&document.body).unwrap();
    let bearer = document.get("security").is_some_and(needs_credential);
    let mut closed = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            let Some(operation) = operations.get(method) else {
                continue;
            };
            let secured = operation.get("security").map_or(bearer, needs_credential);
            if !path.starts_with("/api/v1/") || !secured {
                continue;
            }
            // Any id will do: a stranger is turned away before anybody looks it up.
            let path: String = path
                .split('/')
                .map(|part| {
                    if part.starts_with('{') {
                        "0190a000-0000-7000-8000-000000000000"
                    } else {
                        part
                    }
                })
                .collect::<Vec<_>>()
                .join("/");
            let answer = http(&hub.address, &method.to_uppercase(), &path, &[], b"");
            assert_eq!(answer.status, 401, "{method} {path}: {}", answer.body);
            assert!(
                answer.head.contains("application/problem+json"),
                "{method} {path}: {}",
                answer.head
            );
            closed += 1;
        }
    }
    // Of every service at least one: accounts, graph, state, plugins, channels, rules, and the hub itself.
    for service in [
        "/tokens",
        "/entities",
        "/state",
        "/connections",
        "/messages",
        "/rules",
        "/events",
        "/jobs",
        "/status",
    ] {
        let path = format!("/api/v1{service}");
        assert!(document["paths"].get(&path).is_some(), "{path} is documented");
    }
    assert!(closed >= 40, "only {closed} operations were tried");
}

/// Every `$ref` in a document.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn whatever_the_document_refers_to_is_in_it() {
    let hub = Hub::start();
    let document = http(&hub.address, "GET", "/api/v1/openapi.json", &[], b"");
    let document: Value = serde_json::from_str(&document.body).unwrap();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() >= 40, "only {} references", found.len());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} is not there");
    }
}
